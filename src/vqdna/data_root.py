"""Where real data lies, if anywhere: the folder named by VQDNA_DATA, else ../shared/data beside the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from vqdna.errors import InputError


def find_data_root() -> Path | None:
    """Folder with `gue/`, `genomes/`, `sarscov2/` and `small/`, or None on a machine without it."""
    named = os.environ.get("VQDNA_DATA")
    if named:
        root = Path(named).expanduser()
        if not root.is_dir():
            raise InputError(f"VQDNA_DATA names '{named}', which is not a folder; unset it or name the data root")
        return root
    beside = Path.cwd().parent / "shared" / "data"
    return beside if beside.is_dir() else None
