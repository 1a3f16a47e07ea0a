"""Genomes of a clade on disk, with known truth: chains of one composition over which the best guess is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vqdna.genome.sequences import Sequence
from vqdna.simulation.genomes import write_fasta
from vqdna.simulation.species_model import markov_chains

LANES = 100
ORDERS = {"a": (0, 1, 2, 3), "b": (3, 0, 1, 2), "c": (1, 2, 3, 0), "d": (2, 3, 0, 1)}


def chains(divergence: float) -> dict[str, np.ndarray]:
    """Chains of order 1 of four species, whose rows and columns add up to one: all bases are equally frequent."""
    shape = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.2, 0.1, 0.4, 0.3], [0.3, 0.2, 0.1, 0.4]])
    return {name: (1 - divergence) * 0.25 + divergence * shape[list(order)] for name, order in ORDERS.items()}


def write_clade(folder: Path, divergence: float, sizes: tuple[int, ...] = (40_000, 30_000, 30_000)) -> Path:
    """Folder with a FASTA file for each species, contigs of these sizes."""
    for seed, (name, transitions) in enumerate(chains(divergence).items()):
        rng = np.random.default_rng(seed)
        contigs = [
            Sequence(f"chr{number}", markov_chains(rng, transitions, LANES, -(-size // LANES)).ravel()[:size])
            for number, size in enumerate(sizes, 1)
        ]
        write_fasta(folder / f"{name}.fa", contigs)
    return folder


def best_guess(base_ids: np.ndarray, divergence: float) -> str:
    """Species under whose chain the bases are most probable: no classifier is right more often."""
    scores = {
        name: float(np.log(transitions[base_ids[:-1], base_ids[1:]]).sum())
        for name, transitions in chains(divergence).items()
    }
    return max(scores, key=scores.__getitem__)
