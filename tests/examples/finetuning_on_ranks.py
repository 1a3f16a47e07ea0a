"""Stage 3 on several processes: what test_distributed.py starts once per rank; its parts serve a single rank too.

    python finetuning_on_ranks.py RANK NUM_RANKS FOLDER

FOLDER holds `encoder/` and tables `KIND.csv` of 33 records and `KIND-dev.csv`; each run leaves its folder in FOLDER.
With batches of eight the last update of an epoch has a single record: all other passes of that update are empty.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).parent))

from example_tasks import config, write_task

from vqdna.finetune.public import finetune_files
from vqdna.finetune.settings import FinetuneConfig
from vqdna.training.trainer import StageTrainer

NUM_RECORDS, EPOCHS, KILLED_IN = 33, 2, 8
KINDS = ("binary", "multiclass", "multilabel", "regression")


def settings(method: str, dropout: float = 0.0, class_weights: str = "none", **training: Any) -> FinetuneConfig:
    """Configuration of a run of two epochs over batches of eight records."""
    training = {"epochs": EPOCHS, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2, **training}
    return config(
        method=method,
        class_weights=class_weights,
        lora={"dropout": dropout},
        head={"hidden_size": 16, "dropout": dropout},
        training=training,
    )


def write_tasks(folder: Path) -> None:
    """Tables that all runs of this module read."""
    for kind in KINDS:
        write_task(folder / f"{kind}.csv", kind, NUM_RECORDS, seed=0)
        write_task(folder / f"{kind}-dev.csv", kind, 20, seed=1)


def finetuned(folder: Path, name: str, kind: str, settings: FinetuneConfig) -> dict[str, Any]:
    """Results of the run `name`, begun or resumed."""
    tables = {"train": folder / f"{kind}.csv", "dev": folder / f"{kind}-dev.csv", "test": None}
    return finetune_files(settings, encoder=folder / "encoder", out=folder / name, seed=0, **tables).to_json()


class Killed(BaseException):
    """Stands for the process's end: nothing in the code under test may catch it."""


@contextmanager
def plain_descent() -> Iterator[None]:
    """AdamW divides by the size of the gradient, so one near zero carries rounding into the weights; SGD does not."""
    descent = (torch.optim.SGD, {"lr": 0.1})
    with patch.object(StageTrainer, "get_optimizer_cls_and_kwargs", staticmethod(lambda *_: descent)):
        yield


@contextmanager
def noted_records(file: Path) -> Iterator[None]:
    """Writes a JSON line per pass: its update, its records' codes, and their share of the loss."""
    real, lines = StageTrainer.get_batch_samples, []

    def get_batch_samples(self: StageTrainer, iterator: Any, number: int, device: Any) -> Any:
        batches, items = real(self, iterator, number, device)
        for batch in batches:
            share = float(batch.get("loss_shares", {}).get("labels", 1.0))
            lines.append({"step": self.state.global_step, "codes": batch["codes"].tolist(), "share": share})
        return batches, items

    with patch.object(StageTrainer, "get_batch_samples", get_batch_samples):
        yield
    file.write_text("\n".join(map(json.dumps, lines)))


def killed_between_checkpoints(folder: Path, name: str, kind: str, settings: FinetuneConfig) -> None:
    """Runs into the second epoch, where all ranks end; a checkpoint of the first stays."""
    real = StageTrainer._clip_grad_norm

    def clip(self: StageTrainer, model: Any) -> Any:
        if self.state.global_step + 1 == KILLED_IN:
            raise Killed
        return real(self, model)

    try:
        with patch.object(StageTrainer, "_clip_grad_norm", clip):
            finetuned(folder, name, kind, settings)
    except Killed:
        return
    raise AssertionError("the run ended before it was killed")


def run_all(folder: Path, prefix: str, rank: int) -> None:
    """What both one rank and several do."""
    with plain_descent():
        with noted_records(folder / f"{prefix}records-{rank}.jsonl"):
            finetuned(folder, f"{prefix}sgd-full", "multiclass", settings("full", class_weights="balanced"))
        finetuned(folder, f"{prefix}sgd-lora", "binary", settings("lora", gradient_accumulation=2))
        finetuned(folder, f"{prefix}sgd-multilabel", "multilabel", settings("linear", gradient_accumulation=4))
        finetuned(folder, f"{prefix}sgd-regression", "regression", settings("linear"))
    finetuned(folder, f"{prefix}adamw-lora", "binary", settings("lora"))


def run_killed(folder: Path) -> None:
    """A run that nothing disturbs, and one that is killed and started again."""
    with_dropout = settings("lora", dropout=0.2)
    finetuned(folder, "whole", "binary", with_dropout)
    killed_between_checkpoints(folder, "killed", "binary", with_dropout)
    finetuned(folder, "killed", "binary", with_dropout)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank, num_ranks, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), VQDNA_QUIET="1")
    os.environ.update(WORLD_SIZE=str(num_ranks), LOCAL_WORLD_SIZE=str(num_ranks))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=num_ranks)
    run_all(folder, "two-", rank)
    run_killed(folder)
    dist.destroy_process_group()
