"""A benchmark's summary as Markdown: for each protocol means, every dataset, ranks, and what was published beside.

Flow: summary record -> text. Scores x 100. It must not know how rows are made.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from vqdna.benchmark.ranking import Ranking, ranking_markdown

Record = dict[str, Any]

METRICS = {"mcc": "MCC", "f1_macro": "macro-F1"}
WORDS = {
    "full": "Protocol `full`: the official splits.",
    "reduced": "Protocol `reduced`: the dev split trains, a tenth of it chooses; not comparable with `full`.",
    "covid-like": "Windows of SARS-CoV-2 genomes of nine variants, in place of GUE's, which are not at hand.",
}


def markdown_summary(summary: Record) -> str:
    """All tables of a summary."""
    protocols = [protocol for protocol in WORDS if any(row["protocol"] == protocol for row in summary["rows"])]
    parts = [_protocol_text(protocol, summary) for protocol in protocols]
    return "\n".join(parts)


def _protocol_text(protocol: str, summary: Record) -> str:
    rows = [row for row in summary["rows"] if row["protocol"] == protocol]
    counts = sorted({len(row["seeds"]) for row in rows})
    seeds = " to ".join(str(count) for count in {counts[0]: None, counts[-1]: None})
    head = f"## {protocol}\n\n{WORDS[protocol]} Test scores x 100, mean ± standard deviation over {seeds} seed(s).\n"
    ranking = summary["rankings"].get(protocol)
    order = systems_in_order(rows, ranking)
    tables = [metric_table(rows, order, metric, title) for metric, title in METRICS.items()]
    ranks = "" if ranking is None else "\n" + ranking_markdown(Ranking.from_record(ranking))
    return (
        "\n".join([head, means_table(rows, order), *tables])
        + ranks
        + published_table(rows, summary["published"].get(protocol, {}))
    )


def systems_in_order(rows: Sequence[Record], ranking: Record | None) -> list[str]:
    """Systems, best average rank first, then those that are not ranked."""
    ranked = [] if ranking is None else list(ranking["systems"])
    return list(dict.fromkeys([*ranked, *sorted({row["system"] for row in rows})]))


def means_table(rows: Sequence[Record], order: Sequence[str]) -> str:
    """Means over datasets; beside them what three seeds and more vote for, and scores of unseen test records alone."""
    lines = [
        "| system | datasets | mean MCC | vote of seeds | unseen records only | mean macro-F1 | collapsed |",
        "|---|---|---|---|---|---|---|",
    ]
    for system in order:
        own = [row for row in rows if row["system"] == system]
        unseen = [row["deduplicated"]["mcc"]["mean"] for row in own if row["deduplicated"]]
        collapsed = sum(len(row["collapsed"]) for row in own)
        votes = [row["vote"]["mcc"] for row in own if row.get("vote")]
        cells = [
            _mean([row["mcc"]["mean"] for row in own]),
            _mean(votes) if len(votes) == len(own) else "-",
            _mean(unseen),
            _mean([row["f1_macro"]["mean"] for row in own]),
        ]
        lines.append(f"| {system} | {len(own)} | {' | '.join(cells)} | {collapsed or ''} |")
    return "\n".join(lines) + "\n"


def metric_table(rows: Sequence[Record], order: Sequence[str], metric: str, title: str) -> str:
    """A line for each dataset and a column for each system."""
    names = list(dict.fromkeys(row["dataset"] for row in rows))
    scores = {(row["dataset"], row["system"]): percent(row[metric]) for row in rows}
    lines = [f"| {title} | " + " | ".join(order) + " |", "|---|" + "---|" * len(order)]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(scores.get((name, system), "") for system in order) + " |")
    return "\n".join(lines) + "\n"


def published_table(rows: Sequence[Record], published: Mapping[str, Mapping[str, float]]) -> str:
    """Published means over the datasets here, of the systems that have them all."""
    names = {row["dataset"] for row in rows}
    whole = {system: scores for system, scores in published.items() if names <= set(scores)}
    if not whole:
        return ""
    lines = [
        f"\nPublished, mean of the same {len(names)} datasets, in the metric of the published tables:\n",
        "| system | mean |",
        "|---|---|",
    ]
    lines += [
        f"| {system} | {statistics.fmean(scores[name] for name in names):.1f} |" for system, scores in whole.items()
    ]
    return "\n".join(lines) + "\n"


def percent(score: Mapping[str, float | None]) -> str:
    """Mean x 100, and the standard deviation where there is one."""
    mean, sd = score["mean"], score["sd"]
    if mean is None:
        return "undefined"
    return f"{100 * mean:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}")


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{100 * statistics.fmean(known):.1f}" if known else "-"
