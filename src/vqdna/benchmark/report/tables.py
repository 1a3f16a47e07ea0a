"""The tables of a benchmark: means, every dataset, costs, and the poster's rows beside ours.

Owns the flow `Standings` -> `Table`, published systems in rows of their own below a heading that says so. Scores stand
times 100. Must not know how ranks or intervals were computed.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from vqdna.benchmark.ranking import MCC
from vqdna.benchmark.report.rows import Standings, families, score_in
from vqdna.benchmark.results import PosterComparison, PosterCost
from vqdna.reports.comparison import METRICS
from vqdna.reports.content import MISSING, Cell, Table, bytes_of, decimal, duration, listed, magnitude, number_cell

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


def _three_digits(value: float) -> str:
    return f"{value:.3g}"


POSTER_COLUMNS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "parameters": ("parameters", magnitude),
    "relative_flops": ("relative FLOPs", _three_digits),
    "training_bases": ("training bases", magnitude),
    "average_rank": ("average rank", _three_digits),
}


def score_name(board: Standings) -> str:
    """Name of the compared datasets' metric, or `score` where they have different ones."""
    used = {board.metrics[name] for name in board.compared}
    return METRICS.get(min(used), min(used)) if len(used) == 1 else "score"


def means_table(board: Standings) -> Table:
    """A row per system, best average rank first, then the published ones by the datasets they cover and their mean."""
    extra = [metric for metric in MEANS if METRICS[metric] != score_name(board)]
    extra = [metric for metric in extra if any(score_in(row, metric) for row in board.rows.values())]
    votes = {system: board.mean_vote(system) for system in board.systems}
    with_votes = any(vote is not None for vote in votes.values())
    means = {system: board.mean(system) for system in board.systems}
    num_compared = len(board.compared)
    best = max((mean for mean, count in means.values() if mean is not None and count == num_compared), default=None)

    def mean_cell(mean: float | None, count: int, *, ours: bool) -> Cell:
        # One over a few of the compared datasets would stand among numbers it does not compare with.
        if mean is None or count < num_compared:
            return Cell(MISSING)
        return Cell(f"{mean:.1f}", mean, strong=ours and mean == best)

    def own_row(system: str) -> list[Cell]:
        rank = board.ranks.average.get(system) if board.ranks is not None else None
        first = board.ranks.times_first(system) if board.ranks is not None and rank is not None else None
        own, (mean, count) = board.of_system(system), means[system]
        seeds = {len(row.seeds) for row in own}
        num_runs, num_at_chance = sum(len(row.seeds) for row in own), sum(len(row.collapsed) for row in own)
        return [
            Cell(system),
            number_cell(rank, decimal(rank, 2)),
            mean_cell(mean, count, ours=True),
            *([number_cell(votes[system], decimal(votes[system], 1))] if with_votes else []),
            *(number_cell(value, decimal(value, 1)) for value in (board.mean(system, metric)[0] for metric in extra)),
            number_cell(first, str(first)),
            Cell(f"{count} of {num_compared}", count),
            Cell(" to ".join(str(number) for number in sorted({min(seeds), max(seeds)}))),
            Cell(f"{num_at_chance} of {num_runs}" if num_at_chance else MISSING, num_at_chance),
        ]

    def published_row(system: str, mean: float | None, count: int) -> list[Cell]:
        blanks = [Cell(MISSING)] * (with_votes + len(extra) + 1)
        covered = Cell(f"{count} of {num_compared}", count)
        cells = [Cell(system), Cell(MISSING), mean_cell(mean, count, ours=False)]
        return [*cells, *blanks, covered, Cell(MISSING), Cell(MISSING)]

    columns = ["system", "average rank", f"mean {score_name(board)}", *(["seed ensemble"] if with_votes else [])]
    columns += [*(METRICS[metric] for metric in extra), "first on", "datasets", "seeds", "no better than chance"]
    published = {system: board.published_mean(system) for system in board.published}
    by_coverage = sorted(published, key=lambda name: (published[name][1], published[name][0] or 0.0), reverse=True)
    rows = [own_row(system) for system in board.systems]
    rows += [published_row(system, *published[system]) for system in by_coverage]
    return Table(_means_caption(board, with_votes), columns, rows, dividers=_divided(board.systems, published))


def _means_caption(board: Standings, with_votes: bool) -> str:
    which = "the datasets that every ranked system has" if board.ranks is not None else "the datasets"
    text = f"Test scores × 100, mean over {which}"
    others: dict[str, list[str]] = {}
    for name, metric in board.metrics.items():
        if metric != MCC:
            others.setdefault(metric, []).append(name)
    if others:  # which metric a score is: `macro-F1 on virus/covid, MCC on the others`
        parts = [f"{METRICS.get(metric, metric)} on {listed(names)}" for metric, names in others.items()]
        is_mixed = sum(map(len, others.values())) < len(board.datasets)
        text += "; score: " + ", ".join([*parts, *([f"{METRICS[MCC]} on the others"] if is_mixed else [])])
    text += ". Rank 1 is the best. Bold: the highest mean of what was run here."
    votes = " Seed ensemble: the score of the class that most of a system's seeds predict (majority vote)."
    return text + (votes if with_votes else "")


