"""Fine-tuning as one call, on data in memory (what `vqdna.finetune(...)` is) or on tables and FASTA files.

Flow: a model by name, folder or object + splits in any form, or files -> `Splits` -> `run_finetune` -> results and a
run folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from vqdna.config import load_config
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.finetune.results import FinetuneResults
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.splits import GivenSplits, as_splits
from vqdna.finetune.train import Plan, plan_finetune, run_finetune
from vqdna.tasks.loading import Task, read_splits, task_named
from vqdna.tasks.registry import known_dataset
from vqdna.weights import DEFAULT, built_in_names, part_folder

OTHER_CONFIG = "cpu"  # configuration for an encoder that does not come with the package


def finetune(
    model: str | Path | GenomeEncoder = DEFAULT,
    splits: GivenSplits | None = None,
    config: str | Path | FinetuneConfig | None = None,
    out: str | Path | None = None,
    *,
    task: str | None = None,
    seed: int = 0,
    dataset: str | None = None,
    announces: bool = False,
) -> FinetuneResults:
    """Fine-tunes a genome encoder on labelled sequences; the same call again finds the finished run, or resumes it.

    Args:
        model: name of a built-in encoder, folder of a pre-training, or the encoder itself, which stays as it is.
        splits: a mapping with `train` and, where there are such, `dev` and `test`, or a tuple of them in that order.
            Each is a pair (sequences, labels), a table with columns `sequence` and `label` (pandas, pyarrow, or a
            mapping of columns), a `LabelledSequences`, or the path of a table. Sequences are text or arrays of base
            ids. Without `dev` a seeded tenth of `train` picks the best epoch.
        config: configuration, its path, or its name in `configs/finetune/`; None takes the built-in encoder's own.
        out: run folder, which will hold `model/` and `results.json`.
        task: "classification", "multilabel" or "regression"; None reads it off the labels.
        seed: of the head, the order of the sequences, dropout and the tenth.
        dataset: name under which reports list the scores.
        announces: tells on standard error what the run will take.

    Returns:
        Scores on dev and test, and the folder.

    Raises:
        InputError: no such model or configuration, unreadable data, a folder of another run.
    """
    if splits is None or out is None:
        raise InputError(
            "finetune needs splits and out: vqdna.finetune(model, {'train': (sequences, labels)}, out=...)"
        )
    chosen = suited_config(model) if config is None else config
    return run_finetune(
        chosen if isinstance(chosen, FinetuneConfig) else load_config(FinetuneConfig, str(chosen), "finetune"),
        as_splits(splits, task=None if task is None else task_named(task), seed=seed),
        encoder=model if isinstance(model, GenomeEncoder) else part_folder(model, "encoder"),
        out=Path(out),
        seed=seed,
        dataset=dataset,
        announces=announces,
    )


def suited_config(model: str | Path | GenomeEncoder) -> str:
    """Name of the configuration for an encoder where none is asked for: that of a built-in encoder has its name."""
    return str(model) if str(model) in built_in_names("encoder") else OTHER_CONFIG


def finetune_files(
    config: FinetuneConfig,
    *,
    encoder: Path,
    train: Path,  # CSV, TSV or Parquet with columns `sequence,label`, or FASTA beside `labels`
    dev: Path | None,  # picks the epoch; None takes a seeded tenth of `train`, class by class
    test: Path | None,
    out: Path,
    seed: int,  # of the head, the order of the sequences, dropout and the tenth
    task: str | None = None,  # None reads it off the labels
    labels: Path | None = None,  # table `name,label` of a FASTA file
    # name under which reports list the scores; None takes the known dataset in whose folder `train` lies
    dataset: str | None = None,
) -> FinetuneResults:
    """`run_finetune` on files, whose arguments the others are."""
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
