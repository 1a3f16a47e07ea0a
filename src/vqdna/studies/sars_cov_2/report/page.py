"""The page of the study: its summary -> sections -> one HTML file that needs nothing from outside.

Flow: OUT/summary.json -> Summary -> OUT/sars_cov_2.html, with OUT/figures/*.svg for print. Uses the style and the
drawing script of the report. Must not know how anything was measured.
"""

from __future__ import annotations

from pathlib import Path

from vqdna.config import validate
from vqdna.errors import InputError
from vqdna.reports.page import check_packages, fill_template
from vqdna.reports.runs import SUMMARY_FILE
from vqdna.results import read_json, write_atomically
from vqdna.studies.sars_cov_2.report.print_figures import static_figures
from vqdna.studies.sars_cov_2.report.sections import lineage_sections
from vqdna.studies.sars_cov_2.summary import STUDY, Summary

PAGE = "sars_cov_2.html"
NEEDED = ("plotly", "jinja2", "matplotlib", "edlib", "parasail", "skbio")


def needed_for_lineages() -> None:
    """Checks that the packages a page needs are there, before anything long is begun.

    Raises:
        InputError: one is not installed.
    """
    check_packages(NEEDED, "the study and its page", "report,study")


def read_summary(path: Path) -> Summary:
    """What a study of lineages wrote, of this version or an earlier one.

    Raises:
        InputError: no such file, or the summary of another study.
    """
    found = read_json(path)
    if found.get("study") != STUDY:
        raise InputError(f"{path}: the summary of another study, wanted that of `vqdna study {STUDY}`")
    return validate(Summary, found, str(path))


def write_lineage_page(folder: Path) -> Path:
    """Page beside the summary of a study of lineages, and its static pictures; returns the page's path.

    Raises:
        InputError: the folder holds no such summary, or a package is missing.
    """
    summary = read_summary(folder / SUMMARY_FILE)
    write_atomically(folder / PAGE, render_lineages(summary).encode())
    for name, picture in static_figures(summary).items():
        write_atomically(folder / "figures" / name, picture)
    return folder / PAGE


def render_lineages(summary: Summary) -> str:
    needed_for_lineages()
    title = f"Codes and lineages of {summary.virus}"
    return fill_template("page.html.j2", title, lineage_sections(summary), command=summary.command)
