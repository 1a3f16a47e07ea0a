"""The page of an audit: its results file -> sections -> one HTML file that needs nothing from outside.

Uses the style and the drawing script of the report; adds tables of codes with a logo in each row. Must not know how
anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqdna.audit.report.logos import LogoDrawer
from vqdna.audit.report.sections import audit_sections
from vqdna.errors import InputError
from vqdna.reports.content import decimal, percent
from vqdna.reports.page import check_packages, page_environment
from vqdna.reports.runs import nested, number
from vqdna.results import RESULTS_FILE, read_json, write_atomically

PAGE = "audit.html"
STAGE = "audit"
NEEDED = ("plotly", "jinja2", "logomaker")
EVEN_BACKGROUND = [0.25] * 4
NUM_KMERS_SHOWN = 10


@dataclass(frozen=True)
class CodeRow:
    """One code: its number and use, a logo, and its k-mers with how much more often they occur here."""

    code: str
    count: str
    share: str
    information: str
    partner: str
    logo: str
    logo_words: str
    kmers: list[tuple[str, str]]


@dataclass(frozen=True)
class CodeTable:
    """Codes of one level of one tokenizer."""

    title: str
    caption: str
    rows: list[CodeRow]


def needed_for_audit() -> None:
    """Checks that the packages a page needs are there, before anything long is begun.

    Raises:
        InputError: one is not installed.
    """
    check_packages(NEEDED, "the page of an audit")


def write_audit_page(folder: Path) -> Path:
    """Page `audit.html` beside the results.json of an audit; returns its path.

    Raises:
        InputError: the folder holds no audit, or a package is missing.
    """
    results = read_json(folder / RESULTS_FILE)
    if results.get("stage") != STAGE:
        raise InputError(f"{folder / RESULTS_FILE}: the results of '{results.get('stage')}', wanted an audit's")
    write_atomically(folder / PAGE, render_audit(results).encode())
    return folder / PAGE


def render_audit(results: Mapping[str, Any]) -> str:
    """HTML text of the page on one audit.

    Raises:
        InputError: a package is missing.
    """
    needed_for_audit()
    from plotly.offline import get_plotlyjs

    return str(
        page_environment()
        .get_template("audit.html.j2")
        .render(
            title=_title(results),
            sections=audit_sections(results),
            code_tables=code_tables(results),
            command=str(results.get("command", "")),
            plotly_js=get_plotlyjs(),
        )
    )


def code_tables(results: Mapping[str, Any]) -> list[CodeTable]:
    """A table for each level of each tokenizer, a row for each code that the results hold."""
    drawer = LogoDrawer()
    background = nested(results, "bases", "composition")
    ground = background if isinstance(background, list) and len(background) == 4 else EVEN_BACKGROUND
    return [
        _code_table(record, level, codes, drawer, ground)
        for record in results["tokenizers"]
        for level, codes in enumerate(record["codes"])
    ]


def _code_table(
    record: Mapping[str, Any], level: int, codes: list[Mapping[str, Any]], drawer: LogoDrawer, ground: list[float]
) -> CodeTable:
    used = record["usage"]["levels"][level]
    num_used = used["size"] - used["dead_codes"]
    caption = (
        f"{len(codes)} of {num_used:,} codes in use: half of them the most used, the others those whose surroundings "
        "differ most from the input as a whole. Logo: the 15 bases around the middle of the code's span; tall letters "
        "are bases that the code insists on (at most 2 bits a place). k-mers: times as frequent here as overall."
    )
    several = len(record["level_sizes"]) > 1
    title = f"{record['name']}, level {level}" if several else str(record["name"])
    return CodeTable(title, caption, [_code_row(code, drawer, ground) for code in codes])


def _code_row(code: Mapping[str, Any], drawer: LogoDrawer, ground: list[float]) -> CodeRow:
    partner = code.get("partner")
    matrix = code["matrix"]
    return CodeRow(
        code=str(code["code"]),
        count=decimal(number(code["count"]), 0),
        share=percent(number(code["share"]), 2),
        information=decimal(number(code["information_bits"]), 1),
        partner=f"{partner['code']} ({percent(partner['share'], 0)})" if partner else "–",
        logo=drawer.draw(matrix, ground),
        logo_words=f"Logo, most frequent bases {consensus(matrix)}",
        kmers=[(str(k["kmer"]), f"{k['enrichment']:.3g}×") for k in code["kmers"][:NUM_KMERS_SHOWN]],
    )


def consensus(matrix: list[list[float]]) -> str:
    """Most frequent base of each place, lower case where it has less than half."""
    letters = []
    for place in matrix:
        best = max(range(4), key=place.__getitem__)
        letters.append("ACGT"[best] if place[best] >= 0.5 else "acgt"[best])
    return "".join(letters)


def _title(results: Mapping[str, Any]) -> str:
    names = [str(record["name"]) for record in results["tokenizers"]]
    return f"Audit of {' beside '.join(names)}"
