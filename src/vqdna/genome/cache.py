"""The cache folder: where everything lies that can be made again, a folder for each kind of thing.

It is VQDNA_CACHE, else the platform's own (on Linux ~/.cache/vqdna, or below XDG_CACHE_HOME). A module that keeps files
there asks `cache_folder(kind)`. It must not know what the files of a kind hold.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from vqdna.errors import InputError, nearest_name_hint

VARIABLE = "VQDNA_CACHE"

KINDS = {
    "corpora": "genomes packed for training",
    "codes": "codes of sequences by a learned tokenizer",
    "tables": "look-up tables of vocabularies",
    "covid-windows": "datasets cut from SARS-CoV-2 genomes",
}


@dataclass(frozen=True)
class CachedKind:
    """How much of one kind lies in the cache."""

    kind: str
    holds: str
    num_entries: int
    num_bytes: int


def cache_root() -> Path:
    """The whole cache folder; it need not exist."""
    return Path(os.environ.get(VARIABLE) or user_cache_dir("vqdna", appauthor=False)).expanduser()


def cache_folder(kind: str) -> Path:
    """Folder for things of a kind, one of `KINDS`; it need not exist."""
    if kind not in KINDS:
        raise ValueError(f"cache kind '{kind}', wanted one of {', '.join(KINDS)}")
    return cache_root() / kind


def cache_contents() -> list[CachedKind]:
    """What lies in the cache, kind by kind."""
    found = []
    for kind, holds in KINDS.items():
        entries = list(_entries(kind))
        files = [file for entry in entries for file in (entry.rglob("*") if entry.is_dir() else [entry])]
        found.append(CachedKind(kind, holds, len(entries), sum(_size(file) for file in files)))
    return found


def clear_cache(kind: str | None = None) -> None:
    """Removes everything of a kind, or of all kinds; what else lies in the folder stays.

    Raises:
        InputError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"no kind '{kind}' in the cache, expected {', '.join(KINDS)}{nearest_name_hint(kind, KINDS)}")
    for name in KINDS if kind is None else [kind]:
        for entry in _entries(name):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)


def _entries(kind: str) -> Iterator[Path]:
    folder = cache_root() / kind
    if folder.is_dir():
        yield from sorted(folder.iterdir())
    if kind == "corpora" and cache_root().is_dir():
        # Stores lay in VQDNA_CACHE itself before each kind had a folder of its own; they are still opened there.
        yield from sorted(entry.parent for entry in cache_root().glob("*/corpus.json"))


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except OSError:  # another process removed it meanwhile
        return 0
