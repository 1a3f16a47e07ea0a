"""All cells of a benchmark as rows: means over seeds, spread and intervals; ranks; published numbers beside.

Flow: OUT/<protocol>/<system>/<dataset>/seed-<n>/results.json -> a row per protocol, system and dataset ->
OUT/summary.json (what the report reads) and summary.md. Protocols are never mixed in one table. It must not know how a
cell runs.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqdna.benchmark.budget import BUDGET_FILE
from vqdna.benchmark.cost import published_cost, relative_flops
from vqdna.benchmark.encoders import RIVALS
from vqdna.benchmark.intervals import METRICS, score_intervals, unpacked_classes
from vqdna.benchmark.protocols import COVID_LIKE, PROTOCOLS
from vqdna.benchmark.ranking import Ranking, rank_systems
from vqdna.benchmark.summary_tables import markdown_summary
from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, command_line, read_json, write_atomically, write_json
from vqdna.tasks.metrics import task_metrics
from vqdna.tasks.published import PosterRow, poster_rows, published_systems
from vqdna.tasks.registry import COVID_WINDOWS, datasets, variant_windows

Record = dict[str, Any]

OURS = {
    "DNABERT 3-mer": "kmer3",
    "NT-500M-1000g": "kmer6",
    "NT-2500M-1000g": "kmer6",
    "DNABERT-2": "bpe",
    "VQDNA-VQ": "vqdna-vq",
    "VQDNA-HRQ": "vqdna-hrq",
}
"""System here that has the tokenizer of a row of the poster."""

SCORES = ("mcc", "f1_macro", "accuracy", "auroc", "spearman", "pearson")
ENOUGH_TO_VOTE = 3
COSTS = ("seconds", "peak_memory", "flops_per_base", "training_bases", "pretraining_bases")


def write_summary(out: Path) -> Record:
    """The summary of all cells under `out`, also written to `out`/summary.json and, as Markdown, summary.md.

    Raises:
        InputError: no cell under `out`, or a cell whose file is damaged.
    """
    summary = summarize(out)
    write_json(out / "summary.json", summary)
    write_atomically(out / "summary.md", markdown_summary(summary).encode())
    return summary


def summarize(out: Path) -> Record:
    """Rows, rankings by protocol, and what was published of the same datasets; scores are fractions, not percent.

    Raises:
        InputError: no cell under `out`, or a cell whose file is damaged.
    """
    rows = summary_rows(read_cells(out))
    budget = out / BUDGET_FILE
    rankings = {protocol: _ranking(rows, protocol) for protocol in _protocols(rows)}
    return {
        "study": "benchmark",
        "command": command_line(),
        "budget": read_json(budget) if budget.is_file() else None,
        "rows": rows,
        "rankings": rankings,
        "published": {"full": _published({row["dataset"] for row in rows if row["protocol"] == "full"})},
        "published_cost": published_cost(),
        "poster": _poster(rows, (rankings.get("full") or {}).get("average", {})),
        "metric_by_dataset": {name: metric for name in _names(rows) if (metric := metric_of(name)) != "mcc"},
    }


def read_cells(out: Path) -> list[Record]:
    """Records of all finished cells under `out`.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    paths = [path for name in PROTOCOLS for path in sorted((out / name).rglob(f"seed-*/{RESULTS_FILE}"))]
    records = []
    for path in paths:
        record = read_json(path)
        lacking = [key for key in ("protocol", "system", "dataset", "seed", "test") if key not in record]
        if lacking:
            raise InputError(f"{path}: no '{lacking[0]}' in this results file; delete its folder to run the cell again")
        records.append(record)
    if not records:
        raise InputError(
            f"{out}: holds no benchmark results (expected full/<system>/<dataset>/seed-<n>/{RESULTS_FILE})"
        )
    return records


def summary_rows(records: Sequence[Record]) -> list[Record]:
    """A row for each protocol, dataset and system; systems in the order of their names.

    The variant windows count as a protocol of their own, so that means and ranks of the paper's datasets are theirs.
    """
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        protocol = COVID_LIKE if record["dataset"] == COVID_WINDOWS else record["protocol"]
        groups.setdefault((protocol, record["dataset"], record["system"]), []).append(record)
    return [_row(*key, sorted(group, key=lambda record: record["seed"])) for key, group in sorted(groups.items())]


def metric_of(name: str) -> str:
    """Metric of published tables: `f1_macro` for the variants, `spearman` for scores, else `mcc`."""
    known = variant_windows() if name == COVID_WINDOWS else datasets().get(name)
    return "mcc" if known is None or known.metric == "accuracy" else known.metric


def scores_to_rank(rows: Iterable[Record]) -> dict[str, dict[str, float | None]]:
    """Mean score of each system on each dataset, in the metric of the published tables."""
    scores: dict[str, dict[str, float | None]] = {}
    for row in rows:
        scores.setdefault(row["system"], {})[row["dataset"]] = row[metric_of(row["dataset"])]["mean"]
    return scores


def _row(protocol: str, name: str, system: str, records: Sequence[Record]) -> Record:
    intervals = _intervals(records)
    scores = {key: _score([record["test"].get(key) for record in records], intervals.get(key)) for key in SCORES}
    known = {key: _mean(record.get(key) for record in records) for key in COSTS}
    rival = RIVALS.get(system.partition(":")[0])
    return {
        "protocol": protocol,
        "system": system,
        "dataset": name,
        "seeds": [record["seed"] for record in records],
        **{
            key: score
            for key, score in scores.items()
            if key in ("mcc", "f1_macro", "accuracy", "auroc") or score["mean"] is not None
        },
        "vote": _vote(records),
        "dev_mcc": _score([record["dev"].get("mcc") for record in records]),
        "deduplicated": _deduplicated(records),
        "parts": _parts(records),
        "collapsed": [record["seed"] for record in records if record.get("collapsed")],
        "candidates": sorted({record["candidate"] for record in records if "candidate" in record}),
        "num_sequences": records[0].get("num_sequences"),
        "parameters": records[0].get("parameters"),
        **known,
        **({"tokenizer": rival.stands_for} if rival else {}),
    }


