"""Run folders as the stages write them, with invented but plausible numbers: what a report can be made of."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

VERSIONS = {"vqdna": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0"}
DATA = {"source": "simulated", "description": "4 simulated species of 200,000 bases each, seed 0"}
CONFIG = "stage: {stage}\nseed: {seed}\ntraining:\n  num_steps: 400\n  learning_rate: 0.001\n"


def write_run(folder: Path, results: dict[str, Any], metrics: list[dict[str, Any]] | None = None) -> Path:
    """Folder with results.json, run.yaml, manifest.json, and metrics.jsonl where there are metrics."""
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "run.yaml").write_text(CONFIG.format(stage=results["stage"], seed=results.get("seed")))
    (folder / "manifest.json").write_text(
        json.dumps({"seed": results.get("seed"), "python": "3.11.2", "versions": VERSIONS})
    )
    if metrics is not None:
        (folder / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in metrics))
    return folder


def write_vocabulary(folder: Path, system: str, sizes: tuple[int, ...], seed: int = 0) -> Path:
    """Vocabulary run with one level per size."""
    random = np.random.default_rng([seed, *sizes])
    counts = [_code_counts(random, size) for size in sizes]
    levels = [
        {
            "size": size,
            "usage": float((count > 0).mean()),
            "perplexity": _perplexity(count),
            "dead_codes": int((count == 0).sum()),
        }
        for size, count in zip(sizes, counts)
    ]
    evaluation = {"reconstruction_accuracy": 0.9991, "reconstruction": 0.0047, "levels": levels}
    evaluation["bits_per_base"] = sum(math.log2(size) for size in sizes)
    results = {
        "stage": "vocabulary", "system": system, "seed": seed, "seconds": 61.4, "data": DATA, "evaluation": evaluation,
        "command": f"vqdna vocabulary --config configs/vocabulary/{system}_small.yaml --out {folder.name}",
        "parameters": {"weights": 2_274_436, "code_vectors": sum(sizes) * 128, "total": 2_274_436 + sum(sizes) * 128},
        "code_usage": [count.tolist() for count in counts],
        "code_map": [point for level, count in enumerate(counts) for point in _code_map(random, level, count)],
    }  # fmt: skip
    return write_run(folder, results, _vocabulary_metrics(random, levels))


def write_pretrain(folder: Path, system: str, num_levels: int, seed: int = 0) -> Path:
    """Pre-training run whose masked accuracy falls with the distance to the nearest visible base."""
    random = np.random.default_rng([seed, num_levels])
    final = [0.42 - 0.18 * level for level in range(num_levels)]
    leak = [
        {
            "distance": d,
            "accuracy": [a + 0.35 * math.exp(-(d - 1) / 2.5) for a in final],
            "count": int(9000 * 0.72**d) + 40,
        }
        for d in range(1, 13)
    ]
    results = {
        "stage": "pretrain", "system": system, "seed": seed, "seconds": 88.2, "data": DATA, "leak": leak,
        "evaluation": {"masked_accuracy": final, "nats_per_base": 4.12, "base_nats": 1.301, "loss": 4.12},
        "masking": {"unit": "spans", "fraction": 0.25, "span": 12},
        "parameters": {"backbone": 3_900_000, "total": 4_100_000},
        "command": f"vqdna pretrain --vocabulary demo/{system} --out {folder.name}",
    }  # fmt: skip
    metrics = []
    for step in range(10, 401, 10):
        progress, when = 1 - math.exp(-step / 110), {"step": step, "epoch": step / 400}
        metrics.append(when | {"loss": 9.4 - 5.2 * progress + float(random.normal(0, 0.05))})
        if step % 50 == 0:
            accuracies = {f"evaluation_masked_accuracy_level_{level}": a * progress for level, a in enumerate(final)}
            nats = {"evaluation_loss": 9.4 - 5.1 * progress, "evaluation_base_nats": 1.46 - 0.16 * progress}
            metrics.append(when | nats | accuracies)
    return write_run(folder, results, metrics)


def write_finetune(folder: Path, dataset: str, system: str, seed: int, mcc: float, **extra: Any) -> Path:
    """Fine-tuning run of eight epochs with the given test MCC."""
    random = np.random.default_rng([seed, round(1000 * mcc)])
    metrics: list[dict[str, Any]] = []
    for step in range(1, 81):
        metrics.append(
            {
                "step": step,
                "epoch": step / 10,
                "loss": 0.69 - 0.3 * (1 - math.exp(-step / 30)) + float(random.normal(0, 0.012)),
            }
        )
        if step % 10 == 0:
            score = mcc * (1 - math.exp(-step / 16)) + float(random.normal(0, 0.01))
            metrics.append({"step": step, "epoch": step / 10, "dev_mcc": score, "dev_accuracy": 0.5 + score / 2})
    best = max((record for record in metrics if "dev_mcc" in record), key=lambda record: record["dev_mcc"])
    results = {
        "stage": "finetune", "system": system, "dataset": dataset, "task": "classification", "num_classes": 2,
        "method": "lora",
        "seed": seed, "seconds": 41.0 + seed, "data": DATA, "epochs": 8, "best_epoch": round(best["epoch"]),
        "dev": {"mcc": best["dev_mcc"]}, "test": scores(mcc), "parameters": {"total": 4_310_000, "trainable": 212_000},
        "command": f"vqdna finetune --encoder demo/encoder --train train.csv --test test.csv --seed {seed}",
    }  # fmt: skip
    return write_run(folder, results | extra, metrics)


def write_probe(folder: Path, dataset: str, system: str, seed: int, mcc: float, **extra: Any) -> Path:
    """Probe with the given test MCC; it has no training curve."""
    results = {
        "stage": "probe", "system": system, "dataset": dataset, "seed": seed, "seconds": 3.2, "data": DATA, "dev": None,
        "test": scores(mcc), "features": "histogram", "command": f"vqdna probe --tokenizer {system} --seed {seed}",
    }  # fmt: skip
    return write_run(folder, results | extra)


def write_benchmark(folder: Path, dataset: str, system: str, seed: int, mcc: float, **extra: Any) -> Path:
    """Cell of a benchmark; `extra` may override any key."""
    results = {
        "stage": "benchmark",
        "system": system,
        "dataset": dataset,
        "seed": seed,
        "seconds": 12.5,
        "test": scores(mcc),
    }
    return write_run(
        folder, results | {"parameters": 151_000, "command": f"vqdna benchmark --systems {system}"} | extra
    )


def write_demo(root: Path) -> Path:
    """Everything a demo makes: two vocabularies, an encoder, two datasets with several systems and seeds."""
    write_vocabulary(root / "vocabulary" / "vq", "vq", (512,))
    write_vocabulary(root / "vocabulary" / "hrq", "hrq", (256, 512))
    write_pretrain(root / "pretrain" / "hrq", "hrq", 2)
    for dataset, base in (("simulated promoters", 0.71), ("mouse/3", 0.58)):
        place = dataset.replace("/", "_").replace(" ", "_")
        for seed, offset in enumerate((0.0, 0.013, -0.021)):
            write_finetune(root / "finetune" / place / f"hrq-{seed}", dataset, "hrq", seed, base + offset)
            write_finetune(root / "finetune" / place / f"vq-{seed}", dataset, "vq", seed, base - 0.05 + offset / 2)
            write_probe(root / "probe" / place / f"hrq-{seed}", dataset, "hrq", seed, base - 0.3 + offset)
        write_probe(root / "probe" / place / "kmer6", dataset, "kmer:6", 0, base - 0.035)
        write_benchmark(root / "benchmark" / "cnn" / place, dataset, "cnn", 0, base - 0.02)
    (root / "results.json").write_text(json.dumps({"summary": "a page beside the runs, not a run"}))
    return root


def scores(mcc: float) -> dict[str, float]:
    """Test scores that go with an MCC."""
    return {"mcc": mcc, "f1_macro": 0.5 + mcc / 2 - 0.004, "accuracy": 0.5 + mcc / 2, "auroc": 0.5 + mcc / 1.85}


def _code_counts(random: np.random.Generator, size: int) -> np.ndarray:
    weights = 1 / (np.arange(size) + 3) ** 0.75 * random.lognormal(0, 0.5, size)
    weights[random.random(size) < 0.07] = 0
    return random.multinomial(120_000, weights / weights.sum())


def _perplexity(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _code_map(random: np.random.Generator, level: int, counts: np.ndarray) -> list[dict[str, Any]]:
    points = []
    for code in np.flatnonzero(counts):
        kmer = "".join(random.choice(list("ACGT"), 7))
        share = sum(base in "GC" for base in kmer) / 7
        x, y = random.normal(6 * share - 3, 0.7), random.normal("ACGT".index(kmer[3]) * 1.3, 0.5)
        points.append(
            {
                "level": level,
                "code": int(code),
                "x": float(x),
                "y": float(y),
                "count": int(counts[code]),
                "top_kmer": kmer,
            }
        )
    return points


def _vocabulary_metrics(random: np.random.Generator, levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    metrics: list[dict[str, Any]] = []
    for step in range(10, 401, 10):
        fall = math.exp(-step / 45)
        reconstruction = 1.386 * fall + 0.005 + abs(float(random.normal(0, 0.008)))
        commitment = 0.3 * (1 - fall) * (1 + 1.2 * math.exp(-step / 150)) + float(random.normal(0, 0.006))
        metrics.append(
            {
                "step": step,
                "epoch": step / 400,
                "loss": reconstruction + 0.5 * commitment,
                "reconstruction": reconstruction,
                "commitment": commitment,
            }
        )
        if step % 50 == 0:
            record: dict[str, Any] = {
                "step": step,
                "epoch": step / 400,
                "evaluation_reconstruction": 1.386 * fall + 0.006,
                "evaluation_reconstruction_accuracy": 1 - 0.75 * fall,
            }
            for index, level in enumerate(levels):
                record[f"evaluation_usage_level_{index}"] = level["usage"] * (1 - 0.5 * fall)
                record[f"evaluation_perplexity_level_{index}"] = level["perplexity"] * (1 - 0.7 * fall)
            metrics.append(record)
    return metrics
