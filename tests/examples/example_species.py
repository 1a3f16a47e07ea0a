"""Folder of a species study as its cells leave it, small, with numbers that can be checked by hand."""

from __future__ import annotations

from pathlib import Path

from example_runs import write_run

from vqdna.studies.species.results import LeftOut
from vqdna.studies.species.summary import write_summary

COMMAND = "vqdna study species --genomes clade --out species"
SCORES = {
    "nucleotide": {1000: 0.4, 20_000: 0.5},
    "spectrum": {1000: 0.5, 20_000: 0.8},
    "vqdna-hrq": {1000: 0.52, 20_000: 0.9},
}
SECONDS = {"nucleotide": 0.0001, "spectrum": 0.001, "vqdna-hrq": 0.01}


def write_species_cell(out: Path, species_set: str, system: str, length: int, seed: int) -> Path:
    """Cell whose test accuracy lies 0.02 to either side of `SCORES` by its seed; dev is 0.1 higher."""
    accuracy = SCORES[system][length] + (0.02 if seed else -0.02)
    name = f"{system}-{length // 1000}k"
    spectra = {"k=1": {"test": accuracy - 0.2}, "k=6": {"test": accuracy}} if system == "spectrum" else {}
    seconds = SECONDS[system] * length / 1000
    results = {
        "stage": "study", "study": "species", "cell": name, "set": species_set, "system": system, "length": length,
        "seed": seed, "command": COMMAND, "seconds": 3.0, "reading_seconds": 1.0,
        "about": {"kind": "tokens", "how": f"how {system} came to be"}, "classes": ["a", "b", "c", "d", "e"],
        "windows": {"train": 80, "dev": 20, "test": 40}, "independent_windows": {"train": 9, "dev": 4, "test": 7},
        "cost": {"seconds": seconds, "window_bytes": 1000 * length, "foreseen_bytes": 2000 * length},
        "dev": {"accuracy": accuracy + 0.1, "mcc": 0.0}, "test": {"accuracy": accuracy, "mcc": 0.0},
        "features": "histogram", "num_features": 5, "representations": spectra,
        "settings": {"preset": {"name": "full"}},
    }  # fmt: skip
    return write_run(out / species_set / name / f"seed-{seed}", results)


def write_species_study(out: Path) -> Path:
    """Study of two sets with two seeds; the second set has the short length alone, and says why."""
    for system, by_length in SCORES.items():
        for seed in range(2):
            for length in by_length:
                write_species_cell(out, "clade", system, length, seed)
            write_species_cell(out, "genus", system, 1000, seed)
    reasons = [
        {"set": None, "system": "hyena", "length": None, "reason": "no encoder was given for it"},
        {"set": "genus", "system": None, "length": 20_000, "reason": "1 of 5 species have <20,000> bases"},
    ]
    write_summary(out, COMMAND, [LeftOut(**reason) for reason in reasons])
    return out
