"""Rows of a codebook study: its cells, one a seed, as means with their spread.

Owns the flow cells and summary of a study's run -> `StudyRow`. The row of the best k-mer is the summary's, which chose
it on dev; all others are computed from the cells. Must not know how a row is shown, and trusts no value.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vqdna.reports.content import Score
from vqdna.reports.runs import Run, nested, number

BEST_KMER = "kmer_best"
HAND_MADE = ("hand-made", "bpe")
LEARNED_NAME = re.compile(r"(vq|hrq)_([kd])(\d+)")
STANDARD = {"k": 512, "d": 384}
"""K and width of the paper; its rows over width have this K, and the other way round."""


@dataclass(frozen=True)
class StudyRow:
    """One row of the study's table; what is not known is None or missing.

    Attributes:
        name: as in configs/vocabulary/ablations/, or the hand-made tokenizer's.
        kind: quantizer, "hand-made" or "bpe".
        width: of the latents as trained; `paper_width` as the row's file says it.
        reconstruction: share of bases that come back right; `nats` the cross-entropy of the same.
        usage: share of codes used, a value per level, as is `perplexity`.
        lin: mean test score by metric.
    """

    name: str
    kind: str
    seeds: tuple[int, ...]
    lin: Mapping[str, Score]
    num_features: int | None
    level_sizes: tuple[int, ...] = ()
    width: int | None = None
    paper_width: int | None = None
    reconstruction: Score | None = None
    nats: Score | None = None
    usage: tuple[Score | None, ...] = ()
    perplexity: tuple[Score | None, ...] = ()

    @property
    def is_learned(self) -> bool:
        """Whether the row's codes were learned from genomes by a vocabulary."""
        return self.kind not in HAND_MADE


def study_rows(run: Run) -> list[StudyRow]:
    """Hand-made rows first, then the best k-mer, BPE and the learned rows, by name with numbers in their order."""
    members: dict[str, list[Mapping[str, object]]] = {}
    for cell in run.items("cells"):
        if isinstance(cell, Mapping) and isinstance(cell.get("cell"), str):
            members.setdefault(str(cell["cell"]), []).append(cell)
    rows = [_row(name, cells) for name, cells in members.items()]
    rows += [
        _summary_row(record)
        for record in run.items("rows")
        if isinstance(record, Mapping) and nested(record, "cell") == BEST_KMER
    ]
    return sorted(rows, key=_place)


def datasets_of(run: Run) -> dict[str, list[str]]:
    """Names of the datasets that each metric is a mean over, as the cells name them."""
    found: dict[str, dict[str, None]] = {}
    for cell in run.items("cells"):
        for name, probe in _mapping(nested(cell, "datasets")).items():
            found.setdefault(str(nested(probe, "metric")), {})[str(name)] = None
    return {metric: list(names) for metric, names in found.items()}


def swept(rows: Sequence[StudyRow], quantizer: str, along: str) -> dict[int, StudyRow]:
    """Rows of `quantizer` over K (`along` "k") or over the paper's width ("d"), by that number, ascending."""
    found = {}
    for row in rows:
        match = LEARNED_NAME.fullmatch(row.name)
        if match is None or match[1] != quantizer:
            continue
        if match[2] == along:
            found[int(match[3])] = row
        elif int(match[3]) == STANDARD[match[2]]:
            found[STANDARD[along]] = row
    return dict(sorted(found.items()))


def _place(row: StudyRow) -> tuple[int, list[tuple[int, str]]]:
    """Key of a row: single bases, k-mers, the best of them, BPE, learned rows; then its name."""
    group = 4 if row.is_learned else 3 if row.kind == "bpe" else 2 if row.name == BEST_KMER else 1
    parts = re.findall(r"\d+|\D+", row.name)
    return (0 if row.name == "nucleotide" else group), [(int(p), "") if p.isdigit() else (-1, p) for p in parts]


def _row(name: str, cells: Sequence[Mapping[str, object]]) -> StudyRow:
    """Row of the cells of one name."""
    first = cells[0]
    num_levels = max(len(_levels(cell)) for cell in cells)
    lin = {metric: _score(nested(cell, "lin", metric) for cell in cells) for metric in _mapping(first.get("lin"))}
    probes = [probe for cell in cells for probe in _mapping(cell.get("datasets")).values()]
    features = [value for probe in probes if (value := _whole(nested(probe, "num_features"))) is not None]
    return StudyRow(
        name=name,
        kind=str(first.get("kind", "")),
        seeds=tuple(sorted({seed for cell in cells if (seed := _whole(cell.get("seed"))) is not None})),
        lin={metric: score for metric, score in lin.items() if score is not None},
        num_features=max(features, default=None),
        level_sizes=tuple(int(size) for size in _numbers(first.get("level_sizes"))),
        width=_whole(first.get("width")),
        paper_width=_whole(first.get("paper_width")),
        reconstruction=_score(cell.get("reconstruction_accuracy") for cell in cells),
        nats=_score(cell.get("reconstruction") for cell in cells),
        usage=tuple(_score(_of_level(cell, level, "usage") for cell in cells) for level in range(num_levels)),
        perplexity=tuple(_score(_of_level(cell, level, "perplexity") for cell in cells) for level in range(num_levels)),
    )


def _summary_row(record: Mapping[str, object]) -> StudyRow:
    """Row that only the summary has."""
    scores = {metric: _score([nested(value, "mean")]) for metric, value in _mapping(record.get("lin")).items()}
    return StudyRow(
        name=str(record["cell"]),
        kind=str(record.get("kind", "")),
        seeds=tuple(int(seed) for seed in _numbers(record.get("seeds"))),
        lin={metric: score for metric, score in scores.items() if score is not None},
        num_features=_whole(record.get("num_features")),
    )


def _score(values: Iterable[object]) -> Score | None:
    """Mean and deviation of the values that are numbers, or None where none is."""
    known = [value for item in values if (value := number(item)) is not None]
    if not known:
        return None
    return Score(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None)


def _of_level(cell: Mapping[str, object], level: int, key: str) -> object:
    levels = _levels(cell)
    return nested(levels[level], key) if level < len(levels) else None


def _levels(cell: Mapping[str, object]) -> list[object]:
    levels = cell.get("levels")
    return levels if isinstance(levels, list) else []


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _numbers(values: object) -> list[float]:
    return [value for item in values if (value := number(item)) is not None] if isinstance(values, list) else []


def _whole(value: object) -> int | None:
    found = number(value)
    return None if found is None else int(found)
