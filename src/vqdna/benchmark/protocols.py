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
from vqdna.tasks.loading import LabelledSequences, Splits, limited, read_dataset, read_labelled, split_off
from vqdna.tasks.registry import Dataset, dataset, find_dataset, split_file

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


def read_task_data(name: str, protocol: Protocol, budget: Budget, out: Path, data_root: Path | None = None) -> TaskData:
    """The dataset's records under a protocol and a budget; writes nothing.

    Raises:
        InputError: unknown dataset, a split that is absent or damaged.
    """
    row = dataset(name, data_root)
    if protocol == "full":
        train, dev, test = read_dataset(find_dataset(row.name, data_root))
    else:  # dev stands in for train, which is absent or not to be read
        folder = dataset_folder(row, data_root)
        files = [file for split in ("dev", "test") if (file := split_file(folder, split))]
        if len(files) < 2:
            raise InputError(f"{row.name}: the protocol reduced needs dev and test files in {folder}")
        train = dev = read_labelled(files[0])
        test = read_labelled(files[1], like=train)
    return task_data(row.name, Splits(train, dev, test), budget, out, protocol)


def task_data(name: str, splits: Splits, budget: Budget, out: Path, protocol: Protocol = "full") -> TaskData:
    """Splits in memory under a protocol and a budget.

    Raises:
        InputError: no test split, or no records in a split.
    """
    train, dev, test = splits.train, splits.dev, splits.test
    if test is None or not (len(train) and len(dev) and len(test)):
        raise InputError(f"{name}: a benchmark needs records in train, dev and test")
    # Duplicates are looked for in the whole splits: a record that a budget leaves out may have trained the vocabulary.
    known = {bases.tobytes() for split in (train, dev) for bases in split.base_ids}
    unseen = np.array([bases.tobytes() not in known for bases in test.base_ids], dtype=bool)
    if protocol == "reduced":
        train, dev = split_off(train, REDUCED_DEV, DRAW_SEED)
    train, dev = limited(train, budget.max_train, DRAW_SEED), limited(dev, budget.max_dev, DRAW_SEED)
    return TaskData(
        name, protocol, train, dev, test, unseen,
        folder=out / TABLES / protocol / name,
        epochs=budget.epochs(len(train)),
        batch_size=budget.batch_size(len(train)),
    )  # fmt: skip


def dataset_folder(row: Dataset, data_root: Path | None) -> Path:
    """Folder of the dataset's files under the data root.

    Raises:
        InputError: there is no data root.
    """
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        raise InputError(f"{row.name} needs the data root: set VQDNA_DATA to the folder that holds '{row.folder}'")
    return root / row.folder
