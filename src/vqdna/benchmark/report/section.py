"""BENCHMARK in the report: systems x datasets x seeds, one section for each protocol, from the benchmark's summary.

Owns the flow run of a benchmark -> what was run, then for each protocol means, the critical-difference diagram,
accuracy against cost, every dataset; last the poster's efficiency table. Scores of two protocols never share a table
or a picture. Must not know how a system was trained.
"""

from __future__ import annotations

from collections.abc import Sequence

from vqdna.benchmark.report.rows import Standings, standings
from vqdna.benchmark.report.tables import (
    FLOPS,
    cost_of,
    cost_table,
    dataset_tables,
    means_table,
    poster_table,
    score_name,
)
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.reports.charts.bar_charts import Bar, interval_chart
from vqdna.reports.charts.cost_chart import Point, cost_chart
from vqdna.reports.charts.rank_diagram import rank_diagram
from vqdna.reports.comparison import METRICS
from vqdna.reports.content import MISSING, Block, Drawing, Figure, Section, duration, known, listed, plural
from vqdna.reports.runs import Run, is_benchmark
from vqdna.results import validated

PROTOCOL_WORDS = {
    "full": (
        "Full protocol: every dataset whole, in its own splits. Published scores stand beside these where there are "
        "any; they were not run here, and their protocols differ in detail."
    ),
    "reduced": (
        "Reduced protocol: the same questions at a smaller cost, on less data or with less training. Its scores "
        "compare with each other, not with those of the full protocol and not with published ones."
    ),
    "covid-like": (
        "Covid-like: windows of SARS-CoV-2 genomes of nine variants, in place of GUE's, which are not at hand. What is "
        "published of that dataset is of other windows and other variants."
    ),
}
TITLES = {"covid-like": "Variant windows"}
"""Where a protocol's name says too little."""

INTRODUCTION = (
    "Every system answers the same questions about sequences that none of them saw in training. MCC is 100 for perfect "
    "answers and 0 for guessing, whatever the balance of the classes; macro-F1 averages over classes.",
)
DIAGRAM_CAPTION = (
    "Average rank of each system, best at the left. A bar joins systems that Nemenyi's test does not tell apart at "
    "5 %: their ranks are less than the critical difference (CD, to scale above the axis) apart."
)
TABLE_WORDS = (
    "Scores are MCC unless the column names another metric. Bold: the highest of what was run here. Dedup.: on the "
    "deduplicated test set. At chance: seeds that are no better than chance, of all seeds; they count in the mean."
)
BARS_WORDS = (
    "Length of a bar: mean over seeds. Whisker: 95 % interval, where one is known; that of a system with a seed "
    "no better than chance, in gray, may leave the picture. Dotted: the highest published score, where there is one."
)
COSTS = {"flops_per_base": (FLOPS, "FLOPs per base"), "parameters": ("parameters", "parameters")}
BARS_IN_A_ROW, MAX_OPEN_BARS = 2, 12


def benchmark_sections(runs: Sequence[Run]) -> list[Section]:
    """Sections of every benchmark, which several carry the name of theirs."""
    found = [run for run in runs if is_benchmark(run)]
    sections = []
    for index, run in enumerate(found):
        anchor, suffix = ("benchmark", "") if len(found) == 1 else (f"benchmark-{index + 1}", f": {run.name}")
        sections += _sections(run, anchor, suffix)
    return sections


def _sections(run: Run, anchor: str, suffix: str) -> list[Section]:
    result = validated(run.record, BenchmarkResult, run.name, "the summary of a benchmark")
    boards = standings(result)
    sections = [Section(anchor, f"Benchmark{suffix}", list(INTRODUCTION), [_what_was_run(run, result, boards)])]
    for board in boards:
        title = f"{TITLES.get(board.protocol) or f'{board.protocol.capitalize()} protocol'}{suffix}"
        sections.append(Section(f"{anchor}-{board.protocol}", title, _verdicts(board), _blocks(board)))
    if result.poster:
        block = Block(tables=[poster_table(result.poster)])
        sections.append(Section(f"{anchor}-poster", f"Efficiency{suffix}", [], [block]))
    return sections


def _what_was_run(run: Run, result: BenchmarkResult, boards: Sequence[Standings]) -> Block:
    sentences = [words for board in boards if (words := PROTOCOL_WORDS.get(board.protocol))]
    facts = []
    for board in boards:
        seeds = sorted({len(row.seeds) for row in board.rows.values()})
        num_seeds = " to ".join(map(str, dict.fromkeys([seeds[0], seeds[-1]])))
        facts += [
            (f"systems, {board.protocol}", str(len(board.systems))),
            (f"datasets, {board.protocol}", str(len(board.datasets))),
            (f"seeds, {board.protocol}", num_seeds),
        ]
    budget = result.budget if isinstance(result.budget, str) and result.budget else MISSING
    facts += [("budget", budget), ("time, all runs", duration(run.results.seconds))]
    return Block(facts=known(facts), sentences=sentences)


def _verdicts(board: Standings) -> list[str]:
    sentences = [_first(board), _beyond_chance(board), _at_chance(board)]
    if board.ranks is not None and board.ranks.left_out:
        left_out = listed(list(board.ranks.left_out))
        sentences.append(f"Not in ranks and means, for lack of a score of every system: {left_out}.")
    return [sentence for sentence in sentences if sentence]


