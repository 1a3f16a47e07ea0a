"""A benchmark's summary as the page reads it: one grid of systems x datasets for each protocol, never mixed.

Flow: summary.json of a benchmark -> SummaryRow [row] and Ranking -> `Grid` (rows by system and dataset, order of the
systems, ranks, what was published). Scores come as fractions and leave times 100. Must not know how a score came about
or how it is shown; values that cannot be read are left out.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from vqdna.benchmark.results import PosterComparison, Ranking, SeedScores, SummaryRow
from vqdna.reports.runs import Run, nested, number

PROTOCOLS = ("full", "reduced", "covid-like")
METRICS = ("mcc", "f1_macro", "accuracy", "auroc")

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Score:
    """Mean over seeds x 100, with the standard deviation and the ends of the 95 % interval where they are known."""

    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Grid:
    """Everything under one protocol.

    Attributes:
        rows: by system and dataset.
        systems: by average rank, those without one last; by mean where there are no ranks.
        datasets: of any system, members of a family (`tf/0`, `tf/1`) side by side.
        metrics: the metric that stands for a dataset.
        published: scores x 100 by system and dataset, of datasets of this grid.
        published_costs: of systems in `published`.
    """

    protocol: str
    rows: Mapping[tuple[str, str], SummaryRow]
    systems: tuple[str, ...]
    datasets: tuple[str, ...]
    metrics: Mapping[str, str]
    ranks: Ranking | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published_costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def compared(self) -> tuple[str, ...]:
        """Datasets that means are over: those that the ranks count, or all."""
        return self.ranks.datasets if self.ranks is not None else self.datasets

    def score(self, system: str, dataset: str) -> Score | None:
        """Score in the dataset's metric, or None where there is none."""
        return score_in(self.rows.get((system, dataset)), self.metrics[dataset])

    def mean(self, system: str, metric: str | None = None) -> tuple[float | None, int]:
        """Mean over the compared datasets that the system has, and their number; `metric` None is the datasets' own."""
        found = [
            score.mean
            for name in self.compared
            if (score := score_in(self.rows.get((system, name)), metric or self.metrics[name]))
        ]
        return (statistics.fmean(found) if found else None), len(found)

    def mean_vote(self, system: str) -> float | None:
        """Mean over the compared datasets of the seed ensemble, or None where one of them has none."""
        rows = [self.rows.get((system, name)) for name in self.compared]
        votes = [row.vote.get(self.metrics[row.dataset]) for row in rows if row is not None and row.vote]
        known = [100 * vote for vote in votes if vote is not None]
        return statistics.fmean(known) if known and len(known) == len(self.compared) else None

    def published_mean(self, system: str) -> tuple[float | None, int]:
        """Mean published score over the compared datasets that have one, and their number."""
        found = [score for name in self.compared if (score := self.published[system].get(name)) is not None]
        return (statistics.fmean(found) if found else None), len(found)

    def of_system(self, system: str) -> list[SummaryRow]:
        """Rows of a system in the order of the datasets."""
        return [row for name in self.datasets if (row := self.rows.get((system, name))) is not None]

    def costs(self, system: str, name: str) -> list[float]:
        """Known values of a cost over the datasets; `parameters` and `trainable` are counts."""
        found = []
        for row in self.of_system(system):
            if name in ("parameters", "trainable"):
                sizes = row.parameters
                value = None if sizes is None else float(sizes.total if name == "parameters" else sizes.trainable)
            else:
                value = getattr(row, name)
            found.append(value)
        return [value for value in found if value is not None]


def score_in(row: SeedScores | None, metric: str) -> Score | None:
    """Score of a row in a metric x 100, or None where it has none."""
    if row is None:
        return None
    score = row.of(metric)
    mean, *rest = (None if value is None else 100 * value for value in (score.mean, score.sd, score.low, score.high))
    return None if mean is None else Score(mean, *rest)


def grids(run: Run) -> list[Grid]:
    """Grid of each protocol that the benchmark has rows of, the full one first."""
    rows = [row for item in run.items("rows") if (row := _readable(SummaryRow, item)) is not None]
    found: dict[str, list[SummaryRow]] = {name: [] for name in PROTOCOLS}
    for row in rows:
        found.setdefault(row.protocol, []).append(row)
    return [_grid(run, name, members) for name, members in found.items() if members]


def poster(run: Run) -> list[PosterComparison]:
    """Rows of the poster's efficiency table, ours beside."""
    return [row for item in run.items("poster") if (row := _readable(PosterComparison, item)) is not None]


def family(dataset: str) -> str:
    """What datasets of one kind have in common: `tf` of `tf/0`, `prom_core` of `prom_core_tata`."""
    return dataset.split("/")[0] if "/" in dataset else dataset.rpartition("_")[0] or dataset


def _readable(model: type[ModelT], record: object) -> ModelT | None:
    """The record without the keys whose values cannot be read; None where too little is left."""
    if not isinstance(record, Mapping):
        return None
    faulty: set[object] = set()
    for _ in range(2):
        try:
            return model.model_validate({key: value for key, value in record.items() if key not in faulty})
        except ValidationError as error:
            faulty = {fault["loc"][0] for fault in error.errors()}
    return None


def _grid(run: Run, protocol: str, members: Sequence[SummaryRow]) -> Grid:
    rows = {(row.system, row.dataset): row for row in members}
    datasets = _by_family(dict.fromkeys(dataset for _, dataset in rows))
    given = _mapping(run.record.get("metric_by_dataset"))
    metrics = {name: str(given.get(name, METRICS[0])) for name in datasets}
    published = {}
    for system, scores in _mapping(nested(run.record, "published", protocol)).items():
        known = _numbers(_mapping(scores))
        if kept := {name: known[name] for name in datasets if name in known}:
            published[system] = kept
    costs = _mapping(run.record.get("published_cost"))
    known_costs = {name: _numbers(_mapping(costs[name])) for name in published if name in costs}
    systems = tuple(dict.fromkeys(system for system, _ in rows))
    ranks = _readable(Ranking, nested(run.record, "rankings", protocol))
    # Ranks of what has no row here would name systems and datasets that no table has.
    if ranks is not None and not (set(ranks.systems) <= set(systems) and set(ranks.datasets) <= set(datasets)):
        ranks = None
    grid = Grid(protocol, rows, systems, datasets, metrics, ranks, published, known_costs)
    ranked = ranks.systems if ranks is not None else ()
    rest = [system for system in systems if system not in ranked]
    order = (*ranked, *sorted(rest, key=lambda system: -(grid.mean(system)[0] or 0.0)))
    return replace(grid, systems=order)


def _by_family(names: Iterable[str]) -> tuple[str, ...]:
    """Names in their order, but each family together at the place of its first."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(family(name), []).append(name)
    return tuple(name for members in families.values() for name in members)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _numbers(record: Mapping[str, object]) -> dict[str, float]:
    return {str(name): value for name, item in record.items() if (value := number(item)) is not None}
