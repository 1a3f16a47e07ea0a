"""Fine-tuning on tables and FASTA files: reads them and calls `vqdna.finetune.train`, which knows no files of data."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import Plan, plan_finetune, run_finetune
from vqdna.tasks.loading import Task, read_splits
from vqdna.tasks.registry import known_dataset


def finetune_files(
    config: FinetuneConfig,
    *,
    encoder: Path,
    train: Path,
    dev: Path | None,
    test: Path | None,
    out: Path,
    seed: int,
    task: str | None = None,
    labels: Path | None = None,
    dataset: str | None = None,
) -> FinetuneResults:
    """`run_finetune` on files, whose arguments the others are.

    Args:
        train: CSV, TSV or Parquet with columns `sequence,label`, or FASTA beside `labels`.
        dev: picks the epoch; None takes a seeded tenth of `train`, class by class.
        seed: of the head, the order of the sequences, dropout and the tenth.
        task: None reads it off the labels.
        labels: table `name,label` of a FASTA file.
        dataset: name under which reports list the scores; None takes the known dataset in whose folder `train` lies.

    Raises:
        InputError: unreadable input; or see `run_finetune`.
    """
    named = {"encoder": encoder, "train": train, "dev": dev, "test": test, "labels": labels, "task": task}
    return run_finetune(
        config,
        read_splits(train, dev, test, task=cast(Task | None, task), labels=labels, seed=seed),
        encoder=encoder,
        out=out,
        seed=seed,
        dataset=dataset or known_dataset(train),
        places=_places(train, dev, test),
        inputs={name: str(value) for name, value in named.items() if value is not None},
    )


def plan_files(
    config: FinetuneConfig,
    *,
    encoder: Path,
    train: Path,
    dev: Path | None,
    seed: int,
    task: str | None = None,
    labels: Path | None = None,
) -> Plan:
    """What `finetune_files` with the same arguments will take; leaves no run folder."""
    splits = read_splits(train, dev, task=cast(Task | None, task), labels=labels, seed=seed)
    return plan_finetune(config, splits, encoder=encoder, seed=seed, places=_places(train, dev, None))


def _places(train: Path, dev: Path | None, test: Path | None) -> dict[str, str]:
    return {"train": str(train), "dev": str(dev or train), "test": str(test)}
