"""A benchmark's summary as the page reads it: one grid of systems x datasets for each protocol, never mixed.

Owns the flow summary.json of a benchmark -> `Grid` (entries, order of the systems, ranks, what was published). Scores
come as fractions and leave times 100. Must not know how a score came about or how it is shown, and trusts no value.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vqdna.reports.runs import Run, nested, number

PROTOCOLS = ("full", "reduced", "covid-like")
METRICS = ("mcc", "f1_macro", "accuracy", "auroc")
COSTS = {
    "parameters": ("parameters", "total"),
    "trainable": ("parameters", "trainable"),
    "flops_per_base": ("flops_per_base",),
    "training_bases": ("training_bases",),
    "pretraining_bases": ("pretraining_bases",),
    "seconds": ("seconds",),
    "peak_memory": ("peak_memory",),
}
"""Where a row of the summary holds each cost."""


@dataclass(frozen=True)
class Score:
    """Mean over seeds x 100, with the standard deviation and the ends of the 95 % interval where they are known."""

    mean: float
    deviation: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Entry:
    """One system on one dataset.

    Attributes:
        scores: on the test split, by metric; `deduplicated` the same after `num_dropped` sequences were left out
            that occur twice, empty where that was not asked.
        votes: scores x 100 of the classes that most seeds predict, by metric; empty for too few seeds.
        collapsed: seeds whose training collapsed, as the benchmark judged it.
        costs: by the names of `COSTS`; what is not known is missing.
    """

    system: str
    dataset: str
    seeds: tuple[int, ...]
    scores: Mapping[str, Score]
    deduplicated: Mapping[str, Score]
    num_dropped: int | None
    collapsed: tuple[int, ...]
    costs: Mapping[str, float]
    tokenizer: str = ""
    votes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ranks:
    """Ranks of systems over the datasets that have a score of each, 1 the best; as the benchmark computed them.

    Attributes:
        groups: systems not told apart, the largest such groups.
        num_first: datasets on which no system is before this one.
    """

    systems: tuple[str, ...]
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]
    average: Mapping[str, float]
    groups: tuple[tuple[str, ...], ...]
    num_first: Mapping[str, int]
    critical_difference: float | None = None
    friedman_p: float | None = None


@dataclass(frozen=True)
class Grid:
    """Everything under one protocol.

    Attributes:
        systems: by average rank, those without one last; by mean where there are no ranks.
        datasets: of any system, members of a family (`tf/0`, `tf/1`) side by side.
        metrics: the metric that stands for a dataset.
        published: scores x 100 by system and dataset, of datasets of this grid.
        published_costs: of systems in `published`, by the names of `COSTS`.
    """

    protocol: str
    entries: Mapping[tuple[str, str], Entry]
    systems: tuple[str, ...]
    datasets: tuple[str, ...]
    metrics: Mapping[str, str]
    ranks: Ranks | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    published_costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def compared(self) -> tuple[str, ...]:
        """Datasets that means are over: those that the ranks count, or all."""
        return self.ranks.datasets if self.ranks is not None else self.datasets

    def score(self, system: str, dataset: str) -> Score | None:
        """Score in the dataset's metric, or None where there is none."""
        entry = self.entries.get((system, dataset))
        return None if entry is None else entry.scores.get(self.metrics[dataset])

    def mean(self, system: str, metric: str | None = None) -> tuple[float | None, int]:
        """Mean over the compared datasets that the system has, and their number; `metric` None is the datasets' own."""
        entries = [entry for name in self.compared if (entry := self.entries.get((system, name))) is not None]
        found = [score for entry in entries if (score := entry.scores.get(metric or self.metrics[entry.dataset]))]
        return (statistics.fmean(score.mean for score in found) if found else None), len(found)

    def mean_vote(self, system: str) -> float | None:
        """Mean over the compared datasets of what seeds vote for, or None where one of them has no vote."""
        entries = [entry for name in self.compared if (entry := self.entries.get((system, name))) is not None]
        found = [vote for entry in entries if (vote := entry.votes.get(self.metrics[entry.dataset])) is not None]
        return statistics.fmean(found) if found and len(found) == len(self.compared) else None

    def published_mean(self, system: str) -> tuple[float | None, int]:
        """Mean published score over the compared datasets that have one, and their number."""
        found = [score for name in self.compared if (score := self.published[system].get(name)) is not None]
        return (statistics.fmean(found) if found else None), len(found)

    def of_system(self, system: str) -> list[Entry]:
        """Entries of a system in the order of the datasets."""
        return [entry for name in self.datasets if (entry := self.entries.get((system, name))) is not None]

    def costs(self, system: str, name: str) -> list[float]:
        """Known values of a cost over the datasets."""
        return [entry.costs[name] for entry in self.of_system(system) if name in entry.costs]


def grids(run: Run) -> list[Grid]:
    """Grid of each protocol that the benchmark has rows of, the full one first."""
    rows = [row for row in run.items("rows") if isinstance(row, Mapping)]
    named = dict.fromkeys([*PROTOCOLS, *(str(row.get("protocol")) for row in rows)])
    found = {name: [row for row in rows if str(row.get("protocol")) == name] for name in named}
    return [_grid(run, name, members) for name, members in found.items() if members]


