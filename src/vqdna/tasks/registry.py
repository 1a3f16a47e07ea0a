"""The datasets by name: what is known of each, and where its files lie under the data root.

Flow: name -> Dataset (a row of gue.yaml) -> DatasetFiles(train, dev, test). The table ships with the package, the files
do not. It must not read sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint

SPLIT_SUFFIXES = (".csv.gz", ".csv", ".tsv.gz", ".tsv", ".parquet")


@dataclass(frozen=True)
class Dataset:
    """One labelled dataset as published.

    Attributes:
        name: name on the command line and in result folders.
        folder: folder under the data root.
        group: datasets that tables average together.
        species: where the sequences come from.
        classes: number of classes.
        length: usual length in bases.
        metric: metric of the published tables.
        train: published number of training records.
        dev: published number of dev records.
        test: published number of test records.
    """

    name: str
    folder: str
    group: str
    species: str
    classes: int
    length: int
    metric: str
    train: int
    dev: int
    test: int


@dataclass(frozen=True)
class DatasetFiles:
    """Files of the three splits of one dataset."""

    train: Path
    dev: Path
    test: Path


@cache
def datasets() -> dict[str, Dataset]:
    """All datasets by name, in the order of the published tables."""
    rows = yaml.safe_load(files("vqdna.tasks").joinpath("gue.yaml").read_text())
    return {name: Dataset(name, **row) for name, row in rows.items()}


def dataset(name: str) -> Dataset:
    """Dataset called `name`, or whose folder is `name` (`prom/prom_core_tata` is `prom_core_tata`).

    Raises:
        InputError: no such dataset; names the nearest one.
    """
    known = datasets()
    if name in known:
        return known[name]
    for row in known.values():
        if name in (row.folder, row.folder.removeprefix("gue/")):
            return row
    raise InputError(f"no dataset '{name}' among the {len(known)} known{nearest_name_hint(name, known)}")


def known_dataset(train: Path) -> str | None:
    """Name of the published dataset in whose folder the file lies, or None."""
    parent = train.resolve().parent.as_posix()
    return next((row.name for row in datasets().values() if parent.endswith(f"/{row.folder}")), None)


def find_dataset(name: str, data_root: Path | None = None) -> DatasetFiles:
    """Files of the dataset's three splits under `data_root` (None: where `find_data_root` finds it).

    Raises:
        InputError: unknown name, no data root, or a split that is not there.
    """
    row = dataset(name)
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        raise InputError(f"{row.name} needs the data root: set VQDNA_DATA to the folder that holds '{row.folder}'")
    found = {split: _split_file(root / row.folder, split) for split in ("train", "dev", "test")}
    absent = [split for split, path in found.items() if path is None]
    if absent:
        present = ", ".join(split for split, path in found.items() if path is not None) or "no split at all"
        raise InputError(
            f"{row.name}: no {' or '.join(absent)} file in {root / row.folder} (there is {present}); "
            f"put it there as {absent[0]}.csv or {absent[0]}.csv.gz"
        )
    return DatasetFiles(**{split: path for split, path in found.items() if path is not None})


def available_datasets(data_root: Path | None = None) -> list[str]:
    """Names of the datasets whose three splits lie under the data root, in the order of the published tables."""
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        return []
    splits = ("train", "dev", "test")
    return [row.name for row in datasets().values() if all(_split_file(root / row.folder, split) for split in splits)]


def _split_file(folder: Path, split: str) -> Path | None:
    return next((path for suffix in SPLIT_SUFFIXES if (path := folder / f"{split}{suffix}").is_file()), None)
