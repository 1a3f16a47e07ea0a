"""The page of a species study: the folders of its sets -> one HTML file that needs nothing from outside.

Must not know how a cell was run, nor what its section says.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.errors import InputError
from vqdna.reports.page import write_report
from vqdna.reports.runs import SUMMARY_FILE

PAGE = "species.html"
TITLE = "Which species is it? Classification from 1k to 450k bases"


def write_species_page(folder: Path) -> Path:
    """Page `species.html` in the folder of a species study, on all of its sets; returns its path.

    Raises:
        InputError: no set has results yet, or a package is missing.
    """
    sets = sorted(path.parent for path in folder.glob(f"*/{SUMMARY_FILE}"))
    if not sets:
        raise InputError(f"{folder}: no results of a species study yet")
    write_report(sets, folder / PAGE, title=TITLE)
    return folder / PAGE
