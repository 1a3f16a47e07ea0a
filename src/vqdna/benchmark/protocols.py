"""A dataset as a protocol presents it: which records train, choose and score, and which test records are duplicates.

Flow: dataset name + protocol + budget -> Task data (train, dev, test, unseen [test row]).
`full` is the official splits. `reduced` is for datasets whose training split is absent: dev trains, but for a tenth of
it that chooses. Every trial is also scored without the test records that occur in its dataset's train or dev split.
It must not know systems.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from vqdna.benchmark.budget import Budget
from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.loading import LabelledSequences, Splits, limited, read_labelled, split_off
from vqdna.tasks.registry import COVID_WINDOWS, SPLITS, Dataset, dataset, find_dataset, split_file

Protocol = Literal["full", "reduced"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
COVID_LIKE = "covid-like"
"""What the variant windows are summed up under: their splits are whole, but ours, and no part of GUE."""

TABLES = "tables"
REDUCED_DEV = 0.1
DRAW_SEED = 0
"""Of draws that all systems and seeds of a benchmark share."""


@dataclass(frozen=True)
class TaskData:
    """One dataset as all systems of a benchmark get it.

    Attributes:
        dataset: name in the registry.
        protocol: which records are what.
        train: what systems learn from.
        dev: what they choose by.
        test: scored once.
        unseen: False for test records whose sequence occurs in the dataset's whole train or dev split.
        folder: what systems share of their work on the dataset.
        epochs: passes over `train` that an encoder's fine-tuning makes.
        batch_size: sequences of an update, or None for what the configuration of stage 3 says.
    """

    dataset: str
    protocol: Protocol
    train: LabelledSequences
    dev: LabelledSequences
    test: LabelledSequences
    unseen: Bool[ndarray, "row"]
    folder: Path
    epochs: int
    batch_size: int | None = None


def protocol_named(name: str) -> Protocol:
    """Protocol called `name`.

    Raises:
        InputError: there is none; names the nearest.
    """
    for protocol in PROTOCOLS:
        if protocol == name:
            return protocol
    raise InputError(
        f"no protocol '{name}', expected one of {', '.join(PROTOCOLS)}{nearest_name_hint(name, PROTOCOLS)}"
    )


def protocol_of(name: str, data_root: Path | None = None) -> Protocol:
    """The protocol that a dataset's files allow: `full` where all three splits lie there, else `reduced`.

    Raises:
        InputError: unknown dataset, no data root, or dev or test is absent too.
    """
    absent = absent_splits(name, data_root)
    if {"dev", "test"} & set(absent):
        folder = _folder(dataset(name, data_root), data_root)
        raise InputError(f"{name}: no {' or '.join(absent)} file in {folder}; `vqdna datasets get {name}` fetches it")
    return "reduced" if absent else "full"


def absent_splits(name: str, data_root: Path | None = None) -> list[str]:
    """Splits of a dataset that do not lie under the data root; none of one that is cut from genomes.

    Raises:
        InputError: unknown dataset, no data root.
    """
    row = dataset(name, data_root)
    if row.name == COVID_WINDOWS:
        return []
    return [split for split in SPLITS if split_file(_folder(row, data_root), split) is None]


def read_task_data(name: str, protocol: Protocol, budget: Budget, out: Path, data_root: Path | None = None) -> TaskData:
    """The dataset's records under a protocol and a budget; writes nothing.

    Raises:
        InputError: unknown dataset, a split that is absent or damaged.
    """
    row = dataset(name, data_root)
    sources = _sources(row, protocol, data_root)
    train = read_labelled(sources["train"])
    dev = read_labelled(sources["dev"], like=train)
    return task_data(row.name, Splits(train, dev, read_labelled(sources["test"], like=train)), budget, out, protocol)


def task_data(name: str, splits: Splits, budget: Budget, out: Path, protocol: Protocol = "full") -> TaskData:
    """Splits in memory under a protocol and a budget.

    Raises:
        InputError: no test split, or no records in a split.
    """
    train, dev, test = splits.train, splits.dev, splits.test
    if test is None or not (len(train) and len(dev) and len(test)):
        raise InputError(f"{name}: a benchmark needs records in train, dev and test")
    # Duplicates are looked for in the whole splits: a record that a budget leaves out may have trained the vocabulary.
    unseen = _unseen(test, train, dev)
    if protocol == "reduced":
        train, dev = split_off(train, REDUCED_DEV, DRAW_SEED)
    train, dev = limited(train, budget.max_train, DRAW_SEED), limited(dev, budget.max_dev, DRAW_SEED)
    return TaskData(
        name, protocol, train, dev, test, unseen,
        folder=out / TABLES / protocol / name,
        epochs=budget.epochs(len(train)),
        batch_size=budget.batch_size(len(train)),
    )  # fmt: skip


def _sources(row: Dataset, protocol: Protocol, data_root: Path | None) -> dict[str, Path]:
    """File of each split; under `reduced` dev stands in for train."""
    if protocol == "full":
        files = find_dataset(row.name, data_root)
        return {"train": files.train, "dev": files.dev, "test": files.test}
    folder = _folder(row, data_root)
    found = {split: split_file(folder, split) for split in ("dev", "test")}
    absent = [split for split, path in found.items() if path is None]
    if absent:
        raise InputError(f"{row.name}: the protocol reduced needs dev and test, no {' or '.join(absent)} in {folder}")
    return {"train": found["dev"], **found}  # type: ignore[dict-item]  # none is absent


def _folder(row: Dataset, data_root: Path | None) -> Path:
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        raise InputError(f"{row.name} needs the data root: set VQDNA_DATA to the folder that holds '{row.folder}'")
    return root / row.folder


def _unseen(test: LabelledSequences, *others: LabelledSequences) -> Bool[ndarray, "row"]:
    known = {bases.tobytes() for split in others for bases in split.base_ids}
    return np.array([bases.tobytes() not in known for bases in test.base_ids], dtype=bool)
