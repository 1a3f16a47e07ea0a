"""Rows of a species study as its report reads them: the summary of each set, checked value by value.

Owns the flow run of a set -> `SpeciesRow` for each system and length, and what was left out with its reason. Must not
know how a row is shown, and trusts no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vqdna.reports.content import Score
from vqdna.reports.runs import Run, nested, number

SPECTRUM, COMPOSITION = "spectrum", "nucleotide"
"""Systems that need no learning: k-mers of the best k, and single bases, which are composition alone."""


@dataclass(frozen=True)
class SpeciesRow:
    """One system at one length.

    Attributes:
        accuracy: share of test windows told right.
        by_representation: the same for each representation the system has.
        num_classes: species to tell apart; guessing has one over it.
        independent: test windows that would fit side by side.
        seconds: processor time of one window.
        window_bytes: measured peak memory of one window beyond weights and libraries; `foreseen_bytes` before the run.
    """

    system: str
    length: int
    accuracy: Score
    how: str = ""
    by_representation: Mapping[str, Score] = field(default_factory=dict)
    num_classes: int = 0
    num_seeds: int = 0
    num_test: int | None = None
    independent: int | None = None
    seconds: float | None = None
    window_bytes: float | None = None
    foreseen_bytes: float | None = None


@dataclass(frozen=True)
class LeftOut:
    """What did not run, and why; None stands for every system or length."""

    system: str | None
    length: int | None
    reason: str


def species_rows(run: Run) -> list[SpeciesRow]:
    """Rows with an accuracy, systems in the order of the summary, lengths ascending."""
    rows = [row for record in run.items("rows") if isinstance(record, Mapping) and (row := _row(record)) is not None]
    order = {name: place for place, name in enumerate(_ordered(dict.fromkeys(row.system for row in rows)))}
    return sorted(rows, key=lambda row: (order[row.system], row.length))


def left_out(run: Run) -> list[LeftOut]:
    """What the summary gives a reason for."""
    found = []
    for record in run.items("rows"):
        if isinstance(record, Mapping) and isinstance(record.get("reason"), str):
            length, system = number(record.get("length")), record.get("system")
            name = system if isinstance(system, str) else None
            found.append(LeftOut(name, None if length is None else int(length), str(record["reason"])))
    return found


def length_name(length: int) -> str:
    """1k, 450k, 512."""
    return f"{length // 1000}k" if length % 1000 == 0 else str(length)


def row_of(rows: Sequence[SpeciesRow], system: str, length: int) -> SpeciesRow | None:
    """Row of a system at a length, or None."""
    return next((row for row in rows if row.system == system and row.length == length), None)


def _ordered(names: Mapping[str, object]) -> list[str]:
    """Controls first, then the others as they come."""
    first = [name for name in (COMPOSITION, SPECTRUM) if name in names]
    return [*first, *(name for name in names if name not in first)]


def _row(record: Mapping[str, object]) -> SpeciesRow | None:
    accuracy, length, system = _score(record.get("accuracy")), number(record.get("length")), record.get("system")
    if accuracy is None or length is None or not isinstance(system, str):
        return None
    parts = record.get("representations")
    scores = {str(name): _score(value) for name, value in parts.items()} if isinstance(parts, Mapping) else {}
    return SpeciesRow(
        system=system,
        length=int(length),
        accuracy=accuracy,
        how=str(record.get("how", "")),
        by_representation={name: score for name, score in scores.items() if score is not None},
        num_classes=_count(record.get("classes")),
        num_seeds=_count(record.get("seeds")),
        num_test=_whole(nested(record, "windows", "test")),
        independent=_whole(nested(record, "independent_windows", "test")),
        seconds=number(nested(record, "cost", "seconds")),
        window_bytes=number(nested(record, "cost", "window_bytes")),
        foreseen_bytes=number(nested(record, "cost", "foreseen_bytes")),
    )


def _score(value: object) -> Score | None:
    mean = number(nested(value, "mean"))
    return None if mean is None else Score(mean, number(nested(value, "sd")))


def _count(value: object) -> int:
    return len(value) if isinstance(value, list) else 0


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)


SPECIES: dict[str, dict[int, float]] = {
    "HyenaDNA": {1000: 61.13, 20_000: 87.42, 32_000: 93.42, 250_000: 97.90, 450_000: 99.40},
    "DNABERT": {1000: 39.61, 20_000: 76.21, 32_000: 91.93},
    "DNABERT-2": {1000: 61.04, 20_000: 86.83, 32_000: 99.28},
    "VQDNA (HRQ)": {1000: 61.57, 20_000: 88.05, 32_000: 99.46},
}
"""Top-1 percentages of species classification by length in bases. NT-500M-1000g is left out: the poster prints
DNABERT-2's numbers for it, so one of the two rows is a slip."""
