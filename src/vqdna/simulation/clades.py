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
from vqdna.simulation.species_model import species_model

TREE: Mapping[str, str] = {
    "Red": "R.1.1", "Rose": "R.1.2", "Green": "R.2.1.1", "Jade": "R.2.1.2", "Blue": "R.2.2", "Gray": "R.3",
}  # fmt: skip
"""Lineage of each variant: Red with Rose, Green with Jade, and Blue beside these two."""

ENDS = 200
MONTHS = 12


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
    """Reference, genomes, and what is true of them.

    Attributes:
        reference: the root of the tree.
        genomes: variant by variant.
        lineages: lineage of each variant, which spells out the tree.
        defining: substitutions that all genomes of a variant have, by variant.
        gene: the one gene, first base counted from 1 and last inside.
    """

    reference: UInt8[np.ndarray, "base"]
    genomes: tuple[SimulatedGenome, ...]
    lineages: Mapping[str, str]
    defining: Mapping[str, frozenset[str]]
    gene: tuple[int, int]

    def write(self, folder: Path) -> None:
        """Writes reference.fa, genomes.fa, labels.csv and knowledge.yaml into the folder."""
        write_atomically(folder / "reference.fa", f">root\n{from_base_ids(self.reference)}\n".encode())
        lines = [f">{genome.name}\n{from_base_ids(genome.base_ids)}\n" for genome in self.genomes]
        write_atomically(folder / "genomes.fa", "".join(lines).encode())
        rows = [f"{g.name},{g.variant},{g.lineage},{g.date}\n" for g in self.genomes]
        write_atomically(folder / "labels.csv", "".join(["name,label,lineage,date\n", *rows]).encode())
        write_atomically(folder / "knowledge.yaml", yaml.safe_dump(self.knowledge(), sort_keys=False).encode())

    def knowledge(self) -> dict[str, object]:
        """What a study may know beforehand, in the form of its file."""
        variants = [
            {"name": name, "lineage": lineage, "mutations": " ".join(sorted(self.defining[name], key=_place))}
            for name, lineage in self.lineages.items()
        ]
        genes = [{"name": "P", "start": self.gene[0], "end": self.gene[1]}]
        return {"name": "a simulated virus", "num_bases": len(self.reference), "genes": genes, "variants": variants}


def simulate_clades(
    seed: int,
    *,
    num_bases: int = 6000,
    genomes_per_variant: int = 12,
    per_branch: int = 6,
    private: int = 2,
) -> SimulatedClades:
    """Genomes of the six variants of `TREE`, from the seed alone.

    Args:
        seed: of everything.
        num_bases: of every genome.
        genomes_per_variant: genomes, all different where they have changes of their own.
        per_branch: substitutions on each branch; no two of the whole tree fall on one base.
        private: substitutions of each genome's own, on bases that no branch has changed.
    """
    random = np.random.default_rng([seed, 20])
    reference = species_model(seed, 0).span(random, num_bases)
    branches = sorted({step for lineage in TREE.values() for step in _steps(lineage)})
    free = random.permutation(np.arange(ENDS, num_bases - ENDS)).tolist()
    changes = {step: [_change(reference, free.pop(), random) for _ in range(per_branch)] for step in branches}
    genomes = []
    defining = {name: [m for step in _steps(lineage) for m in changes[step]] for name, lineage in TREE.items()}
    for name, lineage in TREE.items():
        for number in range(genomes_per_variant):
            own = [_change(reference, place, random) for place in random.choice(free, private, replace=False).tolist()]
            held = [*defining[name], *own]
            date = f"2021-{1 + number * MONTHS // genomes_per_variant:02d}-15"
            changed = _changed(reference, held)
            genomes.append(SimulatedGenome(f"{name}_{number}", name, lineage, date, changed, _written(reference, held)))
    known = {name: _written(reference, held) for name, held in defining.items()}
    gene = (ENDS + 1, ENDS + (num_bases - 2 * ENDS) // 3 * 3)
    return SimulatedClades(reference, tuple(genomes), dict(TREE), known, gene)


def _steps(lineage: str) -> list[str]:
    """The lineage and those it descends from, the root left out."""
    parts = lineage.split(".")
    return [".".join(parts[:depth]) for depth in range(2, len(parts) + 1)]


def _change(reference: UInt8[np.ndarray, "base"], place: int, random: np.random.Generator) -> tuple[int, int]:
    """Place and another base for it."""
    return place, (int(reference[place]) + int(random.integers(1, 4))) % 4


def _changed(reference: UInt8[np.ndarray, "base"], changes: list[tuple[int, int]]) -> UInt8[np.ndarray, "base"]:
    bases = reference.copy()
    for place, base in changes:
        bases[place] = base
    return bases


def _written(reference: UInt8[np.ndarray, "base"], changes: list[tuple[int, int]]) -> frozenset[str]:
    return frozenset(f"{BASES[reference[place]]}{place + 1}{BASES[base]}" for place, base in changes)


def _place(mutation: str) -> int:
    return int(mutation[1:-1])
