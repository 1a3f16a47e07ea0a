"""The page of a study of variants: its summary -> sections -> one HTML file that needs nothing from outside.

Flow: OUT/summary.json -> Study -> OUT/sars_cov_2.html, with OUT/figures/*.svg for print. Uses the style and the drawing
script of the report. Must not know how anything was measured.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.errors import InputError
from vqdna.reports.page import check_packages, fill_template
from vqdna.reports.runs import SUMMARY_FILE
from vqdna.results import read_json, write_atomically
from vqdna.studies.sars_cov_2.report.print_figures import static_figures
from vqdna.studies.sars_cov_2.report.results import Study
from vqdna.studies.sars_cov_2.report.sections import lineage_sections

PAGE = "sars_cov_2.html"
NEEDED = ("plotly", "jinja2", "matplotlib", "edlib", "parasail", "skbio")


def needed_for_lineages() -> None:
    """Checks that the packages a page needs are there, before anything long is begun.

    Raises:
        InputError: one is not installed.
    """
    check_packages(NEEDED, "the study and its page", "report,study")


def write_lineage_page(folder: Path) -> Path:
    """Page beside the summary of a study of variants, and its static pictures; returns the page's path.

    Raises:
        InputError: the folder holds no such summary, or a package is missing.
    """
    summary = read_json(folder / SUMMARY_FILE)
    if summary.get("study") != "sars-cov-2":
        raise InputError(
            f"{folder / SUMMARY_FILE}: the summary of another study, wanted that of `vqdna study sars-cov-2`"
        )
    study = Study(summary)
    write_atomically(folder / PAGE, render_lineages(study).encode())
    for name, picture in static_figures(study).items():
        write_atomically(folder / "figures" / name, picture)
    return folder / PAGE


def render_lineages(study: Study) -> str:
    """HTML text of the page.

    Raises:
        InputError: a package is missing.
    """
    needed_for_lineages()
    title = f"Codes and variants of {study.record['virus']}"
    return fill_template("page.html.j2", title, lineage_sections(study), command=str(study.record.get("command", "")))