def _intervals(records: Sequence[Record]) -> dict[str, tuple[float, float]]:
    """Bootstrap interval of each metric's mean over seeds; none where a record lacks its predictions."""
    if not all("predicted" in record for record in records):
        return {}
    labels = unpacked_classes(records[0]["labels"])
    predicted = np.stack([unpacked_classes(record["predicted"]) for record in records])
    return score_intervals(labels, predicted, num_classes=records[0]["num_classes"])


def _vote(records: Sequence[Record]) -> Record | None:
    """Scores of the class that most seeds predict, the first one on a tie; None for fewer than three seeds."""
    if len(records) < ENOUGH_TO_VOTE or not all("predicted" in record for record in records):
        return None
    labels, num_classes = unpacked_classes(records[0]["labels"]), records[0]["num_classes"]
    chosen = np.stack([np.eye(num_classes)[unpacked_classes(record["predicted"])] for record in records]).sum(axis=0)
    metrics = task_metrics("classification", labels, chosen / len(records))
    return {key: metrics[key] for key in METRICS}


def _score(values: Sequence[float | None], ends: tuple[float, float] | None = None) -> dict[str, float | None]:
    """Mean, standard deviation of a sample (None with one seed), and the ends of the interval."""
    known = [value for value in values if value is not None]
    low, high = ends or (None, None)
    return {
        "mean": statistics.fmean(known) if known else None,
        "sd": statistics.stdev(known) if len(known) > 1 else None,
        "low": low,
        "high": high,
    }


def _deduplicated(records: Sequence[Record]) -> Record | None:
    held = [record["deduplicated"] for record in records if record.get("deduplicated")]
    if not held:
        return None
    scores = {key: _score([one.get(key) for one in held]) for key in METRICS}
    return {"dropped": held[0]["dropped"], **scores}


def _parts(records: Sequence[Record]) -> Record:
    """Mean test scores of what was averaged, each part by itself."""
    names = list(records[0].get("parts", {}))
    return {
        name: {
            key: _score([record["parts"][name]["test"].get(key) for record in records]) for key in ("mcc", "f1_macro")
        }
        for name in names
    }


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None


def _names(rows: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(row["dataset"] for row in rows))


def _protocols(rows: Sequence[Record]) -> list[str]:
    return [protocol for protocol in (*PROTOCOLS, COVID_LIKE) if any(row["protocol"] == protocol for row in rows)]


def _ranking(rows: Sequence[Record], protocol: str) -> Record | None:
    ranking = ranking_of([row for row in rows if row["protocol"] == protocol])
    return None if ranking is None else ranking.to_record()


def ranking_of(rows: Sequence[Record]) -> Ranking | None:
    """Ranking over the datasets that half of the systems have at least, of the systems that have all of these.

    A system that was run on a single dataset, or a dataset on which two systems were, would otherwise leave hardly
    anything to rank by. None where fewer than two systems are left.
    """
    scores = scores_to_rank(rows)
    counts = Counter(name for held in scores.values() for name in held)
    shared = {name for name, count in counts.items() if 2 * count >= len(scores)}
    ranked = {system: held for system, held in scores.items() if shared <= held.keys()}
    return rank_systems({system: {name: held.get(name) for name in counts} for system, held in ranked.items()})


def _published(names: set[str]) -> dict[str, dict[str, float]]:
    """Published scores x 100 of the datasets, by system; third parties' numbers left out."""
    rows = {
        system.name: {name: score for name, score in system.scores.items() if name in names}
        for system in published_systems().values()
        if system.origin != "third-party"
    }
    return {system: scores for system, scores in rows.items() if scores}


def _poster(rows: Sequence[Record], ranks: Mapping[str, float]) -> list[Record]:
    """The poster's efficiency table row for row, each with what ours of the same tokenizer cost where it was run."""
    ours = {row["system"]: {**_cost_of(rows, row["system"]), "average_rank": ranks.get(row["system"])} for row in rows}
    return [
        {"system": row.system, "published": _as_printed(row), "ours": ours.get(OURS[row.system])}
        for row in poster_rows()
    ]


def _as_printed(row: PosterRow) -> Record:
    """A row of the poster in plain numbers, parameters and operations in its parts; a token counts as it did there."""
    return {
        "parameters": [millions * 1e6 for millions in row.parameters],
        "relative_flops": list(row.relative_flops),
        "training_bases": row.tokens * 1e9,
        "average_rank": row.average_rank,
        "confidence": row.confidence,
    }


def _cost_of(rows: Sequence[Record], system: str) -> Record:
    """What a system cost, averaged over its datasets, those of the protocol `full` if there are any."""
    own = [row for row in rows if row["system"] == system and row["protocol"] == "full"] or [
        row for row in rows if row["system"] == system
    ]
    operations = _mean(row["flops_per_base"] for row in own)
    return {
        "system": system,
        "parameters": (own[0]["parameters"] or {}).get("total"),
        "training_bases": own[0]["pretraining_bases"],
        "flops_per_base": operations,
        "relative_flops": None if operations is None else relative_flops(operations),
        "mcc": _mean(row["mcc"]["mean"] for row in own),
    }