def _first(board: Standings) -> str:
    ranks = board.ranks
    if ranks is None:
        return "There are no ranks: they take two systems with a dataset in common."
    best = ranks.systems[0]
    text = f"{best} has the best average rank, {ranks.average[best]:.2f} over {plural(len(ranks.datasets), 'dataset')}"
    mean = board.mean(best)[0]
    text += f", with a mean {score_name(board)} of {mean:.1f}" if mean is not None else ""
    following = [f"{system} ({ranks.average[system]:.2f})" for system in ranks.systems[1:3]]
    return f"{text}; next: {listed(following)}." if following else f"{text}."


def _beyond_chance(board: Standings) -> str:
    ranks = board.ranks
    if ranks is None or ranks.critical_difference is None:
        return ""
    alike = next((group for group in ranks.groups if ranks.systems[0] in group), ())
    others = [system for system in alike if system != ranks.systems[0]]
    chance = "" if ranks.friedman_p is None else f"Friedman's test over all ranks: p = {ranks.friedman_p:.2g}. "
    apart = f"Average ranks less than {ranks.critical_difference:.2f} apart (Nemenyi, 5 %) tell nothing"
    return f"{chance}{apart}: " + (f"the first is not told apart from {listed(others)}." if others else "the first is.")


def _at_chance(board: Standings) -> str:
    rows = [row for row in board.rows.values() if row.collapsed]
    if not rows:
        return ""
    systems = list(dict.fromkeys(row.system for row in rows))
    count, total = sum(len(row.collapsed) for row in rows), sum(len(row.seeds) for row in board.rows.values())
    return f"No better than chance: {count} of {plural(total, 'run')}, of {listed(systems)}; they count in the means."


def _blocks(board: Standings) -> list[Block]:
    diagram, figures, costs = _diagram(board), _cost_figures(board), cost_table(board)
    bars = [figure for name in board.datasets if (figure := _bars(board, name)) is not None]
    found = {
        row.dataset: row.deduplicated.dropped
        for row in board.rows.values()
        if row.deduplicated and row.deduplicated.dropped
    }
    dropped = listed([f"{count:,} on {name}" for name, count in found.items()])
    repeats = [f"Repeated sequences left out for the deduplicated scores: {dropped}."] if dropped else []
    blocks = [
        Block("Means and ranks", tables=[means_table(board)], drawings=[diagram] if diagram else []),
        Block("Accuracy against cost", rows=[[figure] for figure in figures]),
        Block("Costs", tables=[costs] if costs else []),
        Block("By dataset", [TABLE_WORDS, *repeats], tables=dataset_tables(board)),
        # A picture of each dataset; many of them folded, since the tables have the numbers.
        Block(
            f"Bars with intervals, {plural(len(bars), 'dataset')}",
            [BARS_WORDS],
            rows=[bars[at : at + BARS_IN_A_ROW] for at in range(0, len(bars), BARS_IN_A_ROW)],
            folded=len(bars) > MAX_OPEN_BARS,
        ),
    ]
    return [block for block in blocks if block.tables or block.rows]


def _diagram(board: Standings) -> Drawing | None:
    ranks = board.ranks
    if ranks is None or ranks.critical_difference is None:
        return None
    title = f"Critical difference over {plural(len(ranks.datasets), 'dataset')}"
    average = {system: ranks.average[system] for system in ranks.systems}
    return rank_diagram(title, average, ranks.critical_difference, ranks.groups, caption=DIAGRAM_CAPTION)


def _cost_figures(board: Standings) -> list[Figure]:
    """Mean score against FLOPs and against parameters, of systems that have all compared datasets."""
    name = score_name(board)
    figures = []
    for cost, (title, x) in COSTS.items():
        points = _points(board, cost)
        if len(points) > 1:
            caption = (
                f"Mean over {plural(len(board.compared), 'dataset')}, without systems that lack one or whose cost is"
            )
            caption += " unknown."
            if any(point.published for point in points):
                caption += " Hollow: published by others, not run here."
            title, y = f"Mean {name} against {title}", f"mean {name} × 100"
            figures.append(cost_chart(title, points, x=f"{x}, logarithmic", y=y, caption=caption))
    return figures


def _points(board: Standings, cost: str) -> list[Point]:
    """Systems run here, then published ones, each the best first."""
    ours = [(system, cost_of(board, system, cost), board.mean(system), False) for system in board.systems]
    costs = board.published_costs
    theirs = [(name, costs.get(name, {}).get(cost), board.published_mean(name), True) for name in board.published]
    found = [
        Point(name, spent, mean, published)
        for name, spent, (mean, count), published in (*ours, *theirs)
        if spent is not None and spent > 0 and mean is not None and count == len(board.compared)
    ]
    return sorted(found, key=lambda point: (point.published, -point.score))


def _bars(board: Standings, dataset: str) -> Figure | None:
    bars = []
    for system in board.systems:
        score, row = board.score(system, dataset), board.rows.get((system, dataset))
        if score is not None and row is not None:
            bars.append(Bar(system, score.mean or 0.0, score.low, score.high, "at chance" if row.collapsed else ""))
    if not bars:
        return None
    published = {name: scores[dataset] for name, scores in board.published.items() if dataset in scores}
    best = max(published.items(), key=lambda item: item[1], default=None)
    metric = METRICS.get(board.metrics[dataset], board.metrics[dataset])
    return interval_chart(dataset, bars, x=f"{metric} × 100", caption="", published=best)