def _divided(ours: Sequence[str], published: Mapping[str, object] | Sequence[str]) -> dict[int, str]:
    """Heading over the rows of published systems, which stand below ours."""
    return {len(ours): PUBLISHED} if published else {}


def dataset_tables(board: Standings) -> list[Table]:
    """Systems x datasets, in as many tables as keep families of datasets together and fit a screen."""
    return [_dataset_table(board, names) for names in column_groups(board.datasets)]


def column_groups(datasets: Sequence[str], most: int = MAX_COLUMNS) -> list[list[str]]:
    """Datasets in groups of whole families, as many to a group as `most` allows; a larger family is cut."""
    members = families(datasets).values()
    groups: list[list[str]] = []
    for part in [names[at : at + most] for names in members for at in range(0, len(names), most)]:
        if groups and len(groups[-1]) + len(part) <= most:
            groups[-1] += part
        else:
            groups.append(list(part))
    return groups


def _dataset_table(board: Standings, names: Sequence[str]) -> Table:
    systems = [system for system in board.systems if any((system, name) in board.rows for name in names)]
    columns: dict[str, list[Cell]] = {}
    for name in names:
        metric = board.metrics[name]
        title = name if metric == MCC else f"{name}, {METRICS.get(metric, metric)}"
        means = [score.mean or 0.0 for system in systems if (score := board.score(system, name))]
        columns[title] = [_score_cell(board, system, name, max(means, default=None)) for system in systems]
    rows = [[Cell(system), *cells] for system, *cells in zip(systems, *columns.values(), strict=True)]
    published = [system for system, known in board.published.items() if any(name in known for name in names)]
    for system in published:
        scores = [board.published[system].get(name) for name in names]
        rows.append([Cell(system), *(number_cell(score, decimal(score, 1)) for score in scores)])
    caption = f"Test scores × 100, mean ± standard deviation over seeds, on {listed(list(families(names)))}."
    return Table(caption, ["system", *columns], rows, dividers=_divided(systems, published), dense=True)


def _score_cell(board: Standings, system: str, name: str, best: float | None) -> Cell:
    score, row = board.score(system, name), board.rows.get((system, name))
    if score is None or row is None:
        return Cell(MISSING)
    without = score_in(row.deduplicated, board.metrics[name])
    notes = (f"dedup. {without.mean:.1f}",) if without is not None else ()
    warning = f"at chance {len(row.collapsed)}/{len(row.seeds)}" if row.collapsed else ""
    return Cell(score.text(scale=1), score.mean, strong=score.mean == best, notes=notes, warning=warning)


def cost_of(board: Standings, system: str, name: str) -> float | None:
    """Cost of a system over its datasets, or None where it is not known; `parameters` and `trainable` are counts."""
    values = [value for row in board.of_system(system) if (value := row.cost(name)) is not None]
    return COST_COLUMNS[name][1](values) if values else None


def cost_table(board: Standings) -> Table | None:
    """A row per system and a column per cost that any of them has; None where none has any."""
    costs = {name: {system: cost_of(board, system, name) for system in board.systems} for name in COST_COLUMNS}
    names = [name for name, known in costs.items() if any(value is not None for value in known.values())]
    if not names:
        return None
    tokenizers = {
        system: listed(list(dict.fromkeys(row.tokenizer for row in board.of_system(system) if row.tokenizer)))
        for system in board.systems
    }
    with_tokenizer = any(tokenizers.values())
    published = [system for system in board.published if board.published_costs.get(system)]

    def row(system: str, tokenizer: str, values: Sequence[float | None]) -> list[Cell]:
        cells = [Cell(system), *([Cell(tokenizer or MISSING)] if with_tokenizer else [])]
        return [*cells, *(number_cell(value, COST_COLUMNS[name][2](value)) for name, value in zip(names, values))]

    rows = [row(system, tokenizers[system], [costs[name][system] for name in names]) for system in board.systems]
    rows += [row(system, "", [board.published_costs[system].get(name) for name in names]) for system in published]
    columns = ["system", *(["tokenizer"] if with_tokenizer else []), *(COST_COLUMNS[name][0] for name in names)]
    caption = (
        "What a system costs: parameters and FLOPs are the median over the datasets, bases and time the mean of one "
        "run, memory the most of any."
    )
    return Table(caption, columns, rows, 1 + with_tokenizer, _divided(board.systems, published))


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
        cells = [Cell(row.system, notes=() if row.ours else ("not run here",))]
        for key in kept:
            for parts in (_parts(row.published, key), _parts(row.ours, key)):
                text = " + ".join(map(POSTER_COLUMNS[key][1], parts))
                cells.append(Cell(text, sum(parts)) if parts else Cell(MISSING))
        rows.append(cells)
    caption = (
        "The efficiency table of VQDNA's poster, row for row: published, and ours beside it. Relative FLOPs: DNABERT-2 "
        "is 1. Published ranks are among these rows, over the 28 datasets of GUE; ours are the benchmark's."
    )
    return Table(caption, columns, rows)


def _parts(cost: PosterCost | None, key: str) -> list[float]:
    """Parts of a figure of the poster, one where it is a single number, none where it is not known."""
    value = None if cost is None else getattr(cost, key)
    return [] if value is None else value if isinstance(value, list) else [value]
