"""Systems ranked over datasets as GUE's tables rank them, and whether the ranks differ beyond chance.

Flow: score of each system on each dataset -> ranks per dataset (ties share their mean) -> average ranks, Friedman's
test, Nemenyi's critical difference, groups of systems that it does not tell apart. Only datasets that have a score of
every system count. It must not know how a score came about.

Reference: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import friedmanchisquare, rankdata, studentized_range

Scores = Mapping[str, Mapping[str, float | None]]
"""Score of each system on each dataset, the higher the better; None, or absent, where there is none."""

SIGNIFICANCE = 0.05
FEWEST_SYSTEMS, FEWEST_DATASETS = 3, 2


@dataclass(frozen=True)
class Ranking:
    """Ranks of systems, 1 the best.

    Attributes:
        systems: best average rank first.
        datasets: those that count.
        left_out: datasets without a score of every system.
        ranks: of each system on each dataset.
        average: rank of each system over the datasets.
        friedman_p: probability of ranks this far apart if all systems were alike; None with fewer than three systems or
            two datasets, and where all scores are ties.
        critical_difference: by which two average ranks must differ at 5 % (Nemenyi); None likewise.
        groups: systems whose average ranks lie within the critical difference of each other, the largest such groups.
    """

    systems: tuple[str, ...]
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]
    ranks: Mapping[str, Mapping[str, float]]
    average: Mapping[str, float]
    friedman_p: float | None
    critical_difference: float | None
    groups: tuple[tuple[str, ...], ...]

    def to_record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Ranking:
        """What `to_record` gave, also after JSON, which knows no tuples."""
        groups = tuple(tuple(group) for group in record["groups"])
        return cls(
            **{**record, **{key: tuple(record[key]) for key in ("systems", "datasets", "left_out")}, "groups": groups}
        )


def rank_systems(scores: Scores) -> Ranking | None:
    """Ranking of the systems; None where fewer than two systems share a dataset."""
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    shared = [name for name in names if all(row.get(name) is not None for row in scores.values())]
    if len(scores) < 2 or not shared:
        return None
    by_dataset = {name: dict(zip(scores, _ranks([row[name] for row in scores.values()]))) for name in shared}
    average = {system: statistics.fmean(by_dataset[name][system] for name in shared) for system in scores}
    systems = tuple(sorted(scores, key=lambda system: average[system]))
    difference = critical_difference(len(systems), len(shared))
    return Ranking(
        systems,
        tuple(shared),
        tuple(name for name in names if name not in shared),
        {system: {name: by_dataset[name][system] for name in shared} for system in systems},
        {system: average[system] for system in systems},
        _friedman([[by_dataset[name][system] for name in shared] for system in systems]),
        difference,
        () if difference is None else _groups(systems, average, difference),
    )


def critical_difference(num_systems: int, num_datasets: int, significance: float = SIGNIFICANCE) -> float | None:
    """Nemenyi's: average ranks at least so far apart differ; None with too few systems or datasets.

    q is the quantile of the studentized range with infinitely many degrees of freedom, over the root of 2.
    """
    if num_systems < FEWEST_SYSTEMS or num_datasets < FEWEST_DATASETS:
        return None
    quantile = float(studentized_range.ppf(1 - significance, num_systems, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(num_systems * (num_systems + 1) / (6 * num_datasets))


def ranking_markdown(ranking: Ranking) -> str:
    """Average ranks as a table, and in a sentence what they say."""
    lines = [
        f"Average rank over {len(ranking.datasets)} datasets, 1 the best, ties shared.\n",
        "| system | average rank | first on |",
        "|---|---|---|",
        *(
            f"| {system} | {ranking.average[system]:.2f} | {_times_first(ranking, system)} |"
            for system in ranking.systems
        ),
    ]
    return "\n".join([*lines, "", *_sentences(ranking)]) + "\n"


def _ranks(scores: Sequence[float | None]) -> list[float]:
    """1 for the highest score; equal scores share the mean of their ranks."""
    return [float(rank) for rank in rankdata([-score for score in scores if score is not None])]


def _friedman(ranks: Sequence[Sequence[float]]) -> float | None:
    if len(ranks) < FEWEST_SYSTEMS or len(ranks[0]) < FEWEST_DATASETS or len({tuple(row) for row in ranks}) == 1:
        return None
    return float(friedmanchisquare(*ranks).pvalue)


def _groups(systems: Sequence[str], average: Mapping[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    """Runs of neighboring systems within the difference of each other, none inside another, of two systems or more."""
    groups: list[tuple[str, ...]] = []
    for start, first in enumerate(systems):
        near = tuple(other for other in systems[start:] if average[other] - average[first] < difference)
        if len(near) > 1 and not (groups and set(near) <= set(groups[-1])):
            groups.append(near)
    return tuple(groups)


def _times_first(ranking: Ranking, system: str) -> int:
    """Datasets on which no system is before this one."""
    ranks = ranking.ranks
    return sum(ranks[system][name] == min(row[name] for row in ranks.values()) for name in ranking.datasets)


def _sentences(ranking: Ranking) -> list[str]:
    sentences = []
    if ranking.critical_difference is not None:
        chance = "" if ranking.friedman_p is None else f"Friedman's test: p = {ranking.friedman_p:.2g}. "
        sentences.append(
            f"{chance}Average ranks less than {ranking.critical_difference:.2f} apart (Nemenyi, 5 %) tell nothing."
        )
        told = [", ".join(group) for group in ranking.groups]
        sentences += [f"Not told apart: {'; '.join(told)}."] if told else []
    if ranking.left_out:
        sentences.append(f"Left out, for lack of a score of every system: {', '.join(ranking.left_out)}.")
    return sentences