def family(dataset: str) -> str:
    """What datasets of one kind have in common: `tf` of `tf/0`, `prom_core` of `prom_core_tata`."""
    return dataset.split("/")[0] if "/" in dataset else dataset.rpartition("_")[0] or dataset


def _grid(run: Run, protocol: str, rows: Sequence[Mapping[str, object]]) -> Grid:
    entries = {(entry.system, entry.dataset): entry for entry in map(_entry, rows)}
    datasets = _by_family(dict.fromkeys(dataset for _, dataset in entries))
    given = _mapping(run.record.get("metric_by_dataset"))
    metrics = {name: str(given.get(name, METRICS[0])) for name in datasets}
    published = _published(_mapping(nested(run.record, "published", protocol)), datasets)
    costs = _mapping(run.record.get("published_cost"))
    known_costs = {name: _numbers(_mapping(costs[name])) for name in published if name in costs}
    ranks = _ranks(nested(run.record, "rankings", protocol), {system for system, _ in entries}, set(datasets))
    systems = tuple(dict.fromkeys(system for system, _ in entries))
    grid = Grid(protocol, entries, systems, datasets, metrics, ranks, published, known_costs)
    return Grid(protocol, entries, _ordered(grid), datasets, metrics, ranks, published, known_costs)


def _ordered(grid: Grid) -> tuple[str, ...]:
    """Systems by rank, then by falling mean."""
    ranked = grid.ranks.systems if grid.ranks is not None else ()
    rest = [system for system in grid.systems if system not in ranked]
    return (*ranked, *sorted(rest, key=lambda system: -(grid.mean(system)[0] or 0.0)))


def _by_family(names: Iterable[str]) -> tuple[str, ...]:
    """Names in their order, but each family together at the place of its first."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(family(name), []).append(name)
    return tuple(name for members in families.values() for name in members)


def _entry(row: Mapping[str, object]) -> Entry:
    dropped = number(nested(row, "deduplicated", "dropped"))
    costs = {name: number(nested(row, *keys)) for name, keys in COSTS.items()}
    return Entry(
        system=str(row.get("system")),
        dataset=str(row.get("dataset")),
        seeds=_whole_numbers(row.get("seeds")),
        scores=_scores(row),
        deduplicated=_scores(_mapping(row.get("deduplicated"))),
        num_dropped=None if dropped is None else int(dropped),
        collapsed=_whole_numbers(row.get("collapsed")),
        costs={name: value for name, value in costs.items() if value is not None},
        tokenizer=str(row.get("tokenizer") or ""),
        votes={name: 100 * value for name, value in _numbers(_mapping(row.get("vote"))).items()},
    )


def _scores(row: Mapping[str, object]) -> dict[str, Score]:
    """Scores of the metrics that have a mean."""
    found = {metric: _score(_mapping(row.get(metric))) for metric in METRICS}
    return {metric: score for metric, score in found.items() if score is not None}


def _score(record: Mapping[str, object]) -> Score | None:
    mean, *rest = (
        None if (value := number(record.get(key))) is None else 100 * value for key in ("mean", "sd", "low", "high")
    )
    return None if mean is None else Score(mean, *rest)


def _published(record: Mapping[str, object], datasets: Sequence[str]) -> dict[str, dict[str, float]]:
    """Published scores of the datasets, of systems that have any of them."""
    found = {system: _numbers(_mapping(scores)) for system, scores in record.items()}
    kept = {system: {name: scores[name] for name in datasets if name in scores} for system, scores in found.items()}
    return {system: scores for system, scores in kept.items() if scores}


def _ranks(record: object, systems: set[str], datasets: set[str]) -> Ranks | None:
    """Ranks of the record, or None where it is none or names what has no row."""
    average = _numbers(_mapping(nested(record, "average")))
    order = [system for system in _strings(nested(record, "systems")) if system in average]
    counted = _strings(nested(record, "datasets"))
    if not order or not counted or not (set(order) <= systems and set(counted) <= datasets):
        return None
    by_dataset = {system: _numbers(_mapping(nested(record, "ranks", system))) for system in order}
    groups = nested(record, "groups")
    return Ranks(
        systems=tuple(order),
        datasets=tuple(counted),
        left_out=tuple(_strings(nested(record, "left_out"))),
        average=average,
        groups=tuple(tuple(_strings(group)) for group in (groups if isinstance(groups, list) else [])),
        num_first={system: _num_first(by_dataset, system) for system in order},
        critical_difference=number(nested(record, "critical_difference")),
        friedman_p=number(nested(record, "friedman_p")),
    )


def _num_first(ranks: Mapping[str, Mapping[str, float]], system: str) -> int:
    others = [row for row in ranks.values() if row]
    return sum(all(rank <= row.get(name, rank) for row in others) for name, rank in ranks[system].items())


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _numbers(record: Mapping[str, object]) -> dict[str, float]:
    return {str(name): value for name, item in record.items() if (value := number(item)) is not None}


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _whole_numbers(value: object) -> tuple[int, ...]:
    return tuple(int(item) for item in value if number(item) is not None) if isinstance(value, list) else ()
