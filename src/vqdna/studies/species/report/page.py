"""The page of a species study: the folders of its sets -> one HTML file that needs nothing from outside.

Must not know how a cell was run, nor what its section says.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.errors import InputError
from vqdna.reports.page import render_page
from vqdna.reports.runs import SUMMARY_FILE, find_runs
from vqdna.results import write_atomically
from vqdna.studies.species.report.section import species_section

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
    runs = find_runs(sets)
    section = species_section(runs)
    page = render_page(runs, [section] if section else [], title=TITLE)
    write_atomically(folder / PAGE, page.encode())
    return folder / PAGE
