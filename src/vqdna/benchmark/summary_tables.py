"""A benchmark's result as Markdown: for each protocol means, every dataset, ranks, and what was published beside.

Flow: BenchmarkResult -> text. Scores x 100. It must not know how rows are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vqdna.benchmark.results import Ranking, Score, SummaryRow
from vqdna.benchmark.summary import BenchmarkResult, summarize
from vqdna.quantities import markdown_table
from vqdna.results import write_atomically

METRICS = {"mcc": "MCC", "f1_macro": "macro-F1"}
PROTOCOLS = {
    "full": "Protocol `full`: the official splits.",
    "reduced": "Protocol `reduced`: the dev split trains, a tenth of it chooses; not comparable with `full`.",
    "covid-like": "Windows of SARS-CoV-2 genomes of nine variants, in place of GUE's, which are not at hand.",
}


def write_summary(out: Path) -> BenchmarkResult:
    """The result of all trials under `out`, also written to `out`/summary.json and, as Markdown, summary.md.

    Raises:
        InputError: no trial under `out`, or one whose file is damaged.
    """
    result = summarize(out)
    result.to_disk(out)
    write_atomically(out / "summary.md", markdown_summary(result).encode())
    return result


def markdown_summary(result: BenchmarkResult) -> str:
    parts = []
    for protocol, text in PROTOCOLS.items():
        rows = result.of_protocol(protocol)
        if not rows:
            continue
        counts = sorted({len(row.seeds) for row in rows})
        seeds = " to ".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]]))
        ranking = result.rankings.get(protocol)
        order = systems_in_order(rows, ranking)
        parts += [
            f"## {protocol}\n\n{text} Test scores x 100, mean ± standard deviation over {seeds} seed(s).\n",
            means_table(rows, order),
            *(metric_table(rows, order, metric, title) for metric, title in METRICS.items()),
            *([] if ranking is None else [ranking_markdown(ranking)]),
            published_table(rows, result.published.get(protocol, {})),
        ]
    return "\n".join(parts)


def systems_in_order(rows: Sequence[SummaryRow], ranking: Ranking | None) -> list[str]:
    """Systems, best average rank first, then those that are not ranked."""
    return list(dict.fromkeys([*(ranking.systems if ranking else ()), *sorted({row.system for row in rows})]))


def means_table(rows: Sequence[SummaryRow], order: Sequence[str]) -> str:
    """Means over datasets; beside them the seed ensemble's, and those on the deduplicated test sets."""
    lines = []
    for system in order:
        own = [row for row in rows if row.system == system]
        votes = [row.vote.mcc for row in own if row.vote]
        lines.append([
            system,
            str(len(own)),
            _mean(row.of("mcc").mean for row in own),
            _mean(votes) if len(votes) == len(own) else "-",
            _mean(row.deduplicated.of("mcc").mean for row in own if row.deduplicated),
            _mean(row.of("f1_macro").mean for row in own),
            str(sum(len(row.collapsed) for row in own) or ""),
        ])  # fmt: skip
    head = ["system", "datasets", "mean MCC", "seed ensemble (majority vote)", "deduplicated test set"]
    return markdown_table([*head, "mean macro-F1", "no better than chance"], lines)


def metric_table(rows: Sequence[SummaryRow], order: Sequence[str], metric: str, title: str) -> str:
    """A line for each dataset and a column for each system."""
    scores = {(row.dataset, row.system): percent(row.of(metric)) for row in rows}
    names = dict.fromkeys(row.dataset for row in rows)
    return markdown_table(
        [title, *order], [[name, *(scores.get((name, system), "") for system in order)] for name in names]
    )


def ranking_markdown(ranking: Ranking) -> str:
    """Average ranks as a table, and in a sentence what they say."""
    rows = [[name, f"{ranking.average[name]:.2f}", str(ranking.times_first(name))] for name in ranking.systems]
    head = f"Average rank over {len(ranking.datasets)} datasets, 1 the best, ties shared.\n\n"
    text = head + markdown_table(["system", "average rank", "first on"], rows) + "\n"
    if ranking.critical_difference is not None:
        chance = "" if ranking.friedman_p is None else f"Friedman's test: p = {ranking.friedman_p:.2g}. "
        text += (
            f"{chance}Average ranks less than {ranking.critical_difference:.2f} apart (Nemenyi, 5 %) tell nothing.\n"
        )
        if ranking.groups:
            text += f"Not told apart: {'; '.join(', '.join(group) for group in ranking.groups)}.\n"
    if ranking.left_out:
        text += f"Left out, for lack of a score of every system: {', '.join(ranking.left_out)}.\n"
    return text


def published_table(rows: Sequence[SummaryRow], published: Mapping[str, Mapping[str, float]]) -> str:
    """Published means over the datasets here, of the systems that have them all; empty where none has."""
    names = {row.dataset for row in rows}
    whole = {system: Score.of(map(scores.get, names)) for system, scores in published.items() if names <= set(scores)}
    if not whole:
        return ""
    head = f"\nPublished, mean of the same {len(names)} datasets, in the metric of the published tables:\n\n"
    return head + markdown_table(
        ["system", "mean"], [[name, mean.text(scale=1, with_sd=False)] for name, mean in whole.items()]
    )


def percent(score: Score) -> str:
    """Mean x 100, and the standard deviation where there is one."""
    return score.text(missing="undefined")


def _mean(values: Iterable[float | None]) -> str:
    return Score.of(values).text(with_sd=False, missing="-")
