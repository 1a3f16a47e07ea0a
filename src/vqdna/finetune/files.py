"""Fine-tuning on tables and FASTA files: reads them and calls `vqdna.finetune.train`, which knows no files of data."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import Plan, plan_finetune, run_finetune
from vqdna.tasks.loading import Splits, Task, read_splits
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
    announces: bool = True,
) -> FinetuneResults:
    """Results of `run_finetune` on files.

    Args:
        config: resolved configuration.
        encoder: run folder of a pre-training, or its `model/`.
        train: CSV, TSV or Parquet with columns `sequence,label`, or FASTA beside `labels`.
        dev: picks the epoch; None takes a seeded tenth of `train`, class by class.
        test: scored once, at the end; None leaves the test scores out.
        out: run folder.
        seed: of the head, the order of the sequences, dropout and the tenth.
        task: "classification", "multilabel" or "regression"; None reads it off the labels.
        labels: table `name,label` of a FASTA file.
        dataset: name under which reports list the scores; None takes the known dataset in whose folder `train` lies.
        announces: shows first what the run will take; studies of many runs do not.

    Raises:
        InputError: unreadable input, no encoder, a folder of another run, a loss that is no number.
    """
    named = {"encoder": encoder, "train": train, "dev": dev, "test": test, "labels": labels, "task": task}
    return run_finetune(
        config,
        _read(train, dev, test, task, labels, seed),
        encoder=encoder,
        out=out,
        seed=seed,
        dataset=dataset or known_dataset(train),
        places=_places(train, dev, test),
        inputs={name: str(value) for name, value in named.items() if value is not None},
        announces=announces,
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
    """What `finetune_files` with the same arguments will take; leaves no run folder.

    Raises:
        InputError: unreadable input, no encoder.
    """
    splits = _read(train, dev, None, task, labels, seed)
    return plan_finetune(config, splits, encoder=encoder, seed=seed, places=_places(train, dev, None))


def _read(train: Path, dev: Path | None, test: Path | None, task: str | None, labels: Path | None, seed: int) -> Splits:
    return read_splits(train, dev, test, task=cast(Task | None, task), labels=labels, seed=seed)


def _places(train: Path, dev: Path | None, test: Path | None) -> dict[str, str]:
    return {"train": str(train), "dev": str(dev or train), "test": str(test)}
