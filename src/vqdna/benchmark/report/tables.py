"""The tables of a benchmark: means, every dataset, costs, and the poster's rows beside ours.

Owns the flow `Grid` -> `Table`, published systems in rows of their own below a heading that says so. Scores stand
times 100. Must not know how ranks or intervals were computed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from vqdna.benchmark.report.rows import METRICS as SCORED
from vqdna.benchmark.report.rows import Grid, family, score_in
from vqdna.benchmark.results import PosterComparison, PosterCost, SummaryRow
from vqdna.reports.comparison import METRICS
from vqdna.reports.content import MISSING, Cell, Table, bytes_of, duration, listed, magnitude, number_cell

PUBLISHED = "Published by others, not run here"
MEANS = ("mcc", "f1_macro", "auroc")
"""Metrics whose means stand beside that of the datasets' own."""

MAX_COLUMNS = 10
FLOPS = "FLOPs per base"
COST_COLUMNS: Mapping[str, tuple[str, Callable[[Sequence[float]], float], Callable[[float | None], str]]] = {
    "parameters": ("parameters", statistics.median, magnitude),
    "trainable": ("trainable", statistics.median, magnitude),
    "flops_per_base": (FLOPS, statistics.median, magnitude),
    "pretraining_bases": ("bases pre-trained on", max, magnitude),
    "training_bases": ("bases fine-tuned on", statistics.fmean, magnitude),
    "seconds": ("time per run", statistics.fmean, duration),
    "peak_memory": ("peak memory", max, bytes_of),
}
"""Name of a cost's column, what sums it up over the datasets, and how it reads."""

POSTER_COLUMNS: Mapping[str, tuple[str, Callable[[float | None], str]]] = {
    "parameters": ("parameters", magnitude),
    "relative_flops": ("relative FLOPs", lambda value: MISSING if value is None else f"{value:.3g}"),
    "training_bases": ("training bases", magnitude),
    "average_rank": ("average rank", lambda value: MISSING if value is None else f"{value:.3g}"),
}


def score_name(grid: Grid, datasets: Sequence[str] | None = None) -> str:
    """Name of the datasets' metric, or `score` where they have different ones."""
    used = {grid.metrics[name] for name in (grid.compared if datasets is None else datasets)}
    return METRICS.get(min(used), min(used)) if len(used) == 1 else "score"


def metric_words(grid: Grid) -> str:
    """Which metric a score is, where the datasets have different ones: `macro-F1 on virus/covid, MCC on the others`."""
    others: dict[str, list[str]] = {}
    for name, metric in grid.metrics.items():
        if metric != SCORED[0]:
            others.setdefault(metric, []).append(name)
    parts = [f"{METRICS.get(metric, metric)} on {listed(names)}" for metric, names in others.items()]
    mixed = sum(map(len, others.values())) < len(grid.datasets)
    return ", ".join([*parts, *([f"{METRICS[SCORED[0]]} on the others"] if mixed and parts else [])])


def means_table(grid: Grid) -> Table:
    """A row per system, best average rank first, then the published ones by the datasets they cover and their mean."""
    extra = [metric for metric in MEANS if METRICS[metric] != score_name(grid) and _has(grid, metric)]
    with_votes = any(grid.mean_vote(system) is not None for system in grid.systems)
    columns = ["system", "average rank", f"mean {score_name(grid)}", *(["seed ensemble"] if with_votes else [])]
    columns += [*(METRICS[metric] for metric in extra), "first on", "datasets", "seeds", "no better than chance"]
    means = {system: grid.mean(system) for system in grid.systems}
    best = max(
        (mean for mean, count in means.values() if mean is not None and count == len(grid.compared)), default=None
    )
    rows = [_means_row(grid, system, extra, means[system][0] == best, with_votes) for system in grid.systems]
    published = sorted(grid.published, key=lambda system: _coverage(grid, system), reverse=True)
    rows += [_published_means_row(grid, system, len(columns)) for system in published]
    dividers = {len(grid.systems): PUBLISHED} if published else {}
    return Table(_means_caption(grid, with_votes), columns, rows, dividers=dividers)


def dataset_tables(grid: Grid) -> list[Table]:
    """Systems x datasets, in as many tables as keep families of datasets together and fit a screen."""
    return [_dataset_table(grid, names) for names in column_groups(grid.datasets)]


