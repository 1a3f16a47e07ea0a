"""A study of variants as its page reads it: the summary's records by step and system, and scores with their intervals.

Flow: summary.json -> Study. What is missing comes out as None, and the page passes over it. Must not know how
anything was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vqdna.reports.content import MISSING, Cell
from vqdna.reports.runs import nested, number
from vqdna.studies.sars_cov_2.report.figures import Bar

LEVEL_WORDS = {"all": "all levels", "coarse": "coarse level", "fine": "fine level"}
UNITS = ("genomes", "windows")
KIND_WORDS = {"counts": "code counts", "vectors": "mean code vectors"}


@dataclass(frozen=True)
class Study:
    """The summary, with the ways in which the page asks it."""

    record: Mapping[str, Any]

    @property
    def systems(self) -> list[str]:
        """Names of the systems in the order of the study."""
        return [str(system["name"]) for system in self.record["systems"]]

    @property
    def main(self) -> str:
        """The system that the pictures show."""
        return str(self.record["shown"])

    def unit_words(self, unit: str) -> str:
        """Genomes or windows in words."""
        return "whole genomes" if unit == "genomes" else f"windows of {self.record['sizes']['window']:,} bases"

    def level_sizes(self, system: str) -> list[int]:
        """Codes of each level of a system."""
        return next(list(s["level_sizes"]) for s in self.record["systems"] if s["name"] == system)

    def result(self, step: str, system: str) -> Any:
        """What a step found of a system, or None."""
        return nested(self.record, "steps", step, system, "result")

    def bar(self, *keys: str) -> Bar | None:
        """Score with its interval below nested keys of the summary, or None."""
        return as_bar(nested(self.record, *keys))


def as_bar(record: object) -> Bar | None:
    """Score with its interval, or None where it is not whole."""
    values = [number(nested(record, key)) for key in ("value", "low", "high")]
    return None if any(value is None for value in values) else Bar(*(float(value or 0.0) for value in values))


def bar_cell(bar: Bar | None, *, percent: bool = False, digits: int = 1) -> Cell:
    """Cell of a score with its interval behind it."""
    if bar is None:
        return Cell(MISSING)
    return Cell(bar_text(bar, percent=percent, digits=digits), bar.value)


def bar_text(bar: Bar, *, percent: bool = False, digits: int = 1) -> str:
    """Score and interval as text: `56.4 (55.0 to 57.9)`."""
    scale = 100 if percent else 1
    value, low, high = (f"{scale * part:.{digits}f}" for part in (bar.value, bar.low, bar.high))
    return value if low == high == value else f"{value} ({low} to {high})"


def representation_words(name: str) -> str:
    """`counts, coarse` in words."""
    kind, _, levels = name.partition(", ")
    return f"{KIND_WORDS.get(kind, kind)}, {LEVEL_WORDS.get(levels, levels)}"


def level_name(level: int, count: int) -> str:
    """Name of a level in tables."""
    if count == 1:
        return "its codes"
    end = " (coarse)" if level == 0 else " (fine)" if level == count - 1 else ""
    return f"level {level}{end}"
