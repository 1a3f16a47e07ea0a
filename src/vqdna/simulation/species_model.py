"""What a simulated species is made of: composition, codon usage, repeats, and a promoter grammar all species share.

Flow: (seed, index) -> SpeciesModel -> base_ids of background, promoters, genes, CpG islands and repeats.
Everything that a model could learn here has a known truth: the background is a Markov chain of order 3. It must not
know where in a genome the pieces go, nor tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vqdna.genome.bases import BASES, to_base_ids

ORDER = 3
NUM_CONTEXTS = 4**ORDER

# A promoter is CAAT box, spacer, TATA box, then the start of transcription; the spacer's length is what makes it one.
CAAT_BOX = "RRCCAATSRG"
TATA_BOX = "TATAWAWR"
SPACER = (18, 22)
TATA_TO_START = (26, 32)
MOTIF_FIDELITY = 0.92

_IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "S": "CG", "W": "AT"}
_CODE_ORDER = "TCAG"
_GENETIC_CODE = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_REPEAT_DIVERGENCE = 0.08
_LANE_BASES = 16
_MOST_LANES = 256
_BURN_IN = 12
# Next base by base now, A C G T: rich in C and G, and CG as frequent as chance would have it; the same in all species.
CPG_ISLAND = np.array(
    [[0.18, 0.28, 0.42, 0.12], [0.17, 0.37, 0.27, 0.19], [0.16, 0.34, 0.38, 0.12], [0.08, 0.36, 0.38, 0.18]]
)


@dataclass(frozen=True, eq=False)
class SpeciesModel:
    """Parameters of one species.

    Attributes:
        transitions: probability of the next base after each context of three bases, numbered in base 4, oldest first.
        codon_usage: probability of each codon by its number in base 4; 0 for stop codons.
        repeats: consensus of each repeat family.
    """

    name: str
    transitions: Float[np.ndarray, "context 4"]
    codon_usage: Float[np.ndarray, "codon"]
    repeats: tuple[UInt8[np.ndarray, "_"], ...]

    def background(self, rng: np.random.Generator, num_rows: int, length: int) -> UInt8[np.ndarray, "row length"]:
        """Independent spans of the background chain."""
        return markov_chains(rng, self.transitions, num_rows, length)

    def gene(self, rng: np.random.Generator) -> UInt8[np.ndarray, "base"]:
        """Coding sequence of 60 to 300 codons by this species' usage, from ATG to a stop codon."""
        codons = rng.choice(64, size=int(rng.integers(60, 301)), p=self.codon_usage)
        inner = np.stack([codons // 16, codons // 4 % 4, codons % 4], axis=1).ravel().astype(np.uint8)
        stop = ("TAA", "TAG", "TGA")[int(rng.integers(3))]
        return np.concatenate([to_base_ids("ATG").base_ids, inner, to_base_ids(stop).base_ids])

    def repeat(self, rng: np.random.Generator) -> UInt8[np.ndarray, "base"]:
        """Copy of a repeat: a family's consensus, its start often lost, about one base in twelve changed."""
        consensus = self.repeats[int(rng.integers(len(self.repeats)))]
        copy = consensus[int(rng.integers(len(consensus) // 2)) * int(rng.integers(2)) :].copy()
        changed = rng.random(len(copy)) < _REPEAT_DIVERGENCE
        copy[changed] = rng.integers(0, 4, int(changed.sum()))
        return copy


def species_model(seed: int, index: int) -> SpeciesModel:
    """Species number `index` of a seed: the same whatever else is simulated."""
    rng = np.random.default_rng([seed, index, 0])
    # Steps of the golden ratio spread any number of species over 30 to 65 % GC.
    gc = 0.30 + 0.35 * ((index + float(np.random.default_rng([seed, 0]).random())) * 0.6180339887 % 1)
    composition = np.array([1 - gc, gc, gc, 1 - gc]) / 2
    transitions = rng.dirichlet(composition * 20, NUM_CONTEXTS)
    transitions = (transitions + 0.01) / 1.04
    repeats = tuple(markov_chains(rng, transitions, 1, int(rng.integers(150, 301)))[0] for _ in range(3))
    return SpeciesModel(f"simulated_{index + 1}", transitions, _codon_usage(rng, composition), repeats)


def markov_chains(
    rng: np.random.Generator, transitions: Float[np.ndarray, "context 4"], num_rows: int, length: int
) -> UInt8[np.ndarray, "row length"]:
    """Independent chains; the number of contexts, a power of 4, gives the order. Starts are burned in."""
    num_contexts = len(transitions)
    limits = np.cumsum(transitions, axis=1)[:, :3]
    context = rng.integers(0, num_contexts, num_rows)
    rows = np.empty((length + _BURN_IN, num_rows), np.uint8)
    for step in range(length + _BURN_IN):
        base = (rng.random(num_rows)[:, None] >= limits[context]).sum(axis=1)
        context = (context * 4 + base) % num_contexts
        rows[step] = base
    return np.ascontiguousarray(rows[_BURN_IN:].T)


def motif(rng: np.random.Generator, consensus: str) -> UInt8[np.ndarray, "base"]:
    """Instance of a motif: each base one that the consensus allows, or any base with probability 1 - MOTIF_FIDELITY."""
    choices = [_IUPAC[letter] if rng.random() < MOTIF_FIDELITY else BASES for letter in consensus]
    return to_base_ids("".join(choice[int(rng.integers(len(choice)))] for choice in choices)).base_ids


def span(
    rng: np.random.Generator, transitions: Float[np.ndarray, "context 4"], length: int
) -> UInt8[np.ndarray, "base"]:
    """One span, joined from chains that run side by side, which is faster than one long chain."""
    lanes = min(max(length // _LANE_BASES, 1), _MOST_LANES)
    joined = markov_chains(rng, transitions, lanes, -(-length // lanes)).ravel()
    return joined[:length].copy()


def _codon_usage(rng: np.random.Generator, composition: Float[np.ndarray, "4"]) -> Float[np.ndarray, "codon"]:
    """Amino acids equally often; among the codons of one, by composition and a species' own preference."""
    bases = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)), axis=1)
    # The genetic code is written by codons in the order of `_CODE_ORDER`.
    places = np.array([_CODE_ORDER.index(base) for base in BASES])[bases] @ (16, 4, 1)
    amino_acids = np.array(list(_GENETIC_CODE))[places]
    preference = composition[bases].prod(axis=1) * rng.gamma(1.0, size=64)
    usage = np.zeros(64)
    for amino_acid in set(_GENETIC_CODE) - {"*"}:
        synonymous = amino_acids == amino_acid
        usage[synonymous] = preference[synonymous] / preference[synonymous].sum()
    total: float = usage.sum()
    return usage / total
