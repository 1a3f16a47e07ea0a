"""A folder of the codebook study as its cells leave it, small, with numbers that can be checked by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from example_runs import write_run, write_vocabulary

COMMAND = "vqdna study codebook --genomes genomes --out codebook"
GUE = ("mouse/3", "tf/0")


def write_cell(
    out: Path, name: str, seed: int, kind: str, sizes: tuple[int, ...], f1: float, mcc: float, **extra: Any
) -> Path:
    """Cell whose macro-F1 is `f1` and whose two MCCs lie 0.02 to either side of `mcc`; dev scores are 0.1 higher."""
    scores = {"covid-windows": ("f1_macro", f1), GUE[0]: ("mcc", mcc - 0.02), GUE[1]: ("mcc", mcc + 0.02)}
    probes = {
        dataset: {"metric": metric, "dev": {metric: value + 0.1}, "test": {metric: value}, "num_features": sum(sizes)}
        for dataset, (metric, value) in scores.items()
    }
    results = {
        "stage": "study", "study": "codebook", "cell": name, "seed": seed, "command": COMMAND, "seconds": 60.0,
        "kind": kind, "level_sizes": list(sizes), "lin": {"f1_macro": f1, "mcc": mcc}, "datasets": probes,
        "settings": {"preset": "scaled"},
    }  # fmt: skip
    return write_run(out / name / f"seed-{seed}", results | extra)


def write_learned(out: Path, name: str, seed: int, f1: float, mcc: float, nats: float, width: int = 384) -> Path:
    """Cell of a vocabulary called `vq_k128`, `hrq_d256` and the like, with the run that trained it inside."""
    kind, size = name.split("_")
    k = int(size[1:]) if size[0] == "k" else 512
    sizes = (k,) if kind == "vq" else (2 * k, 4 * k)
    levels = [{"size": n, "usage": 0.75 + 0.25 * i, "perplexity": n / 2} for i, n in enumerate(sizes)]
    about = {
        "width": width // 8,
        "paper_width": width,
        "reconstruction_accuracy": 1 - nats / 10,
        "reconstruction": nats,
        "levels": levels,
    }
    cell = write_cell(out, name, seed, kind, sizes, f1, mcc, **about)
    trained = write_vocabulary(cell / "vocabulary", kind, (4,), seed)
    results = json.loads((trained / "results.json").read_text())
    results |= {"genomes": {"species": ["yeast"], "num_bases": 12_000_000}, "trained_for": name}
    (trained / "results.json").write_text(json.dumps(results))
    return cell


def write_study(out: Path) -> Path:
    """Study of six learned rows, two of them with two seeds, three k-mers, single bases and BPE; without a summary."""
    write_cell(out, "nucleotide", 0, "hand-made", (5,), 0.05, 0.02)
    for k, f1, mcc in ((3, 0.13, 0.41), (4, 0.15, 0.46), (6, 0.24, 0.44)):
        write_cell(out, f"kmer_{k}", 0, "hand-made", (4**k,), f1, mcc)
    write_cell(out, "bpe_4096", 0, "bpe", (4096,), 0.2, 0.42)
    for seed, offset in enumerate((-0.01, 0.01)):
        write_learned(out, "vq_k128", seed, 0.14 + offset, 0.40 + offset, 0.05 + offset)
        write_learned(out, "hrq_k128", seed, 0.18 + offset, 0.44 + offset, 0.04 + offset)
    write_learned(out, "vq_k512", 0, 0.19, 0.45, 0.03)
    write_learned(out, "hrq_k512", 0, 0.18, 0.50, 0.02)
    write_learned(out, "vq_d256", 0, 0.16, 0.43, 0.04, width=256)
    write_learned(out, "hrq_d256", 0, 0.17, 0.47, 0.03, width=256)
    return out
