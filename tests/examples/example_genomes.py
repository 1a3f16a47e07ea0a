"""Genomes with known truth for species classification: clades of Markov chains over which the best guess is known."""

from __future__ import annotations

from collections.abc import Sequence as Ordered

import numpy as np

from vqdna.genome.corpus import Corpus
from vqdna.genome.sequences import Sequence
from vqdna.simulation.species_model import markov_chains

EVEN = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.2, 0.1, 0.4, 0.3], [0.3, 0.2, 0.1, 0.4]])
"""Rows and columns add up to one, so all four bases are equally frequent."""

LANES = 100


def clade(num_species: int) -> list[np.ndarray]:
    """Chains of order 1 with one composition: each is the first with its contexts in another order."""
    orders = [(0, 1, 2, 3), (3, 0, 1, 2), (1, 2, 3, 0), (2, 3, 0, 1), (1, 0, 3, 2)]
    return [EVEN[list(order)] for order in orders[:num_species]]


def contigs(transitions: np.ndarray, sizes: Ordered[int], seed: int) -> tuple[Sequence, ...]:
    """Contigs chr1, chr2, ... of chains drawn side by side, which is faster than one long chain."""
    rng = np.random.default_rng(seed)
    return tuple(
        Sequence(f"chr{number}", markov_chains(rng, transitions, LANES, -(-size // LANES)).ravel()[:size])
        for number, size in enumerate(sizes, 1)
    )


def clade_corpus(sizes: Ordered[int] = (30_000, 20_000, 20_000), num_species: int = 5) -> Corpus:
    """Genomes `a`, `b`, ... of a clade, each with contigs of these sizes."""
    names = "abcde"[:num_species]
    return Corpus.from_sequences(
        {name: contigs(chain, sizes, seed) for seed, (name, chain) in enumerate(zip(names, clade(num_species)))}
    )
