"""A benchmark's summary.json with invented but plausible numbers: many systems, all datasets, both protocols."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqdna.benchmark.ranking import rank_systems

COMMAND = "vqdna benchmark --protocol full --protocol reduced --seeds 3 --out runs/gue"
MARKS = ("H3", "H3K14ac", "H3K36me3", "H3K4me1", "H3K4me2", "H3K4me3", "H3K79me3", "H3K9ac", "H4", "H4ac")
DATASETS = (
    *(f"EMP/{mark}" for mark in MARKS),
    *(f"mouse/{n}" for n in range(5)),
    *(f"prom_{length}_{kind}" for length in ("300", "core") for kind in ("all", "notata", "tata")),
    "splice",
    *(f"tf/{n}" for n in range(5)),
    "virus/covid",
)
WINDOWS = "covid-windows"
METRIC_BY_DATASET = {"virus/covid": "f1_macro", WINDOWS: "f1_macro"}
STRENGTHS = {
    "encoder:hrq@lora": 0.69, "encoder:hrq@full": 0.70, "encoder:vq@lora": 0.67, "encoder:vq@full": 0.675,
    "encoder:kmer-6@lora": 0.61, "encoder:bpe@lora": 0.65, "encoder:nucleotide@lora": 0.66, "hyena": 0.62,
    "dnabert-2-architecture": 0.655, "random-init:hrq@lora": 0.52, "random-init:bpe@lora": 0.50, "cnn": 0.60,
    "kmer-logreg": 0.56, "kmer-logreg:3": 0.47, "kmer-logreg:6": 0.55, "probe:hrq": 0.53, "probe:vq": 0.49,
    "probe:bpe": 0.44, "probe:nucleotide": 0.12, "one-hot-logreg": 0.30,
}  # fmt: skip
PUBLISHED = {
    "DNABERT 3-mer": (0.616, 86e6, 9.4e7), "DNABERT 6-mer": (0.605, 86e6, 9.4e7),
    "NT-500M-1000g": (0.578, 480e6, 9.2e7),
    "NT-2500M-1000g": (0.614, 2537e6, 5.6e8), "NT-2500M-multi": (0.669, 2537e6, 5.6e8),
    "DNABERT-2": (0.668, 117e6, 2.9e7), "HyenaDNA": (0.49, 6.6e6, None),
}  # fmt: skip
POSTER = (
    ("DNABERT", 86e6, 3.3, 122e9, 5),
    ("NT-500M-1000g", 480e6, 3.2, 50e9, 6), ("NT-2500M-1000g", 2537e6, 19.4, 300e9, 4),
    ("DNABERT-2", 117e6, 1.0, 262e9, 3), ("VQDNA (VQVAE)", 102e6, 1.6, 262e9, 2), ("VQDNA (HRQ)", 103e6, 1.7, 262e9, 1),
)  # fmt: skip

Record = dict[str, Any]


def score(values: Sequence[float]) -> Record:
    """Mean, spread and interval of a metric over seeds."""
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None
    half = None if sd is None else 2.5 * sd + 0.006
    return {
        "mean": mean,
        "sd": sd,
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
    }


def row(system: str, dataset: str, mcc: Sequence[float], protocol: str = "full", **extra: Any) -> Record:
    """Row of the summary whose seeds have the given MCCs; `extra` may override any key."""
    record = {
        "protocol": protocol, "system": system, "dataset": dataset, "seeds": list(range(len(mcc))),
        "mcc": score(mcc), "f1_macro": score([0.48 + value / 2 for value in mcc]),
        "accuracy": score([0.5 + value / 2 for value in mcc]),
        "auroc": score([0.5 + value / 1.9 for value in mcc]) if dataset not in METRIC_BY_DATASET else None,
        "deduplicated": None, "dev_mcc": {"mean": float(np.mean(mcc)) + 0.01, "sd": 0.01}, "collapsed": [],
        "parameters": {"total": 4_100_000, "trainable": 210_000}, "flops_per_base": 9.1e6, "training_bases": 3.2e7,
        "pretraining_bases": 1.2e9, "seconds": 412.0, "peak_memory": 2.1e9,
    }  # fmt: skip
    return record | extra


def ranking(rows: Sequence[Record], protocol: str) -> Record | None:
    """Ranking of a protocol's rows as the benchmark computes it."""
    scores: dict[str, dict[str, float | None]] = {}
    for record in rows:
        if record["protocol"] == protocol:
            metric = METRIC_BY_DATASET.get(record["dataset"], "mcc")
            scores.setdefault(record["system"], {})[record["dataset"]] = record[metric]["mean"]
    found = rank_systems(scores)
    return None if found is None else found.model_dump(mode="json")


