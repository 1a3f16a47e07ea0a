"""Stage 2 on several processes: what test_distributed.py starts once per rank; its parts serve a single rank too.

    python pretraining_on_ranks.py RANK NUM_RANKS FOLDER

FOLDER holds `vocabulary/` and `genomes/`; each run leaves its folder in FOLDER. Windows hold unequally many N, so that
the ranks mask unequally many tokens; and pairs of windows are masked and cut into views by turns, so that in passes of
two windows a rank does one or the other.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import torch.distributed as dist

from vqdna.errors import InputError
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.pretrain.train import PretrainConfig, run_pretrain
from vqdna.training.trainer import StageTrainer

STEPS, SAVED_AT, KILLED_IN = 6, 3, 5


def config(dropout: float = 0.0, **training: Any) -> PretrainConfig:
    """Configuration of a run of six steps over batches of eight windows."""
    settings = {
        "steps": STEPS, "batch_size": 8, "learning_rate": 1e-3, "weight_decay": 0.01, "log_every": 1,
        "evaluate_every": 2, "save_every": SAVED_AT, "precision": "fp32", **training,
    }  # fmt: skip
    backbone = {
        "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "local_attention": 32, "attention_dropout": dropout, "mlp_dropout": dropout,
        "embedding_dropout": dropout,
    }  # fmt: skip
    stem = {"width": 12, "kernel_size": 3, "merge": 2}
    data = {"window": 64, "evaluation_windows": 4}
    contrast = {"fraction": 0.5, "group": 2, "stretch": 32, "crop": 24}
    parts = {"backbone": backbone, "stem": stem, "data": data, "contrast": contrast, "training": settings}
    return PretrainConfig.model_validate(parts)


def pretrained(folder: Path, name: str, settings: PretrainConfig) -> dict[str, Any]:
    """Results of the run `name`, begun or resumed."""
    genomes = sorted((folder / "genomes").glob("*.fa*"))
    return run_pretrain(settings, tokenizer=str(folder / "vocabulary"), genomes=genomes, out=folder / name, seed=0)


class Killed(BaseException):
    """Stands for the process's end: nothing in the code under test may catch it."""


@contextmanager
def plain_descent() -> Iterator[None]:
    """AdamW divides by the size of the gradient, so one near zero carries rounding into the weights; SGD does not."""
    descent = (torch.optim.SGD, {"lr": 0.1})
    with patch.object(StageTrainer, "get_optimizer_cls_and_kwargs", staticmethod(lambda *_: descent)):
        yield


def killed_between_checkpoints(folder: Path, name: str, settings: PretrainConfig) -> None:
    """Runs up to step 5, where all ranks end behind a backward pass; a checkpoint of step 3 stays."""
    real = StageTrainer._clip_grad_norm

    def clip(self: StageTrainer, model: Any) -> Any:
        if self.state.global_step + 1 == KILLED_IN:
            raise Killed
        return real(self, model)

    try:
        with patch.object(StageTrainer, "_clip_grad_norm", clip):
            pretrained(folder, name, settings)
    except Killed:
        return
    raise AssertionError("the run ended before it was killed")


def poisoned(folder: Path, name: str, settings: PretrainConfig, rank: int) -> None:
    """A run whose loss is NaN in its second update on rank 1 alone; `name-RANK.txt` says how each rank ends."""
    real, passes = GenomeEncoderForMaskedModeling.forward, count(1)

    def forward(self: GenomeEncoderForMaskedModeling, **batch: Any) -> Any:
        output = real(self, **batch)
        if next(passes) == 2 and rank == 1:
            output.loss = output.loss * float("nan")
        return output

    try:
        with patch.object(GenomeEncoderForMaskedModeling, "forward", forward):
            pretrained(folder, name, settings)
    except InputError as error:
        (folder / f"{name}-{rank}.txt").write_text(str(error))


def run_all(folder: Path, rank: int) -> None:
    """What every rank does."""
    with plain_descent():
        pretrained(folder, "sgd", config())
        pretrained(folder, "sgd-fsdp", config(sharding="fsdp", gradient_accumulation=2))
    pretrained(folder, "adamw", config())
    for sharding in ("none", "fsdp"):
        with_dropout = config(dropout=0.1, sharding=sharding)
        pretrained(folder, f"whole-{sharding}", with_dropout)
        killed_between_checkpoints(folder, f"killed-{sharding}", with_dropout)
        pretrained(folder, f"killed-{sharding}", with_dropout)
        killed_between_checkpoints(folder, f"handed-over-{sharding}", config(sharding=sharding))
        poisoned(folder, f"poisoned-{sharding}", config(sharding=sharding), rank)


if __name__ == "__main__":
    torch.set_num_threads(1)
    rank, num_ranks, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), VQDNA_QUIET="1")
    os.environ.update(WORLD_SIZE=str(num_ranks), LOCAL_WORLD_SIZE=str(num_ranks))
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=num_ranks)
    run_all(folder, rank)
    dist.destroy_process_group()
