"""The systems under test by name: what each does with a dataset's three files and a seed.

Flow: name -> System; System(files, seed, folder) -> results record with `dev` and `test` scores. Dev serves to choose
(the epoch, the k); test is scored once, after the choice. The heavy stages are imported when a system runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from vqdna.config import find_config, load_config
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.loading import LabelledSequences, read_labelled
from vqdna.tasks.metrics import metric_value
from vqdna.tasks.registry import DatasetFiles

Record = dict[str, Any]
System = Callable[[DatasetFiles, int, Path], Record]

KMER_SIZES = (3, 4, 5, 6)
SYSTEM_NAMES = (
    "cnn",
    "kmer-logreg",
    "kmer-logreg:K",
    "probe:TOKENIZER",
    "probe:TOKENIZER@DIMENSIONS",
    "encoder:DIR",
    "encoder:DIR@CONFIG",
)
FINETUNE_CONFIG = "cpu"


def find_system(name: str) -> System:
    """System called `name`, one of SYSTEM_NAMES; `kmer-logreg` without K chooses k on dev.

    CONFIG is a fine-tuning configuration by path or by its name in `configs/finetune/`, `cpu` if it is left out.
    DIMENSIONS is how many a representation may have at most, for a comparison at equal size.

    Raises:
        InputError: no such system; names the nearest one. A folder that is not there.
    """
    kind, _, argument = name.partition(":")
    if name == "cnn":
        return run_cnn_system
    if name == "kmer-logreg":
        return run_best_kmer_system
    if kind == "kmer-logreg" and re.fullmatch(r"[1-9]\d*", argument):
        return partial(run_probe_system, f"kmer:{argument}")
    if kind == "probe" and argument:
        return _probe_system(argument)
    if kind == "encoder" and argument:
        return _encoder_system(name, *argument.partition("@")[::2])
    raise InputError(
        f"no system '{name}', expected one of {', '.join(SYSTEM_NAMES)}{nearest_name_hint(name, SYSTEM_NAMES)}"
    )


def is_seedless(name: str) -> bool:
    """Whether the system called `name` gives the same scores for every seed: a probe of a finished tokenizer does."""
    return name.partition(":")[0] in ("kmer-logreg", "probe")


def read_dataset(files: DatasetFiles) -> tuple[LabelledSequences, LabelledSequences, LabelledSequences]:
    """Train, dev and test, the latter two with the classes of train."""
    train = read_labelled(files.train)
    return train, read_labelled(files.dev, like=train), read_labelled(files.test, like=train)


def run_cnn_system(files: DatasetFiles, seed: int, folder: Path) -> Record:
    """Record of the one-hot convolutional network trained from scratch; `folder` stays unused."""
    from vqdna.benchmark.cnn import run_cnn

    train, dev, test = read_dataset(files)
    return run_cnn(train, dev, test, seed=seed)


def run_probe_system(
    tokenizer: str, files: DatasetFiles, seed: int, folder: Path, most_features: int | None = None
) -> Record:
    """Record of logistic regression on the codes of `tokenizer` alone: k-mer counts for `kmer:K`."""
    from vqdna.benchmark.probe import Limits, run_probe
    from vqdna.tokenizers import load_tokenizer

    train, dev, test = read_dataset(files)
    return run_probe(load_tokenizer(tokenizer), train, test, dev, seed=seed, limits=Limits(features=most_features))


def run_best_kmer_system(files: DatasetFiles, seed: int, folder: Path) -> Record:
    """Record of the k-mer probe whose k of 3 to 6 has the best dev MCC, the smallest k on a tie; `k` says which."""
    records = {k: run_probe_system(f"kmer:{k}", files, seed, folder) for k in KMER_SIZES}
    best = max(records, key=lambda k: metric_value(records[k]["dev"], "mcc"))
    dev_mcc = {str(k): record["dev"]["mcc"] for k, record in records.items()}
    seconds = sum(record["seconds"] for record in records.values())
    return {**records[best], "k": best, "dev_mcc_by_k": dev_mcc, "seconds": seconds}


def run_encoder_system(encoder: Path, config: str, files: DatasetFiles, seed: int, folder: Path) -> Record:
    """Record of the genome encoder in `encoder` fine-tuned as `config` says; the run itself stays in `folder`/run."""
    from vqdna.finetune.settings import FinetuneConfig
    from vqdna.finetune.train import run_finetune

    return run_finetune(
        load_config(FinetuneConfig, config, "finetune"),
        encoder=encoder,
        train=files.train,
        dev=files.dev,
        test=files.test,
        out=folder / "run",
        seed=seed,
        announces=False,
    )


def _probe_system(argument: str) -> System:
    tokenizer, at, dimensions = argument.rpartition("@")
    if at and tokenizer and re.fullmatch(r"[1-9]\d*", dimensions):
        return partial(run_probe_system, tokenizer, most_features=int(dimensions))
    return partial(run_probe_system, argument)


def _encoder_system(name: str, folder: str, config: str) -> System:
    if not Path(folder).is_dir():
        raise InputError(f"system '{name}': no folder '{folder}'; expected one that a pre-training run wrote")
    find_config(config or FINETUNE_CONFIG, "finetune")
    return partial(run_encoder_system, Path(folder), config or FINETUNE_CONFIG)
