"""Rows of a codebook study as its page shows them, in their order, and the sweeps over K and width.

Flow: run of a study -> its results -> `CodebookRow`. The row of the best k-mer is the summary's, which chose it on dev;
all others are computed from the results. Must not know how a row is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vqdna.reports.runs import Run
from vqdna.studies.codebook.results import BEST_KMER, CodebookResult, CodebookRow
from vqdna.studies.codebook.summary import rows_of

LEARNED_NAME = re.compile(r"(vq|hrq)_([kd])(\d+)")
STANDARD = {"k": 512, "d": 384}
"""K and width of the paper; its rows over width have this K, and the other way round."""


def results_of(run: Run) -> list[CodebookResult]:
    """Results of the study's runs that name their row."""
    cells = [cell for cell in run.items("cells") if isinstance(cell, Mapping) and isinstance(cell.get("cell"), str)]
    return [CodebookResult.model_validate(cell) for cell in cells]


def study_rows(run: Run) -> list[CodebookRow]:
    """Hand-made rows first, then the best k-mer, BPE and the learned rows, by name with numbers in their order."""
    summary = [CodebookRow.model_validate(row) for row in run.items("rows")]
    return sorted([*rows_of(results_of(run)), *(row for row in summary if row.cell == BEST_KMER)], key=_place)


def datasets_of(run: Run) -> dict[str, list[str]]:
    """Names of the datasets that each metric is a mean over."""
    found: dict[str, dict[str, None]] = {}
    for result in results_of(run):
        for name, probe in result.datasets.items():
            found.setdefault(probe.metric, {})[name] = None
    return {metric: list(names) for metric, names in found.items()}


def swept(rows: Sequence[CodebookRow], quantizer: str, along: str) -> dict[int, CodebookRow]:
    """Rows of `quantizer` over K (`along` "k") or over the paper's width ("d"), by that number, ascending."""
    found = {}
    for row in rows:
        match = LEARNED_NAME.fullmatch(row.cell)
        if match is None or match[1] != quantizer:
            continue
        if match[2] == along:
            found[int(match[3])] = row
        elif int(match[3]) == STANDARD[match[2]]:
            found[STANDARD[along]] = row
    return dict(sorted(found.items()))


def _place(row: CodebookRow) -> tuple[int, list[tuple[int, str]]]:
    """Key of a row: single bases, k-mers, the best of them, BPE, learned rows; then its name."""
    group = 4 if row.is_learned else 3 if row.kind == "bpe" else 2 if row.cell == BEST_KMER else 1
    parts = re.findall(r"\d+|\D+", row.cell)
    return (0 if row.cell == "nucleotide" else group), [(int(p), "") if p.isdigit() else (-1, p) for p in parts]
