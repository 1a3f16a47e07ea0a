"""Genomes of one simulated virus that grew along a known tree, each change known: truth for lineage studies.

Flow: (seed, sizes) -> root genome -> substitutions on every branch of the tree of variants -> genomes with some
changes of their own -> SimulatedClades(reference, genomes, tree, mutations). It must not know what is asked of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from jaxtyping import UInt8

from vqdna.genome.bases import BASES, from_base_ids
from vqdna.results import write_atomically
from vqdna.simulation.species_model import span, species_model

TREE = {"Red": "R.1.1", "Rose": "R.1.2", "Green": "R.2.1.1", "Jade": "R.2.1.2", "Blue": "R.2.2", "Gray": "R.3"}
"""Lineage of each variant: Red with Rose, Green with Jade, and Blue beside these two."""

ENDS = 200
MONTHS = 12
PER_BRANCH, PRIVATE = 6, 2
"""Substitutions on each branch, no two of the whole tree on one base; and of each genome's own, on other bases."""


@dataclass(frozen=True, eq=False)
class SimulatedGenome:
    """One genome; `mutations` are its differences from the reference, as `A12G` counted from 1."""

    name: str
    variant: str
    lineage: str
    date: str
    base_ids: UInt8[np.ndarray, "base"]
    mutations: frozenset[str]


@dataclass(frozen=True, eq=False)
class SimulatedClades:
    """What is true of the genomes.

    Attributes:
        reference: the root of the tree.
        genomes: variant by variant.
        defining: substitutions that all genomes of a variant have, by variant.
    """

    reference: UInt8[np.ndarray, "base"]
    genomes: tuple[SimulatedGenome, ...]
    defining: Mapping[str, frozenset[str]]

    def write(self, folder: Path) -> None:
        """Writes reference.fa, genomes.fa, labels.csv and, as a study may know it beforehand, knowledge.yaml."""
        variants = [
            {
                "name": name,
                "lineage": lineage,
                "mutations": " ".join(sorted(self.defining[name], key=lambda mutation: int(mutation[1:-1]))),
            }
            for name, lineage in TREE.items()
        ]
        knowledge = {
            "name": "a simulated virus",
            "num_bases": len(self.reference),
            "genes": [{"name": "P", "start": ENDS + 1, "end": ENDS + (len(self.reference) - 2 * ENDS) // 3 * 3}],
            "variants": variants,
        }
        texts = {
            "reference.fa": f">root\n{from_base_ids(self.reference)}\n",
            "genomes.fa": "".join(f">{one.name}\n{from_base_ids(one.base_ids)}\n" for one in self.genomes),
            "labels.csv": "name,label,lineage,date\n"
            + "".join(f"{one.name},{one.variant},{one.lineage},{one.date}\n" for one in self.genomes),
            "knowledge.yaml": yaml.safe_dump(knowledge, sort_keys=False),
        }
        for name, text in texts.items():
            write_atomically(folder / name, text.encode())


def simulate_clades(seed: int, *, num_bases: int = 6000, genomes_per_variant: int = 12) -> SimulatedClades:
    """Genomes of the six variants of `TREE`, from the seed alone; all different."""
    random = np.random.default_rng([seed, 20])
    reference = span(random, species_model(seed, 0).transitions, num_bases)
    branches = sorted({step for lineage in TREE.values() for step in _steps(lineage)})
    free = random.permutation(np.arange(ENDS, num_bases - ENDS)).tolist()
    changes = {step: [_change(reference, free.pop(), random) for _ in range(PER_BRANCH)] for step in branches}
    defining = {name: [m for step in _steps(lineage) for m in changes[step]] for name, lineage in TREE.items()}
    genomes = []
    for name, lineage in TREE.items():
        for number in range(genomes_per_variant):
            own = [_change(reference, place, random) for place in random.choice(free, PRIVATE, replace=False).tolist()]
            held, bases = [*defining[name], *own], reference.copy()
            for place, base in held:
                bases[place] = base
            date = f"2021-{1 + number * MONTHS // genomes_per_variant:02d}-15"
            genomes.append(SimulatedGenome(f"{name}_{number}", name, lineage, date, bases, _written(reference, held)))
    known = {name: _written(reference, held) for name, held in defining.items()}
    return SimulatedClades(reference, tuple(genomes), known)


def _steps(lineage: str) -> list[str]:
    """The lineage and those it descends from, the root left out."""
    parts = lineage.split(".")
    return [".".join(parts[:depth]) for depth in range(2, len(parts) + 1)]


def _change(reference: UInt8[np.ndarray, "base"], place: int, random: np.random.Generator) -> tuple[int, int]:
    """Place and another base for it."""
    return place, (int(reference[place]) + int(random.integers(1, 4))) % 4


def _written(reference: UInt8[np.ndarray, "base"], changes: list[tuple[int, int]]) -> frozenset[str]:
    return frozenset(f"{BASES[reference[place]]}{place + 1}{BASES[base]}" for place, base in changes)
