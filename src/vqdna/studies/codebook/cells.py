"""The table of the codebook study: a row for each file in configs/vocabulary/ablations/, hand-made tokenizers beside.

Flow: names -> rows -> cells, one a seed; row + preset -> VocabularyConfig. Rows are written in the paper's widths; a
preset divides them and says how long to train and how much of each dataset to probe. It must not know how a cell runs.
Paper: section 5.6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vqdna.baselines.probe import Limits
from vqdna.config import configs_folder, merged, read_yaml, validate
from vqdna.errors import InputError, nearest_name_hint
from vqdna.vocabulary.train import VocabularyConfig

BASE = "_base.yaml"
HAND_MADE = {
    "nucleotide": "nucleotide",
    **{f"kmer_{k}": f"kmer:{k}" for k in (3, 4, 5, 6)},
}
"""Rows that are trained on nothing, with the tokenizer each stands for."""

BPE = {"bpe_4096": 4096}
"""Rows trained by counting, with the number of words of each."""


@dataclass(frozen=True)
class Cell:
    """One row of the table with one seed."""

    row: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of the cell under `out`."""
        return out / self.row / f"seed-{self.seed}"


@dataclass(frozen=True)
class Preset:
    """How rows written in the paper's sizes are run.

    Attributes:
        name: as in `_<name>.yaml` beside the rows.
        width_divisor: by which a row's width and stem are divided.
        limits: sequences of each dataset that are probed.
        dataset_limits: the same for single datasets, by name.
        values: configuration between `_base.yaml` and the row.
    """

    name: str
    width_divisor: int
    limits: Limits
    dataset_limits: dict[str, Limits]
    values: dict[str, Any]

    def limits_of(self, dataset: str, max_train: int | None = None) -> Limits:
        """Limits of one dataset; `max_train` takes the place of the preset's where it is given."""
        limits = self.dataset_limits.get(dataset, self.limits)
        if max_train is None:
            return limits
        return dataclasses.replace(limits, train=max_train)


def rows_folder() -> Path:
    """Folder whose files are the learned rows of the table."""
    return configs_folder() / "vocabulary" / "ablations"


def row_names(folder: Path | None = None) -> list[str]:
    """Every row: hand-made tokenizers first, then the files of the folder."""
    files = sorted(path.name.removesuffix(".yaml") for path in (folder or rows_folder()).glob("*.yaml"))
    return [*HAND_MADE, *BPE, *(name for name in files if not name.startswith("_"))]


def cells(names: Sequence[str] | None, seeds: Sequence[int], folder: Path | None = None) -> list[Cell]:
    """Cells of the rows called `names` (None: all), seed by seed; a row that no seed changes has the first alone.

    Raises:
        InputError: no such row; names the nearest one.
    """
    known = row_names(folder)
    for name in names or ():
        if name not in known:
            raise InputError(f"no cell '{name}' in the codebook study{nearest_name_hint(name, known)}")
    chosen = known if names is None else list(dict.fromkeys(names))
    return [Cell(row, seed) for seed in seeds for row in chosen if row not in HAND_MADE or seed == seeds[0]]


def find_preset(name: str, folder: Path | None = None) -> Preset:
    """Preset called `name`, of the file `_<name>.yaml` beside the rows.

    Raises:
        InputError: no such preset; names the nearest one.
    """
    place = folder or rows_folder()
    known = sorted(path.name[1:-5] for path in place.glob("_*.yaml") if path.name != BASE)
    if name not in known:
        raise InputError(f"no preset '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}")
    values = read_yaml(place / f"_{name}.yaml")
    own = {dataset: Limits(**limits) for dataset, limits in values.pop("dataset_limits", {}).items()}
    return Preset(name, values.pop("width_divisor", 1), Limits(**values.pop("limits", {})), own, values)


def row_config(row: str, preset: Preset, folder: Path | None = None) -> VocabularyConfig:
    """Configuration of a learned row: base, then preset, then the row, its widths divided at the end."""
    place = folder or rows_folder()
    values = _row_values(row, place, preset.values)
    model = dict(values["model"])
    for key in ("width", "stem_width"):
        model[key] = model[key] // preset.width_divisor
    return validate(VocabularyConfig, {**values, "model": model}, str(place / f"{row}.yaml"))


def paper_width(row: str, folder: Path | None = None) -> int:
    """Width of a learned row as its file says it, before any preset."""
    return int(_row_values(row, folder or rows_folder(), {})["model"]["width"])


def _row_values(row: str, place: Path, between: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a row over those of `_base.yaml`, with `between` laid between the two."""
    values = merged(read_yaml(place / BASE), between)
    for layer in _layers(place / f"{row}.yaml"):
        values = merged(values, layer)
    return values


def _layers(path: Path) -> list[dict[str, Any]]:
    """What a row and the rows below it add to `_base.yaml`, lowest first."""
    own = yaml.safe_load(path.read_text()) or {}
    base = own.pop("base", BASE)
    return [own] if base == BASE else [*_layers(path.parent / base), own]
