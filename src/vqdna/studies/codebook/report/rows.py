"""Rows of a codebook study as its page shows them, in their order, the sweeps over K and width, and published rows.

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

PUBLISHED: dict[str, tuple[float | None, float]] = {
    "vq_k128": (98.2, 42.1),
    "vq_k256": (98.8, 43.6),
    "vq_k512": (99.5, 44.8),
    "vq_k1024": (99.6, 44.5),
    "hrq_k128": (98.4, 42.8),
    "hrq_k256": (99.1, 47.7),
    "hrq_k512": (99.6, 48.9),
    "hrq_k1024": (99.8, 48.2),
    "vq_d256": (99.4, 44.3),
    "vq_d768": (99.6, 44.6),
    "vq_d1024": (99.8, 44.7),
    "hrq_d256": (99.5, 48.2),
    "hrq_d768": (99.6, 48.9),
    "hrq_d1024": (99.7, 48.8),
    "nucleotide": (None, 5.47),
    "kmer_6": (None, 23.54),
    "bpe_4096": (None, 36.53),
}
"""Percentages that the authors published, by the row of our study that asks the same: Rec., and Lin. as macro-F1 of
their probe on GUE's Covid. Source: the poster's ablation (ICML 2024, arXiv 2405.10812) and the paper's comparison of
tokenizers; the HRQ figures over width and the tokenizers come from a second reader of the paper, who agrees with the
poster wherever both speak. K = 512 is also the row of width 384: 99.5 / 44.8 for VQ and 99.6 / 48.9 for HRQ stand in
both of their tables."""


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
