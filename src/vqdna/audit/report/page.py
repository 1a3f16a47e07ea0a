"""The page of an audit: its results file -> sections -> one HTML file that needs nothing from outside.

Uses the style and the drawing script of the report; adds tables of codes with a logo in each row. Must not know how
anything was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vqdna.audit.report.logos import LogoDrawer
from vqdna.audit.report.sections import audit_sections
from vqdna.audit.results import AuditResults, CodeMotif, TokenizerAudit, read_audit
from vqdna.reports.content import percent
from vqdna.reports.page import check_packages, fill_template
from vqdna.results import write_atomically

PAGE = "audit.html"
NEEDED = ("plotly", "jinja2", "logomaker")


@dataclass(frozen=True)
class CodeTable:
    """Codes of one level of one tokenizer, each with the address of its logo and what the logo says in words."""

    title: str
    caption: str
    rows: list[tuple[CodeMotif, str, str]]


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
    write_atomically(folder / PAGE, render_audit(read_audit(folder)).encode())
    return folder / PAGE


def render_audit(results: AuditResults) -> str:
    """HTML text of the page on one audit.

    Raises:
        InputError: a package is missing.
    """
    needed_for_audit()
    drawer = LogoDrawer()
    tables = [
        _code_table(audit, level, drawer, results.bases.composition)
        for audit in results.tokenizers
        for level in range(len(audit.codes))
    ]
    title = f"Audit of {' beside '.join(audit.name for audit in results.tokenizers)}"
    shown = audit_sections(results)
    return fill_template("audit.html.j2", title, shown, code_tables=tables, command=results.command, percent=percent)


def _code_table(audit: TokenizerAudit, level: int, drawer: LogoDrawer, background: list[float]) -> CodeTable:
    codes, used = audit.codes[level], audit.usage.levels[level]
    caption = (
        f"{len(codes)} of {used.size - used.dead_codes:,} codes in use. Half of them are the most used, the others "
        "those whose surroundings differ most from the input as a whole. Logo: the 15 bases around the middle of the "
        "code's span. Tall letters are bases that the code insists on (at most 2 bits a place). k-mers: times as "
        "frequent here as overall."
    )
    rows = [
        (code, drawer.draw(code.matrix, background), f"Logo, most frequent bases {consensus(code.matrix)}")
        for code in codes
    ]
    return CodeTable(audit.column_name(f"level {level}"), caption, rows)


def consensus(matrix: list[list[float]]) -> str:
    letters = []
    for place in matrix:
        best = max(range(4), key=place.__getitem__)
        letters.append("ACGT"[best] if place[best] >= 0.5 else "acgt"[best])
    return "".join(letters)
