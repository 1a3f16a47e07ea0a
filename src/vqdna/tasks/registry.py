"""The datasets by name: what is known of each, and where its files lie under the data root.

Flow: name -> Dataset (a row of datasets.yaml, or of the user's own table) -> DatasetFiles(train, dev, test). The table
comes with the package, the files do not; `covid-windows` is cut from genomes of the data root when first asked for. It
must not read sequences.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from vqdna.config import Values, read_yaml
from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.covid_windows import VARIANTS_FILE, WindowSizes, variant_window_files

COVID_WINDOWS = "covid-windows"
OWN_TABLE = "datasets.yaml"  # file of the data root with rows of one's own; VQDNA_DATASETS names another

SPLITS = ("train", "dev", "test")
SPLIT_SUFFIXES = (".csv.gz", ".csv", ".tsv.gz", ".tsv", ".parquet")


@dataclass(frozen=True)
class Dataset:
    """One labelled dataset as published."""

    name: str
    folder: str  # folder under the data root
    group: str = "own"  # datasets that tables average together
    species: str = "any"
    classes: int = 2
    length: int = 0  # usual length in bases
    metric: str = "mcc"  # metric of the published tables
    task: str = "classification"  # what the labels mean, see `vqdna.tasks.loading.Task`
    train: int | None = None  # published number of training records, as dev and test are of theirs; None where none is
    dev: int | None = None
    test: int | None = None
    remote: str | None = None  # its name at the source of its group
    # address of each split, for rows that have a source of their own; an archive's member stands behind `#`
    urls: Mapping[str, str] | None = None
    sha256: Mapping[str, str] | None = None  # checksum of each split's records, see `vqdna.tasks.inventory.checksum`
    license: str | None = None  # of rows that have a source of their own

    def num_records(self, split: str) -> int | None:
        count: int | None = getattr(self, split)
        return count


@dataclass(frozen=True)
class DatasetFiles:
    train: Path
    dev: Path
    test: Path


@cache
def datasets() -> dict[str, Dataset]:
    """The 32 datasets of the paper by name, in the order of the published tables."""
    checksums = package_table("checksums.yaml")
    return {
        name: Dataset(name, **row, sha256=checksums.get(name)) for name, row in package_table("datasets.yaml").items()
    }


def own_datasets(data_root: Path | None = None) -> dict[str, Dataset]:
    """Rows of the user's own table: that named by VQDNA_DATASETS, else `datasets.yaml` in the data root."""
    named, root = os.environ.get("VQDNA_DATASETS"), data_root if data_root is not None else find_data_root()
    path = Path(named).expanduser() if named else None if root is None else root / OWN_TABLE
    if path is None or not (named or path.is_file()):
        return {}
    return {name: _own_row(path, name, row) for name, row in read_yaml(path).items()}


def _own_row(path: Path, name: str, row: Any) -> Dataset:
    known = [field.name for field in fields(Dataset) if field.name not in ("name", "remote")]
    if not isinstance(row, Mapping) or "folder" not in row:
        raise InputError(f"{path}: '{name}' needs at least folder: DIR, and may have {', '.join(known[1:])}")
    for key in row:
        if key not in known:
            raise InputError(f"{path}: '{name}' has the unknown key '{key}'{nearest_name_hint(str(key), known)}")
    if name in datasets():
        raise InputError(f"{path}: the name '{name}' is taken by a dataset of the paper; choose another")
    return Dataset(str(name), **row)


def package_table(name: str) -> Values:
    table: Values = yaml.safe_load(files("vqdna.tasks").joinpath(name).read_text())
    return table


@cache
def variant_windows() -> Dataset:
    """The dataset `covid-windows` in its default sizes; its folder is the file that it is cut from."""
    sizes = WindowSizes()
    counts = {split: 9 * getattr(sizes, split) * sizes.windows_per_genome for split in ("train", "dev", "test")}
    about = {"group": "virus", "species": "SARS-CoV-2", "classes": 9, "length": sizes.window, "metric": "f1_macro"}
    return Dataset(COVID_WINDOWS, VARIANTS_FILE, **about, **counts)  # type: ignore[arg-type]


def dataset(name: str, data_root: Path | None = None) -> Dataset:
    """Dataset called `name`, or whose folder is `name` (`prom/prom_core_tata` is `prom_core_tata`)."""
    known = {**datasets(), COVID_WINDOWS: variant_windows(), **own_datasets(data_root)}
    if name in known:
        return known[name]
    for row in known.values():
        if name in (row.folder, row.folder.removeprefix("gue/")):
            return row
    raise InputError(f"no dataset '{name}' among the {len(known)} known{nearest_name_hint(name, known)}")


def known_dataset(train: Path) -> str | None:
    """Name of the published dataset in whose folder the file lies, or None."""
    parent = train.resolve().parent.as_posix()
    if train.resolve().parent.parent.name == COVID_WINDOWS:
        return COVID_WINDOWS
    return next((row.name for row in datasets().values() if parent.endswith(f"/{row.folder}")), None)


def find_dataset(name: str, data_root: Path | None = None) -> DatasetFiles:
    """Files of the dataset's three splits under `data_root` (None: where `find_data_root` finds it).

    Those of `covid-windows` lie in the cache folder and are written there first where they are missing.
    """
    row = dataset(name, data_root)
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        raise InputError(f"{row.name} needs the data root: set VQDNA_DATA to the folder that holds '{row.folder}'")
    if row.name == COVID_WINDOWS:
        return DatasetFiles(**variant_window_files(root, WindowSizes()))
    return files_in_folder(root / row.folder, row.name)


def files_in_folder(folder: Path, name: str) -> DatasetFiles:
    """Tables of the three splits in a folder: train, dev and test as CSV, TSV or Parquet; messages call it `name`."""
    found = {split: split_file(folder, split) for split in SPLITS}
    absent = [split for split, path in found.items() if path is None]
    if absent:
        present = ", ".join(split for split, path in found.items() if path is not None) or "no split at all"
        raise InputError(
            f"{name}: no {' or '.join(absent)} file in {folder} (there is {present}); "
            f"put it there as {absent[0]}.csv or {absent[0]}.csv.gz"
        )
    return DatasetFiles(**{split: path for split, path in found.items() if path is not None})


def present_datasets(data_root: Path) -> list[Dataset]:
    """Datasets of which a split at least lies under the data root, those of the paper first."""
    rows = {**datasets(), **own_datasets(data_root)}
    return [row for row in rows.values() if any(split_file(data_root / row.folder, split) for split in SPLITS)]


def split_file(folder: Path, split: str) -> Path | None:
    return next((path for suffix in SPLIT_SUFFIXES if (path := folder / f"{split}{suffix}").is_file()), None)


GUE_13 = (
    *(f"tf/{number}" for number in range(5)),
    *(f"mouse/{number}" for number in (0, 2, 3, 4)),
    "prom_core_all",
    "prom_core_notata",
    "prom_core_tata",
    "prom_300_tata",
)
"""GUE's sets with three complete splits at hand."""


def files_of(name: str, data_root: Path | None) -> DatasetFiles:
    """Files of a dataset given by name, see `find_dataset`, or by its folder."""
    return files_in_folder(Path(name), name) if Path(name).is_dir() else find_dataset(name, data_root)
