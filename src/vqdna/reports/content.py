"""What a report is made of: sections of blocks, blocks of sentences, facts, tables and figures.

Plain records between the sections (which fill them from runs) and the template (which escapes and lays them out), with
the few ways in which a number becomes text. Must not know where the numbers come from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MISSING = "–"


@dataclass(frozen=True)
class Figure:
    """A plotly picture: its title, what it says in words, how to read it, and its data and layout."""

    title: str
    alt: str
    caption: str
    spec: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """A table cell: the text shown, and the exact number behind it where there is one."""

    text: str
    value: float | None = None
    best: bool = False


@dataclass(frozen=True)
class Table:
    """A table: caption, column names, rows; the columns from `num_text_columns` on hold numbers."""

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    num_text_columns: int = 1


@dataclass(frozen=True)
class Block:
    """Part of a section; `title` may be empty, the figures of a row stand side by side where there is room."""

    title: str = ""
    sentences: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    rows: list[list[Figure]] = field(default_factory=list)

    @property
    def figures(self) -> list[Figure]:
        """All figures in reading order."""
        return [figure for row in self.rows for figure in row]


@dataclass(frozen=True)
class Section:
    """Part of the report with an entry in its navigation."""

    anchor: str
    title: str
    sentences: list[str]
    blocks: list[Block]


def number_cell(value: float | None, text: str) -> Cell:
    """Cell of a number, shown as `text`; a dash where there is no number."""
    return Cell(MISSING) if value is None else Cell(text, value)


def percent(fraction: float | None, digits: int = 1) -> str:
    """Fraction as a percentage; a dash for None. A value just below the whole never reads as 100 %."""
    if fraction is None:
        return MISSING
    text = f"{100 * fraction:.{digits}f}"
    if fraction < 1 and text == f"{100:.{digits}f}":
        return f"> {100 - 10**-digits:.{digits}f} %"
    return f"{text} %"


def decimal(value: float | None, digits: int = 3) -> str:
    """Number with a fixed number of digits; a dash for None."""
    return MISSING if value is None else f"{value:,.{digits}f}"


def magnitude(value: float | None) -> str:
    """Count in thousands (K), millions (M) or billions (B); a dash for None."""
    if value is None:
        return MISSING
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:g}"


def duration(seconds: float | None) -> str:
    """Time span in words a reader takes in at a glance; a dash for None."""
    if seconds is None:
        return MISSING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def known(facts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The facts whose value is there."""
    return [(name, value) for name, value in facts if value != MISSING]


def plural(count: int, noun: str) -> str:
    """Count and noun, with an s where the count is not one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
