"""The codebook study's cells as one table: mean and standard deviation over seeds, per row.

Flow: OUT/<row>/seed-<n>/results.json -> summary rows -> summary.json and summary.md. It must not know how a cell runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vqdna.errors import InputError
from vqdna.experiments.records import Score, mean_and_sd
from vqdna.results import RESULTS_FILE, read_json, write_atomically, write_json
from vqdna.tasks.metrics import metric_value

Record = dict[str, Any]

BEST_KMER = "kmer_best"
"""Row put together from the k-mer rows: on each dataset the k that does best on dev."""

LIN_TITLES = {"f1_macro": "Lin. variants, macro-F1", "mcc": "Lin. GUE, mean MCC"}


def write_summary(out: Path, command: str) -> list[Record]:
    """Rows of `summarize(out)`, also written to `out`/summary.json and `out`/summary.md; none where no cell is done."""
    rows = summarize(out)
    write_json(out / "summary.json", {"command": command, "rows": rows})
    write_atomically(out / "summary.md", markdown_summary(rows).encode())
    return rows


def summarize(out: Path) -> list[Record]:
    """A row for each cell name under `out`, and one for the best k-mer where several k are there.

    Raises:
        InputError: a cell's file is damaged.
    """
    groups: dict[str, list[Record]] = {}
    for path in sorted(out.glob(f"*/seed-*/{RESULTS_FILE}")):
        record = read_json(path)
        if record.get("study") != "codebook" or "lin" not in record:
            raise InputError(f"{path}: not a cell of the codebook study; delete it to run the cell again")
        groups.setdefault(record["cell"], []).append(record)
    kmers = [records[0] for name, records in groups.items() if name.startswith("kmer_")]
    if len(kmers) > 1:
        groups[BEST_KMER] = [_best_kmer(kmers)]
    order = sorted(groups, key=lambda name: (groups[name][0]["kind"] not in ("hand-made", "bpe"), name))
    return [_row(name, groups[name]) for name in order]


def markdown_summary(rows: Sequence[Record]) -> str:
    """The table, scores x 100 as mean ± sd, a line for each row; then every dataset's score."""
    metrics = [metric for metric in LIN_TITLES if any(metric in row["lin"] for row in rows)]
    columns: dict[str, Callable[[Record], str]] = {
        "cell": lambda row: str(row["cell"]),
        "seeds": lambda row: str(len(row["seeds"])),
        "codes": lambda row: " + ".join(map(str, row["level_sizes"])),
        "width (paper's)": _width,
        "Rec.": lambda row: _percent(row["reconstruction_accuracy"], 2),
        "usage": lambda row: " / ".join(_percent(usage) for usage in row["usage"]),
        "perplexity": lambda row: " / ".join(f"{value['mean']:.0f}" for value in row["perplexity"]),
        **{LIN_TITLES[metric]: _score_of("lin", metric) for metric in metrics},
        "dimensions": lambda row: str(row["num_features"]),
    }
    names = list(dict.fromkeys(name for row in rows for name in row["datasets"]))
    details: dict[str, Callable[[Record], str]] = {"cell": lambda row: str(row["cell"])}
    details |= {name: _score_of("datasets", name) for name in names}
    presets = ", ".join(sorted({row["preset"] for row in rows}))
    head = f"Codebook study, preset `{presets}`: test scores x 100, mean ± standard deviation over seeds.\n\n"
    return head + _table(columns, rows) + "\nEach dataset:\n\n" + _table(details, rows)


def _row(name: str, records: list[Record]) -> Record:
    first = records[0]
    levels = range(len(first.get("levels", ())))
    return {
        "cell": name,
        "kind": first["kind"],
        "preset": first["settings"]["preset"],
        "seeds": sorted(record["seed"] for record in records),
        "level_sizes": first["level_sizes"],
        "width": first.get("width"),
        "paper_width": first.get("paper_width"),
        "bits_per_base": first.get("bits_per_base"),
        "reconstruction_accuracy": mean_and_sd(record.get("reconstruction_accuracy") for record in records),
        "usage": [mean_and_sd(record["levels"][level]["usage"] for record in records) for level in levels],
        "perplexity": [mean_and_sd(record["levels"][level]["perplexity"] for record in records) for level in levels],
        "lin": {metric: mean_and_sd(record["lin"].get(metric) for record in records) for metric in first["lin"]},
        "datasets": {
            dataset: mean_and_sd(_test_score(record["datasets"].get(dataset)) for record in records)
            for dataset in first["datasets"]
        },
        "num_features": max(probe["num_features"] for record in records for probe in record["datasets"].values()),
        "seconds": statistics.fmean(record["seconds"] for record in records),
    }


def _test_score(probe: Record | None) -> float | None:
    score: float | None = None if probe is None else probe["test"][probe["metric"]]
    return score


def _best_kmer(records: Sequence[Record]) -> Record:
    """Record whose dataset entries are those of the k with the best dev score, of the smallest k on a tie."""
    shared = [name for name in records[0]["datasets"] if all(name in record["datasets"] for record in records)]
    chosen = {name: max((r["datasets"][name] for r in records), key=_dev_score) for name in shared}
    by_metric: dict[str, list[float]] = {}
    for probe in chosen.values():
        by_metric.setdefault(probe["metric"], []).append(probe["test"][probe["metric"]])
    lin = {metric: statistics.fmean(scores) for metric, scores in by_metric.items()}
    return {**records[0], "cell": BEST_KMER, "level_sizes": [], "lin": lin, "datasets": chosen}


def _dev_score(probe: Record) -> float:
    return metric_value(probe["dev"], probe["metric"])


def _table(columns: dict[str, Callable[[Record], str]], rows: Sequence[Record]) -> str:
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(cell(row) for cell in columns.values()) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _score_of(group: str, name: str) -> Callable[[Record], str]:
    return lambda row: _percent(row[group].get(name))


def _width(row: Record) -> str:
    if row["width"] is None:
        return ""
    return str(row["width"]) + ("" if row["width"] == row["paper_width"] else f" ({row['paper_width']})")


def _percent(score: Score | None, digits: int = 1) -> str:
    if score is None or score["mean"] is None:
        return ""
    mean, sd = score["mean"], score["sd"]
    return f"{100 * mean:.{digits}f}" + ("" if sd is None else f" ± {100 * sd:.{digits}f}")
