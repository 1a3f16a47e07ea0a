"""The datasets by name: what is known of each, and where its files lie under the data root.

Flow: name -> Dataset (a row of gue.yaml) -> DatasetFiles(train, dev, test). The table ships with the package, the files
do not; `covid-windows` is cut from genomes of the data root when it is first asked for. It must not read sequences.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import yaml

from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint
from vqdna.tasks.sars_cov_2 import VARIANTS_FILE, WindowSizes, variant_window_files

COVID_WINDOWS = "covid-windows"
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


@cache
def variant_windows() -> Dataset:
    """The dataset `covid-windows` in its default sizes; its folder is the file that it is cut from."""
    sizes = WindowSizes()
    counts = {split: 9 * getattr(sizes, split) * sizes.windows_per_genome for split in ("train", "dev", "test")}
    about = {"group": "virus", "species": "SARS-CoV-2", "classes": 9, "length": sizes.window, "metric": "f1_macro"}
    return Dataset(COVID_WINDOWS, VARIANTS_FILE, **about, **counts)  # type: ignore[arg-type]


def dataset(name: str) -> Dataset:
    """Dataset called `name`, or whose folder is `name` (`prom/prom_core_tata` is `prom_core_tata`).

    Raises:
        InputError: no such dataset; names the nearest one.
    """
    known = {**datasets(), COVID_WINDOWS: variant_windows()}
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

    Raises:
        InputError: unknown name, no data root, or a split that is not there.
    """
    row = dataset(name)
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        raise InputError(f"{row.name} needs the data root: set VQDNA_DATA to the folder that holds '{row.folder}'")
    if row.name == COVID_WINDOWS:
        return DatasetFiles(**variant_window_files(root, WindowSizes()))
    return files_in_folder(root / row.folder, row.name)


def files_in_folder(folder: Path, name: str) -> DatasetFiles:
    """Tables of the three splits in a folder: train, dev and test as CSV, TSV or Parquet.

    Raises:
        InputError: a split that is not there; `name` is what the message calls the dataset.
    """
    found = {split: _split_file(folder, split) for split in ("train", "dev", "test")}
    absent = [split for split, path in found.items() if path is None]
    if absent:
        present = ", ".join(split for split, path in found.items() if path is not None) or "no split at all"
        raise InputError(
            f"{name}: no {' or '.join(absent)} file in {folder} (there is {present}); "
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