def summary(rows: Sequence[Record], **extra: Any) -> Record:
    """Summary of the rows, without anything published unless `extra` has it."""
    return {
        "command": COMMAND,
        "budget": "cpu",
        "rows": list(rows),
        "rankings": {protocol: ranking(rows, protocol) for protocol in ("full", "reduced")},
        "published": {"full": {}},
        "published_cost": {},
        "poster": [],
        "metric_by_dataset": METRIC_BY_DATASET,
    } | extra


def write_summary(folder: Path, record: Record) -> Path:
    """Folder of a benchmark that holds its summary."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(record))
    return folder


def large_summary(num_systems: int = 20, datasets: Sequence[str] = DATASETS) -> Record:
    """Twenty systems on all 28 datasets under the full protocol, twelve on a third of them and on windows."""
    random = np.random.default_rng(0)
    difficulty = {name: float(random.uniform(-0.2, 0.22)) for name in (*datasets, WINDOWS)}
    systems = dict(list(STRENGTHS.items())[:num_systems])
    rows = [
        _plausible(random, system, name, strength, difficulty[name], "full")
        for name in datasets
        for system, strength in systems.items()
    ]
    rows += [
        _plausible(
            random, system, name, strength - 0.1, difficulty[name], "covid-like" if name == WINDOWS else "reduced"
        )
        for name in (*datasets[::3], WINDOWS)
        for system, strength in list(systems.items())[:12]
        if (system, name) != ("hyena", WINDOWS)
    ]
    published = {
        name: {d: round(100 * (mean + difficulty[d]) + float(random.normal(0, 2)), 2) for d in datasets}
        for name, (mean, _, _) in PUBLISHED.items()
    }
    published["VQDNA-HRQ"] = {"EMP/H3": 79.2, "splice": 89.53}
    costs = {
        name: {"parameters": parameters} | ({"flops_per_base": flops} if flops else {})
        for name, (_, parameters, flops) in PUBLISHED.items()
    }
    return summary(rows, published={"full": published}, published_cost=costs, poster=poster())


def poster() -> list[Record]:
    """The poster's rows, ours beside those that were run."""
    keys = ("parameters", "relative_flops", "training_bases", "average_rank")
    rows: list[Record] = [
        {"system": name, "published": dict(zip(keys, values, strict=True)), "ours": None} for name, *values in POSTER
    ]
    rows[4]["ours"] = dict(zip(keys, (4.1e6, 0.11, 1.2e9, 2.3), strict=True))
    rows[5]["ours"] = dict(zip(keys, (4.4e6, 0.12, 1.2e9, 1.4), strict=True))
    return rows


def _plausible(
    random: np.random.Generator, system: str, dataset: str, strength: float, difficulty: float, protocol: str
) -> Record:
    """Row with the spread, the collapses and the costs that go with a kind of system."""
    is_neural = "logreg" not in system and "probe" not in system
    middle = strength + difficulty + float(random.normal(0, 0.025))
    mcc = (middle + random.normal(0, 0.006 if is_neural else 0.0, 3)).clip(-0.02, 0.98)
    collapsed: list[int] = []
    if is_neural and random.random() < 0.02:
        collapsed, mcc[2] = [2], 0.0
    scale = float(np.exp(random.normal(0, 0.02))) * (0.6 + strength)
    size = int((4.1e6 if "encoder" in system or "init" in system else 1.5e5 if is_neural else 4.1e3) * scale)
    extra: Record = {
        "collapsed": collapsed,
        "parameters": {"total": size, "trainable": size // 20 if "lora" in system else size},
        "flops_per_base": size * (2.2 if is_neural else 0.01) * (1 + 3 * ("nucleotide" in system)),
        "training_bases": 3.2e7 if is_neural else 6.1e6,
        "pretraining_bases": 1.2e9 if "encoder" in system else None,
        "seconds": 410.0 * scale if is_neural else 6.5,
        "peak_memory": 2.1e9 * scale if is_neural else None,
    }
    if dataset.startswith(("tf", "mouse", "virus")):
        less = [value - 0.015 for value in mcc]
        extra["deduplicated"] = {"dropped": 57, "mcc": score(less), "f1_macro": score([0.48 + v / 2 for v in less])}
    return row(system, dataset, [float(value) for value in mcc], protocol, **extra)
