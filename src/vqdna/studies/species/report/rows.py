"""Rows of a species study as its page shows them: the summary of each set, in order.

Flow: run of a set -> rows with an accuracy, and what was left out with its reason. Must not know how a row is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vqdna.reports.runs import Run
from vqdna.stage_results import MeanAndSd
from vqdna.studies.species.results import LeftOut, SpeciesRow

SPECIES: dict[str, dict[int, float]] = {
    "HyenaDNA": {1000: 61.13, 20_000: 87.42, 32_000: 93.42, 250_000: 97.90, 450_000: 99.40},
    "DNABERT": {1000: 39.61, 20_000: 76.21, 32_000: 91.93},
    "DNABERT-2": {1000: 61.04, 20_000: 86.83, 32_000: 99.28},
    "VQDNA (HRQ)": {1000: 61.57, 20_000: 88.05, 32_000: 99.46},
}
"""Top-1 percentages of species classification by length in bases. NT-500M-1000g is left out: the poster prints
DNABERT-2's numbers for it, so one of the two rows is a slip."""

SPECTRUM, COMPOSITION = "spectrum", "nucleotide"
"""Systems that need no learning: k-mers of the best k, and single bases, which are composition alone."""


def species_rows(run: Run) -> list[SpeciesRow]:
    """Rows with an accuracy: controls first, then systems in the order of the summary; lengths ascending."""
    found = [SpeciesRow.model_validate(record) for record in run.items("rows")]
    rows = [row for row in found if row.accuracy.mean is not None and row.length and row.system]
    order = [COMPOSITION, SPECTRUM, *dict.fromkeys(row.system for row in rows)]
    return sorted(rows, key=lambda row: (order.index(row.system), row.length))


def left_out(run: Run) -> list[LeftOut]:
    """What the summary gives a reason for."""
    records = [record for record in run.items("rows") if isinstance(record, Mapping) and "reason" in record]
    return [LeftOut.model_validate(record) for record in records]


def row_of(rows: Sequence[SpeciesRow], system: str, length: int) -> SpeciesRow | None:
    """Row of a system at a length, or None."""
    return next((row for row in rows if row.system == system and row.length == length), None)


def accuracy_of(rows: Sequence[SpeciesRow], system: str, length: int) -> MeanAndSd:
    """Accuracy of a system at a length; without a mean where it has none."""
    row = row_of(rows, system, length)
    return MeanAndSd() if row is None else row.accuracy
