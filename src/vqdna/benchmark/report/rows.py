"""A benchmark's summary as the page reads it: the standings of systems x datasets for each protocol, never mixed.

Flow: BenchmarkResult -> `Standings` (rows by system and dataset, order of the systems, ranks, what was published).
Scores come as fractions and leave times 100. Must not know how a score came about or how it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vqdna.benchmark.protocols import COVID_LIKE, PROTOCOLS
from vqdna.benchmark.ranking import MCC
from vqdna.benchmark.results import Ranking, Score, SeedScores, SummaryRow
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.reports.content import known_mean


@dataclass(frozen=True)
class Standings:
    """Everything under one protocol.

    Attributes:
        rows: by system and dataset.
        systems: by average rank, those without one last; by mean where there are no ranks.
        datasets: of any system, members of a family (`tf/0`, `tf/1`) side by side.
        published: scores x 100 by system and dataset, of datasets of these rows.
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

    def of_system(self, system: str) -> list[SummaryRow]:
        """Rows of a system in the order of the datasets."""
        return [row for name in self.datasets if (row := self.rows.get((system, name))) is not None]

    def score(self, system: str, dataset: str, metric: str | None = None) -> Score | None:
        """Score x 100 in a metric, or in the dataset's own; None where there is none."""
        return score_in(self.rows.get((system, dataset)), metric or self.metrics[dataset])

    def mean(self, system: str, metric: str | None = None) -> tuple[float | None, int]:
        """Mean over the compared datasets that the system has, and their number; `metric` None is the datasets' own."""
        found = [score.mean for name in self.compared if (score := self.score(system, name, metric))]
        return known_mean(found), len(found)

    def mean_vote(self, system: str) -> float | None:
        """Mean over the compared datasets of the seed ensemble, or None where one of them has none."""
        rows = [self.rows.get((system, name)) for name in self.compared]
        votes = [row.vote.get(self.metrics[row.dataset]) for row in rows if row is not None and row.vote]
        known = [100 * vote for vote in votes if vote is not None]
        return known_mean(known) if len(known) == len(self.compared) else None

    def published_mean(self, system: str) -> tuple[float | None, int]:
        """Mean published score over the compared datasets that have one, and their number."""
        found = [self.published[system][name] for name in self.compared if name in self.published[system]]
        return known_mean(found), len(found)


def score_in(row: SeedScores | None, metric: str) -> Score | None:
    """Score of a row in a metric x 100, or None where it has none."""
    score = Score() if row is None else row.of(metric)
    return None if score.mean is None else score.times_100()


def standings(result: BenchmarkResult) -> list[Standings]:
    """Of each protocol that the benchmark has rows of, the full one first."""
    names = dict.fromkeys([*PROTOCOLS, COVID_LIKE, *(row.protocol for row in result.rows)])
    return [_standings(result, name, rows) for name in names if (rows := result.of_protocol(name))]


def family(dataset: str) -> str:
    """What datasets of one kind have in common: `tf` of `tf/0`, `prom_core` of `prom_core_tata`."""
    return dataset.split("/")[0] if "/" in dataset else dataset.rpartition("_")[0] or dataset


def families(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by family, families in the order of their first."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(family(name), []).append(name)
    return found


def _standings(result: BenchmarkResult, protocol: str, members: Sequence[SummaryRow]) -> Standings:
    rows = {(row.system, row.dataset): row for row in members}
    datasets = tuple(name for names in families(dict.fromkeys(d for _, d in rows)).values() for name in names)
    scores = {
        system: {name: scores[name] for name in datasets if name in scores}
        for system, scores in result.published.get(protocol, {}).items()
    }
    published = {system: known for system, known in scores.items() if known}
    systems = tuple(dict.fromkeys(system for system, _ in rows))
    ranks = result.rankings.get(protocol)
    # Ranks of what has no row here would name systems and datasets that no table has.
    if ranks is not None and not (set(ranks.systems) <= set(systems) and set(ranks.datasets) <= set(datasets)):
        ranks = None
    found = Standings(
        protocol,
        rows,
        systems,
        datasets,
        {name: result.metric_by_dataset.get(name, MCC) for name in datasets},
        ranks,
        published,
        {name: costs for name, costs in result.published_cost.items() if name in published},
    )
    ranked = ranks.systems if ranks is not None else ()
    rest = [system for system in systems if system not in ranked]
    return replace(found, systems=(*ranked, *sorted(rest, key=lambda system: -(found.mean(system)[0] or 0.0))))