def column_groups(datasets: Sequence[str], most: int = MAX_COLUMNS) -> list[list[str]]:
    """Datasets in groups of whole families, as many to a group as `most` allows; a larger family is cut."""
    families: dict[str, list[str]] = {}
    for name in datasets:
        families.setdefault(family(name), []).append(name)
    parts = [members[at : at + most] for members in families.values() for at in range(0, len(members), most)]
    groups: list[list[str]] = []
    for part in parts:
        if groups and len(groups[-1]) + len(part) <= most:
            groups[-1] += part
        else:
            groups.append(list(part))
    return groups


def cost_table(grid: Grid) -> Table | None:
    """A row per system and a column per cost that any of them has; None where none has any."""
    names = [name for name in COST_COLUMNS if any(grid.costs(system, name) for system in grid.systems)]
    if not names:
        return None
    tokenizers = {system: listed(_tokenizers(grid, system)) for system in grid.systems}
    with_tokenizer = any(tokenizers.values())
    rows = [
        [Cell(system), *([Cell(tokenizers[system] or MISSING)] if with_tokenizer else []), *_costs(grid, system, names)]
        for system in grid.systems
    ]
    published = [system for system in grid.published if grid.published_costs.get(system)]
    for system in published:
        known = grid.published_costs[system]
        cells = [number_cell(known.get(name), COST_COLUMNS[name][2](known.get(name))) for name in names]
        rows.append([Cell(system), *([Cell(MISSING)] if with_tokenizer else []), *cells])
    columns = ["system", *(["tokenizer"] if with_tokenizer else []), *(COST_COLUMNS[name][0] for name in names)]
    caption = (
        "What a system costs: parameters and FLOPs are the median over the datasets, bases and time the mean of one "
        "run, memory the most of any."
    )
    dividers = {len(grid.systems): PUBLISHED} if published else {}
    return Table(caption, columns, rows, 1 + with_tokenizer, dividers)


def poster_table(records: Sequence[PosterComparison]) -> Table:
    """The poster's rows in its order, each figure published and ours side by side.

    Parameters and bases are counts; a list holds the parts of a figure, genome encoder and vocabulary.
    """
    sides: dict[str, list[PosterCost | None]] = {
        "published": [row.published for row in records],
        "ours": [row.ours for row in records],
    }
    kept = [key for key in POSTER_COLUMNS if any(_parts(cost, key) for costs in sides.values() for cost in costs)]
    columns = ["method", *(f"{POSTER_COLUMNS[key][0]}, {side}" for key in kept for side in sides)]
    rows = []
    for row in records:
        cells = []
        for key in kept:
            for cost in (row.published, row.ours):
                parts, text = _parts(cost, key), POSTER_COLUMNS[key][1]
                cells.append(Cell(" + ".join(map(text, parts)), sum(parts)) if parts else Cell(MISSING))
        rows.append([Cell(row.system, notes=() if row.ours else ("not run here",)), *cells])
    caption = (
        "The efficiency table of VQDNA's poster, row for row: published, and ours beside it. Relative FLOPs: DNABERT-2 "
        "is 1. Published ranks are among these rows, over the 28 datasets of GUE; ours are the benchmark's."
    )
    return Table(caption, columns, rows)


def _parts(cost: PosterCost | None, key: str) -> list[float]:
    """Parts of a figure of the poster, one where it is a single number, none where it is not known."""
    value = None if cost is None else getattr(cost, key)
    return [] if value is None else value if isinstance(value, list) else [value]


def _has(grid: Grid, metric: str) -> bool:
    return any(score_in(row, metric) for row in grid.rows.values())


def _coverage(grid: Grid, system: str) -> tuple[int, float]:
    mean, count = grid.published_mean(system)
    return count, mean or 0.0


def _means_row(grid: Grid, system: str, extra: Sequence[str], is_best: bool, with_vote: bool) -> list[Cell]:
    mean, count = grid.mean(system)
    rank = grid.ranks.average.get(system) if grid.ranks is not None else None
    own = grid.of_system(system)
    seeds = {len(row.seeds) for row in own}
    num_runs, num_at_chance = sum(len(row.seeds) for row in own), sum(len(row.collapsed) for row in own)
    values = [grid.mean(system, metric)[0] for metric in extra]
    first = grid.ranks.times_first(system) if grid.ranks is not None and rank is not None else None
    return [
        Cell(system),
        number_cell(rank, f"{rank:.2f}" if rank is not None else MISSING),
        _mean_cell(grid, mean, count, is_best),
        *([_rounded(grid.mean_vote(system))] if with_vote else []),
        *map(_rounded, values),
        number_cell(first, str(first)),
        Cell(f"{count} of {len(grid.compared)}", count),
        Cell(" to ".join(str(number) for number in sorted({min(seeds), max(seeds)}))),
        Cell(f"{num_at_chance} of {num_runs}" if num_at_chance else MISSING, num_at_chance),
    ]


