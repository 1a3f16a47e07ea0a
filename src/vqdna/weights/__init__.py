"""Trained models that come with the package: their names, their parts, and where each lies.

Flow: "small" -> folder `small/encoder` or `small/vocabulary` here. A folder with one of the parts is a model;
nothing is listed by hand. It must not know what the parts hold.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vqdna.errors import InputError, nearest_name_hint

Part = Literal["vocabulary", "encoder"]

PARTS: tuple[Part, ...] = ("vocabulary", "encoder")
FOLDER = Path(__file__).parent
DEFAULT = "small"
"""Model that commands take where none is named."""


def built_in_names(part: Part | None = None) -> list[str]:
    """Names of the built-in models, of all or of those with the part, in order."""
    wanted = PARTS if part is None else (part,)
    return sorted({path.parents[1].name for kind in wanted for path in FOLDER.glob(f"*/{kind}/config.json")})


def built_in_folder(name: str, part: Part) -> Path:
    """Folder of a part of a built-in model.

    Raises:
        InputError: no built-in model of that name has the part; names those that have.
    """
    known = built_in_names(part)
    if name not in known:
        listed = f"expected {' or '.join(known)}" if known else "none comes with this installation"
        raise InputError(f"no built-in {part} '{name}', {listed}{nearest_name_hint(name, known)}")
    return FOLDER / name / part


def part_folder(name_or_path: str | Path, part: Part) -> Path:
    """Folder of a part of the built-in model of that name, else the path itself (`./small` is always a path).

    Raises:
        InputError: it is neither; names the nearest built-in one.
    """
    name, known = str(name_or_path), built_in_names(part)
    if name in known:
        return FOLDER / name / part
    if not Path(name).exists():
        names = f" nor a built-in {part} ({', '.join(known)})" if known else ""
        raise InputError(f"{Path(name)}: no such folder{names}{nearest_name_hint(name, known)}")
    return Path(name)
