"""A dataset as a protocol presents it: which records train, choose and score, and which test records are duplicates.

Flow: dataset name + protocol + budget -> Task data (train, dev, test, files that fine-tuning reads, unseen [test row]).
`full` is the official splits. `reduced` is for datasets whose training split is absent: dev trains, but for a tenth of
it that chooses. Every cell is also scored without the test records that occur in its dataset's train or dev split.
It must not know systems.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from vqdna.benchmark.budget import Budget
from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import from_base_ids
from vqdna.tasks.loading import LABEL_SEPARATOR, LabelledSequences, limited, read_labelled, split_off
from vqdna.tasks.registry import COVID_WINDOWS, SPLITS, Dataset, dataset, find_dataset, split_file
from vqdna.tasks.tables import write_labelled_csv

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
        whole: files of those of `train` and `dev` that are official splits, uncut.
        folder: where the others are written as tables, and what systems share of their work on the dataset.
        epochs: passes over `train` that an encoder's fine-tuning makes.
        batch_size: sequences of an update, or None for what the configuration of stage 3 says.
    """

    dataset: str
    protocol: Protocol
    train: LabelledSequences
    dev: LabelledSequences
    test: LabelledSequences
    unseen: Bool[ndarray, "row"]
    whole: Mapping[str, Path]
    folder: Path
    epochs: int
    batch_size: int | None = None

    @cached_property
    def tables(self) -> dict[str, Path]:
        """`train` and `dev` as files; what is no official split is written when first asked for."""
        return {
            name: self.whole[name] if name in self.whole else _table(records, self.folder / f"{name}.csv")
            for name, records in (("train", self.train), ("dev", self.dev))
        }


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
    """The dataset's records under a protocol and a budget; writes nothing, its `tables` would go below `out`/tables.

    Raises:
        InputError: unknown dataset, a split that is absent or damaged.
    """
    row = dataset(name, data_root)
    sources = _sources(row, protocol, data_root)
    pool = read_labelled(sources["train"])
    dev = read_labelled(sources["dev"], like=pool)
    test = read_labelled(sources["test"], like=pool)
    unseen = _unseen(test, pool, dev)
    train = pool
    if protocol == "reduced":
        train, dev = split_off(pool, REDUCED_DEV, DRAW_SEED)
    kept = {"train": limited(train, budget.max_train, DRAW_SEED), "dev": limited(dev, budget.max_dev, DRAW_SEED)}
    uncut = [name for name, split in (("train", train), ("dev", dev)) if kept[name] is split and protocol == "full"]
    return TaskData(
        row.name, protocol, kept["train"], kept["dev"], test, unseen,
        whole={name: sources[name] for name in uncut},
        folder=out / TABLES / protocol / row.name,
        epochs=budget.epochs(len(kept["train"])),
        batch_size=budget.batch_size(len(kept["train"])),
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


def _table(records: LabelledSequences, path: Path) -> Path:
    """The records as a table at `path`, written where it is not there yet."""
    if not path.is_file():
        rows = ((from_base_ids(bases), _label(records, row)) for row, bases in enumerate(records.base_ids))
        write_labelled_csv(path, rows)
    return path


def _label(records: LabelledSequences, row: int) -> str:
    """The label as tables have it."""
    if records.task == "regression":
        return repr(float(records.labels[row]))
    if records.task == "classification":
        return records.class_names[int(records.labels[row])]
    chosen = [name for name, held in zip(records.class_names, records.labels[row], strict=True) if held]
    return LABEL_SEPARATOR.join(chosen) or LABEL_SEPARATOR
