"""Systems ranked over datasets as GUE's tables rank them, and whether the ranks differ beyond chance.

Flow: score of each system on each dataset -> ranks per dataset (ties share their mean) -> average ranks, Friedman's
test, Nemenyi's critical difference, groups of systems that it does not tell apart. Only datasets that have a score of
every system count. It must not know how a score came about.

Reference: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from scipy.stats import friedmanchisquare, rankdata, studentized_range

from vqdna.benchmark.results import Ranking, SummaryRow
from vqdna.tasks.registry import COVID_WINDOWS, datasets, variant_windows

Scores = Mapping[str, Mapping[str, float | None]]
"""Score of each system on each dataset, the higher the better; None, or absent, where there is none."""

SIGNIFICANCE = 0.05
MCC = "mcc"
"""Metric of datasets whose published one is no other."""

FEWEST_SYSTEMS, FEWEST_DATASETS = 3, 2


def rank_rows(rows: Iterable[SummaryRow]) -> Ranking | None:
    """Ranking over the datasets that half of the systems have at least, of the systems that have all of these.

    A system that was run on a single dataset, or a dataset on which two systems were, would otherwise leave hardly
    anything to rank by. None where fewer than two systems are left.
    """
    scores: dict[str, dict[str, float | None]] = {}
    for row in rows:
        scores.setdefault(row.system, {})[row.dataset] = row.of(metric_of(row.dataset)).mean
    counts = Counter(name for held in scores.values() for name in held)
    shared = {name for name, count in counts.items() if 2 * count >= len(scores)}
    ranked = {system: held for system, held in scores.items() if shared <= held.keys()}
    return rank_systems({system: {name: held.get(name) for name in counts} for system, held in ranked.items()})


def metric_of(name: str) -> str:
    """Metric of published tables: `f1_macro` for the variants, `spearman` for scores, else `mcc`."""
    known = variant_windows() if name == COVID_WINDOWS else datasets().get(name)
    return MCC if known is None or known.metric == "accuracy" else known.metric


def rank_systems(scores: Scores) -> Ranking | None:
    """Ranking of the systems; None where fewer than two systems share a dataset."""
    names = list(dict.fromkeys(name for row in scores.values() for name in row))
    shared = [name for name in names if all(row.get(name) is not None for row in scores.values())]
    if len(scores) < 2 or not shared:
        return None
    # rankdata gives 1 to the lowest, so scores are negated; equal scores share the mean of their ranks.
    by_dataset = {name: dict(zip(scores, map(float, rankdata([-(row[name] or 0.0) for row in scores.values()]))))
                  for name in shared}  # fmt: skip
    average = {system: statistics.fmean(by_dataset[name][system] for name in shared) for system in scores}
    systems = tuple(sorted(scores, key=lambda system: average[system]))
    ranks = {system: {name: by_dataset[name][system] for name in shared} for system in systems}
    difference = critical_difference(len(systems), len(shared))
    columns = [tuple(row.values()) for row in ranks.values()]
    is_tested = difference is not None and len(set(columns)) > 1  # Friedman's statistic is 0 / 0 where all are ties
    return Ranking(
        systems=systems,
        datasets=tuple(shared),
        left_out=tuple(name for name in names if name not in shared),
        ranks=ranks,
        average={system: average[system] for system in systems},
        friedman_p=float(friedmanchisquare(*columns).pvalue) if is_tested else None,
        critical_difference=difference,
        groups=() if difference is None else _groups(systems, average, difference),
    )


def critical_difference(num_systems: int, num_datasets: int) -> float | None:
    """Nemenyi's: average ranks at least so far apart differ; None with too few systems or datasets.

    q is the quantile of the studentized range with infinitely many degrees of freedom, over the root of 2.
    """
    if num_systems < FEWEST_SYSTEMS or num_datasets < FEWEST_DATASETS:
        return None
    quantile = float(studentized_range.ppf(1 - SIGNIFICANCE, num_systems, math.inf)) / math.sqrt(2)
    return quantile * math.sqrt(num_systems * (num_systems + 1) / (6 * num_datasets))


def _groups(systems: Sequence[str], average: Mapping[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    """Runs of neighboring systems within the difference of each other, none inside another, of two systems or more."""
    groups: list[tuple[str, ...]] = []
    for start, first in enumerate(systems):
        near = tuple(other for other in systems[start:] if average[other] - average[first] < difference)
        if len(near) > 1 and not (groups and set(near) <= set(groups[-1])):
            groups.append(near)
    return tuple(groups)
