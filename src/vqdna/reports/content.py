"""What a report is made of: sections of blocks, blocks of sentences, facts, tables and figures.

Plain records between the sections (which fill them from runs) and the template (which escapes and lays them out), with
the few ways in which a number becomes text, a dash for None. Must not know where the numbers come from.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from vqdna import quantities
from vqdna.stage_results import MeanAndSd

MISSING = "–"

Plotly: TypeAlias = dict[str, Any]
"""A part of plotly's own JSON: a trace, an axis, a layout."""


@dataclass(frozen=True)
class Figure:
    """A plotly picture: its title, what it says in words, how to read it, and its data and layout.

    `names` are those of its points in the order of their numbers, which stand for them where there is little room.
    """

    title: str
    alt: str
    caption: str
    spec: Plotly
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Drawing:
    """A picture that needs no script: title, what it says in words, how to read it, and SVG whose text is escaped."""

    title: str
    alt: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Cell:
    """A table cell: the text shown, and the exact number behind it where there is one.

    Attributes:
        best: set off and named the best.
        strong: bold; what that means, the caption says.
        notes: small lines below the text.
        warning: one more such line, set off.
    """

    text: str
    value: float | None = None
    best: bool = False
    strong: bool = False
    notes: tuple[str, ...] = ()
    warning: str = ""


@dataclass(frozen=True)
class Table:
    """A table: caption, column names, rows; the columns from `num_text_columns` on hold numbers.

    Attributes:
        dividers: heading over the rows from an index on, which stand apart from those above.
        dense: smaller, for many columns.
    """

    caption: str
    columns: list[str]
    rows: list[list[Cell]]
    num_text_columns: int = 1
    dividers: Mapping[int, str] = field(default_factory=dict)
    dense: bool = False


@dataclass(frozen=True)
class Block:
    """Part of a section; `title` may be empty, the figures of a row stand side by side where there is room.

    One that is `folded` shows its title until a reader opens it.
    """

    title: str = ""
    sentences: list[str] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    rows: list[list[Figure]] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    folded: bool = False

    @property
    def figures(self) -> list[Figure]:
        return [figure for row in self.rows for figure in row]


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    sentences: list[str]
    blocks: list[Block]


def number_cell(value: float | None, text: str, *, best: bool = False) -> Cell:
    """Cell of a number, shown as `text`; a dash where there is no number."""
    return Cell(MISSING) if value is None else Cell(text, value, best)


def score_cell(score: MeanAndSd, digits: int = 1, scale: float = 100.0, *, best: bool = False) -> Cell:
    """Cell of a mean times `scale` with its deviation; a dash where there is none."""
    value = None if score.mean is None else scale * score.mean
    return number_cell(value, score.text(digits, scale), best=best)


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
    return f"{value:.3g}"


def duration(seconds: float | None) -> str:
    return MISSING if seconds is None else quantities.duration(seconds)


def bytes_of(value: float | None) -> str:
    return MISSING if value is None else quantities.bytes_of(value)


def known_mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are there, or None where none is."""
    found = [value for value in values if value is not None]
    return statistics.fmean(found) if found else None


def known(facts: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in facts if value != MISSING]


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(names: list[str]) -> str:
    """Names as a sentence lists them: `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else ""
