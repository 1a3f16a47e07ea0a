"""The pre-training study's cells as one table: mean dev MCC of each encoder, and its lead over fresh weights.

Flow: OUT/<encoder>/<dataset>-seed-<n>/results.json -> a row per encoder -> summary.json and summary.md. Only seeds that
have all datasets count towards a row's mean, so that encoders are compared on the same sets. It must not know how a
cell runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json

Record = dict[str, Any]


def write_summary(out: Path, command: str) -> list[Record]:
    """Rows of `summarize(out)`, also written to `out`/summary.json and `out`/summary.md."""
    rows = summarize(out)
    write_json(out / "summary.json", {"study": "pretraining", "command": command, "rows": rows})
    write_atomically(out / "summary.md", markdown_summary(rows).encode())
    return rows


def summarize(out: Path) -> list[Record]:
    """A row for each encoder under `out`: controls without one first, then those that saw fewer bases."""
    records = [read_json(path) for path in sorted(out.glob(f"*/*-seed-*/{RESULTS_FILE}"))]
    names = sorted({record["dataset"] for record in records})
    encoders: dict[str, list[Record]] = {}
    for record in records:
        encoders.setdefault(record["encoder"], []).append(record)
    rows = [_row(encoder, names, group) for encoder, group in encoders.items()]
    return sorted(rows, key=lambda row: (-1 if row["bases_seen"] is None else row["bases_seen"], row["encoder"]))


def markdown_summary(rows: Sequence[Record]) -> str:
    """The table, scores x 100 as mean ± standard deviation over seeds; then every dataset's mean."""
    names = list(rows[0]["datasets"]) if rows else []
    totals = [
        f"| {row['encoder']} | {_megabases(row['bases_seen'])} | {len(row['seeds'])} | {_shown(row)} |" for row in rows
    ]
    details = [
        f"| {row['encoder']} | " + " | ".join(_percent(row["datasets"].get(name)) for name in names) + " |"
        for row in rows
    ]
    lines = [
        "What pre-training is worth: dev MCC x 100 after the same fine-tuning, mean ± standard deviation over seeds.\n",
        f"| encoder | bases seen | seeds | mean of {len(names)} sets |",
        "|---|---|---|---|",
        *totals,
        "\nEach dataset, mean over seeds:\n",
        "| encoder | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
        *details,
    ]
    return "\n".join(lines) + "\n"


def _row(encoder: str, names: Sequence[str], records: Sequence[Record]) -> Record:
    scores = {(record["dataset"], record["seed"]): float(record["dev"]["mcc"]) for record in records}
    seeds = sorted({record["seed"] for record in records})
    whole = [seed for seed in seeds if all((name, seed) in scores for name in names)]
    means = [statistics.fmean(scores[name, seed] for name in names) for seed in whole]
    known = {name: [scores[name, seed] for seed in seeds if (name, seed) in scores] for name in names}
    return {
        "encoder": encoder,
        "bases_seen": records[0]["bases_seen"],
        "seeds": whole,
        "mean": statistics.fmean(means) if means else None,
        "sd": statistics.stdev(means) if len(means) > 1 else None,
        "datasets": {name: statistics.fmean(values) if values else None for name, values in known.items()},
        "seconds": sum(record["seconds"] for record in records),
        "sequences": {record["dataset"]: record["sequences"]["train"] for record in records},
        "parameters": records[0]["parameters"],
    }


def _megabases(seen: int | None) -> str:
    return "-" if seen is None else f"{seen / 1e6:.1f} M"


def _shown(row: Record) -> str:
    if row["mean"] is None:
        return "-"
    return _percent(row["mean"]) + ("" if row["sd"] is None else f" ± {100 * row['sd']:.1f}")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
