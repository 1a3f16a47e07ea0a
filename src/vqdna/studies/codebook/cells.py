"""The table of the codebook study: a row for each file in configs/vocabulary/ablations/, hand-made tokenizers beside.

Flow: names -> (row, seed) of each cell; row + preset -> VocabularyConfig. Rows are written in the paper's widths; a
preset divides them and says how long to train and how much of each dataset to probe. It must not know how a cell runs.
Paper: section 5.6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from vqdna.baselines.probe import Limits
from vqdna.config import Values, configs_folder, merged, read_yaml, validate
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
class Preset:
    """How rows written in the paper's sizes are run.

    Attributes:
        folder: of the rows, with the preset's own file `_<name>.yaml`.
        width_divisor: by which a row's width and stem are divided.
        limits: sequences of each dataset that are probed; `dataset_limits` those of single ones, by name.
        values: configuration between `_base.yaml` and the row.
    """

    folder: Path
    name: str
    width_divisor: int
    limits: Limits
    dataset_limits: dict[str, Limits]
    values: Values


def rows_folder() -> Path:
    return configs_folder() / "vocabulary" / "ablations"


def row_names(folder: Path) -> list[str]:
    """Every row: hand-made tokenizers first, then the files of the folder."""
    files = sorted(path.name.removesuffix(".yaml") for path in folder.glob("*.yaml"))
    return [*HAND_MADE, *BPE, *(name for name in files if not name.startswith("_"))]


def chosen_cells(names: Sequence[str] | None, seeds: int, folder: Path) -> list[tuple[str, int]]:
    """Rows called `names` (None: all) with seeds 0 to `seeds` - 1; a row that no seed changes has the first alone.

    Raises:
        InputError: no such row; names the nearest one.
    """
    known = row_names(folder)
    for name in names or ():
        if name not in known:
            raise InputError(f"no cell '{name}' in the codebook study{nearest_name_hint(name, known)}")
    rows = known if names is None else list(dict.fromkeys(names))
    return [(row, seed) for seed in range(seeds) for row in rows if row not in HAND_MADE or seed == 0]


def find_preset(name: str, folder: Path | None = None) -> Preset:
    """Preset of the file `_<name>.yaml` beside the rows, those of the project where no folder is given.

    Raises:
        InputError: no such preset; names the nearest one.
    """
    place = folder or rows_folder()
    known = sorted(path.name[1:-5] for path in place.glob("_*.yaml") if path.name != BASE)
    if name not in known:
        raise InputError(f"no preset '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}")
    values = read_yaml(place / f"_{name}.yaml")
    own = {dataset: Limits(**limits) for dataset, limits in values.pop("dataset_limits", {}).items()}
    return Preset(place, name, values.pop("width_divisor", 1), Limits(**values.pop("limits", {})), own, values)


def row_config(row: str, preset: Preset) -> VocabularyConfig:
    """Configuration of a learned row, its widths divided."""
    path = preset.folder / f"{row}.yaml"
    values = _layered(path, preset.values)
    divided = {key: values["model"][key] // preset.width_divisor for key in ("width", "stem_width")}
    return validate(VocabularyConfig, merged(values, {"model": divided}), str(path))


def paper_width(row: str, preset: Preset) -> int:
    """Width of a learned row as its file says it, before any preset."""
    return int(_layered(preset.folder / f"{row}.yaml", {})["model"]["width"])


def _layered(path: Path, preset_values: Values) -> Values:
    """A row over the rows below it, those over the preset, and that over `_base.yaml`."""
    if path.name == BASE:
        return merged(read_yaml(path), preset_values)
    own = yaml.safe_load(path.read_text()) or {}
    return merged(_layered(path.parent / own.pop("base", BASE), preset_values), own)