def _rounded(value: float | None) -> Cell:
    return number_cell(value, f"{value:.1f}" if value is not None else MISSING)


def _mean_cell(grid: Grid, mean: float | None, count: int, is_best: bool = False) -> Cell:
    """Mean over all compared datasets; one over a few of them would stand among numbers it does not compare with."""
    return (
        Cell(f"{mean:.1f}", mean, strong=is_best) if mean is not None and count == len(grid.compared) else Cell(MISSING)
    )


def _published_means_row(grid: Grid, system: str, num_columns: int) -> list[Cell]:
    mean, count = grid.published_mean(system)
    cells = [
        Cell(system),
        Cell(MISSING),
        _mean_cell(grid, mean, count),
    ]
    cells += [Cell(MISSING)] * (num_columns - len(cells) - 3)
    return [*cells, Cell(f"{count} of {len(grid.compared)}", count), Cell(MISSING), Cell(MISSING)]


def _means_caption(grid: Grid, with_votes: bool) -> str:
    which = "the datasets that every ranked system has" if grid.ranks is not None else "the datasets"
    words = metric_words(grid)
    scores = f"Test scores × 100, mean over {which}" + (f"; score: {words}" if words else "")
    votes = (
        " Seed ensemble: the score of the class that most of a system's seeds predict (majority vote)."
        if with_votes
        else ""
    )
    return f"{scores}. Rank 1 is the best. Bold: the highest mean of what was run here.{votes}"


def _dataset_table(grid: Grid, names: Sequence[str]) -> Table:
    best = {
        name: max((score.mean for system in grid.systems if (score := grid.score(system, name))), default=None)
        for name in names
    }
    systems = [system for system in grid.systems if any((system, name) in grid.rows for name in names)]
    rows = [[Cell(system), *(_score_cell(grid, system, name, best[name]) for name in names)] for system in systems]
    published = [system for system in grid.published if any(name in grid.published[system] for name in names)]
    for system in published:
        scores = [grid.published[system].get(name) for name in names]
        cells = [number_cell(score, f"{score:.1f}" if score is not None else MISSING) for score in scores]
        rows.append([Cell(system), *cells])
    columns = ["system", *(_column(grid, name) for name in names)]
    families = list(dict.fromkeys(family(name) for name in names))
    caption = f"Test scores × 100, mean ± standard deviation over seeds, on {listed(families)}."
    return Table(caption, columns, rows, dividers={len(systems): PUBLISHED} if published else {}, dense=True)


def _column(grid: Grid, name: str) -> str:
    metric = grid.metrics[name]
    return name if metric == SCORED[0] else f"{name}, {METRICS.get(metric, metric)}"


def _score_cell(grid: Grid, system: str, name: str, best: float | None) -> Cell:
    score, row = grid.score(system, name), grid.rows.get((system, name))
    if score is None or row is None:
        return Cell(MISSING)
    text = f"{score.mean:.1f}" + (f" ± {score.deviation:.1f}" if score.deviation is not None else "")
    without = score_in(row.deduplicated, grid.metrics[name])
    notes = (f"dedup. {without.mean:.1f}",) if without is not None else ()
    warning = f"at chance {len(row.collapsed)}/{len(row.seeds)}" if row.collapsed else ""
    return Cell(text, score.mean, strong=score.mean == best, notes=notes, warning=warning)


def _tokenizers(grid: Grid, system: str) -> list[str]:
    return list(dict.fromkeys(row.tokenizer for row in grid.of_system(system) if row.tokenizer))


def _costs(grid: Grid, system: str, names: Sequence[str]) -> list[Cell]:
    cells = []
    for name in names:
        _, summed, text = COST_COLUMNS[name]
        values = grid.costs(system, name)
        cells.append(Cell(text(summed(values)), summed(values)) if values else Cell(MISSING))
    return cells


def cost_of(grid: Grid, system: str, name: str) -> float | None:
    """Cost of a system as the table shows it, or None where it is not known."""
    values = grid.costs(system, name)
    return COST_COLUMNS[name][1](values) if values else None


def dropped_words(rows: Sequence[SummaryRow]) -> str:
    """How many sequences were left out as repeats, by dataset: `12 on tf/0 and 3 on mouse/2`; empty for none."""
    dropped = {row.dataset: row.deduplicated.dropped for row in rows if row.deduplicated and row.deduplicated.dropped}
    return listed([f"{count:,} on {name}" for name, count in dropped.items()])
