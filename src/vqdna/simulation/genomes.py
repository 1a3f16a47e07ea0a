"""Simulated DNA with known truth: annotated genomes and labelled tasks; the demo's default, the tests' ground truth.

Flow: seed -> SimulatedGenomes (contigs base_ids UInt8[base], annotations) or a task (rows of text and label).
Everything follows from the seed alone. It must not know corpora, tokenizers or models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids, reverse_complement
from vqdna.genome.intervals import Interval
from vqdna.genome.sequences import Sequence
from vqdna.results import atomic_output
from vqdna.simulation.species_model import (
    CAAT_BOX,
    CPG_ISLAND,
    SPACER,
    TATA_BOX,
    TATA_TO_START,
    SpeciesModel,
    motif,
    span,
    species_model,
)
from vqdna.tasks.tables import write_labelled_csv

FIRST_CONTIG = 0.6
_LAYOUT, _TASK = 1, 2  # what a generator is for; 0 is the species' own parameters
_PROMOTER_MARGIN = 40
_SHORTEST_PROMOTER = 100
_WRONG_SPACERS = (*range(4, 13), *range(30, 50))

Row = tuple[str, int]


@dataclass(frozen=True)
class SimulatedFeature(Interval):
    """A feature of a contig; kinds: gene (coding, ATG to stop), promoter, caat_box, tata_box, cpg_island, repeat."""

    kind: str


@dataclass(frozen=True, eq=False)
class SimulatedSpecies:
    """Genome of one species; repeats are soft-masked in its sequences."""

    model: SpeciesModel
    sequences: tuple[Sequence, ...]
    annotations: tuple[SimulatedFeature, ...]

    @property
    def name(self) -> str:
        return self.model.name


@dataclass(frozen=True, eq=False)
class SimulatedGenomes:
    """Genomes of several species."""

    species: tuple[SimulatedSpecies, ...]

    def sequences(self) -> dict[str, tuple[Sequence, ...]]:
        """Contigs by species name, as `Corpus.from_sequences` takes them."""
        return {species.name: species.sequences for species in self.species}


@dataclass
class _Unit:
    """A feature with its parts, on its own forward strand, while it is put together."""

    parts: list[UInt8[np.ndarray, "_"]] = field(default_factory=list)
    labels: list[tuple[int, int, str]] = field(default_factory=list)
    size: int = 0

    def add(self, base_ids: UInt8[np.ndarray, "base"], kind: str | None = None) -> None:
        if kind:
            self.labels.append((self.size, self.size + len(base_ids), kind))
        self.parts.append(base_ids)
        self.size += len(base_ids)


def simulate_genomes(seed: int, num_species: int = 4, bases_per_species: int = 200_000) -> SimulatedGenomes:
    """Genomes of species that differ in composition, codon usage and repeats, two contigs each.

    Args:
        seed: 0 or more.
        num_species: 1 or more.
        bases_per_species: exact length of each genome, 1000 or more.
    """
    if seed < 0 or num_species < 1 or bases_per_species < 1000:
        got = f"seed {seed}, {num_species} species of {bases_per_species} bases"
        raise InputError(f"cannot simulate {got}; wanted seed 0 or more, 1 species or more, 1000 bases or more")
    species = []
    for index in range(num_species):
        model, rng = species_model(seed, index), np.random.default_rng([seed, index, _LAYOUT])
        first = round(bases_per_species * FIRST_CONTIG)
        sizes = (first, bases_per_species - first)
        contigs = [_contig(f"chr{number}", model, rng, size) for number, size in enumerate(sizes, 1)]
        labels = tuple(label for _, held in contigs for label in held)
        species.append(SimulatedSpecies(model, tuple(sequence for sequence, _ in contigs), labels))
    return SimulatedGenomes(tuple(species))


def simulate_task(
    seed: int,
    *,
    num_train: int = 2000,
    num_dev: int = 500,
    num_test: int = 500,
    length: int = 200,
) -> dict[str, list[Row]]:
    """Promoters and others by split, all of one length, of the species that `simulate_genomes` of this seed has.

    No sequence is in two splits; the classes are equally frequent in each, to within one.

    Class 1 holds a CAAT box, a spacer of 18 to 22 bases and a TATA box, anywhere. Of class 0 a third is plain
    background, a third has one of the boxes, a third both with another spacer or in the other order; so counting k-mers
    goes only part of the way.

    Raises:
        InputError: a negative number, or a length too short for both boxes.
    """
    if length < _SHORTEST_PROMOTER or min(seed, num_train, num_dev, num_test) < 0:
        raise InputError(f"cannot simulate {num_train} + {num_dev} + {num_test} promoter sequences of {length} bases")
    models = [species_model(seed, index) for index in range(4)]
    rng = np.random.default_rng([seed, 0, _TASK])
    sizes = {"train": num_train, "dev": num_dev, "test": num_test}
    return {split: _promoter_rows(models, rng, size, length) for split, size in sizes.items()}


def write_fasta(path: str | Path, sequences: Iterable[Sequence]) -> None:
    """FASTA file of the sequences, soft-masked bases in lower case; written atomically."""
    with atomic_output(Path(path)) as temporary, temporary.open("w", newline="\n") as file:
        for sequence in sequences:
            text = from_base_ids(sequence.base_ids)
            if sequence.soft_masked is not None:
                letters = np.frombuffer(text.encode(), np.uint8) | (sequence.soft_masked.astype(np.uint8) << 5)
                text = letters.tobytes().decode()
            lines = (text[start : start + 80] for start in range(0, len(text), 80))
            file.write(f">{sequence.name}\n" + "\n".join(lines) + "\n")


def write_genomes(folder: str | Path, genomes: SimulatedGenomes) -> list[Path]:
    """A FASTA file for each species in `folder`, its annotations beside it as BED; returns the FASTA files."""
    paths = []
    for species in genomes.species:
        paths.append(Path(folder) / f"{species.name}.fa")
        write_fasta(paths[-1], species.sequences)
        with atomic_output(paths[-1].with_suffix(".bed")) as temporary, temporary.open("w", newline="\n") as file:
            file.writelines(f"{feature.bed_line(feature.kind)}\n" for feature in species.annotations)
    return paths


def write_example(folder: Path, *, num_species: int, bases_per_species: int, num_train: int, seed: int) -> None:
    """Folder with `genomes/` (FASTA and annotations) and `promoter/{train,dev,test}.csv`, everything from the seed."""
    write_genomes(folder / "genomes", simulate_genomes(seed, num_species, bases_per_species))
    held_out = max(10, num_train // 6)
    task = simulate_task(seed, num_train=num_train, num_dev=held_out, num_test=held_out)
    for split, rows in task.items():
        write_labelled_csv(folder / "promoter" / f"{split}.csv", rows)


def _contig(
    name: str, model: SpeciesModel, rng: np.random.Generator, size: int
) -> tuple[Sequence, list[SimulatedFeature]]:
    """Background with features laid into it one after another, each on a random strand."""
    base_ids = span(rng, model.transitions, size)
    soft_masked = np.zeros(size, bool)
    annotations: list[SimulatedFeature] = []
    start = int(rng.integers(50, 400))
    while True:
        unit = _unit(model, rng)
        end = start + unit.size
        if end > size:
            return Sequence(name, base_ids, soft_masked), annotations
        strand = "+" if rng.random() < 0.5 else "-"
        bases = np.concatenate(unit.parts)
        base_ids[start:end] = bases if strand == "+" else reverse_complement(bases)
        for first, last, kind in unit.labels:
            place = (start + first, start + last) if strand == "+" else (end - last, end - first)
            annotations.append(SimulatedFeature(name, *place, strand, kind))
            if kind == "repeat":
                soft_masked[slice(*place)] = True
        start = end + int(rng.integers(50, 400))


def _unit(model: SpeciesModel, rng: np.random.Generator) -> _Unit:
    """A gene with its promoter (under a CpG island in two of five), a repeat, or a lone CpG island."""
    unit, kind = _Unit(), rng.random()
    if kind < 0.55:
        _add_promoter(unit, model, rng, in_island=bool(rng.random() < 0.4))
        unit.add(model.gene(rng), "gene")
    elif kind < 0.9:
        unit.add(model.repeat(rng), "repeat")
    else:
        unit.add(span(rng, CPG_ISLAND, int(rng.integers(300, 801))), "cpg_island")
    return unit


def _add_promoter(unit: _Unit, model: SpeciesModel, rng: np.random.Generator, in_island: bool) -> None:
    spacer = partial(span, rng, CPG_ISLAND if in_island else model.transitions)
    first_label = len(unit.labels)
    unit.add(spacer(_PROMOTER_MARGIN))
    unit.add(motif(rng, CAAT_BOX), "caat_box")
    unit.add(spacer(int(rng.integers(SPACER[0], SPACER[1] + 1))))
    unit.add(motif(rng, TATA_BOX), "tata_box")
    unit.add(spacer(int(rng.integers(TATA_TO_START[0], TATA_TO_START[1] + 1))))
    unit.labels.insert(first_label, (0, unit.size, "promoter"))
    unit.add(spacer(int(rng.integers(100, 300) if in_island else rng.integers(20, 60))))
    if in_island:
        unit.labels.insert(first_label, (0, unit.size, "cpg_island"))


def _promoter_rows(models: list[SpeciesModel], rng: np.random.Generator, num_rows: int, length: int) -> list[Row]:
    """Rows of the promoter task in random order."""
    species = rng.integers(0, len(models), num_rows)
    base_ids = np.empty((num_rows, length), np.uint8)
    for index, model in enumerate(models):
        base_ids[species == index] = model.background(rng, int((species == index).sum()), length)
    rows = []
    for row, label in enumerate(rng.permutation(np.arange(num_rows) % 2).tolist()):
        right = int(rng.integers(SPACER[0], SPACER[1] + 1)) if label else 0
        boxes = _two_boxes(rng, CAAT_BOX, TATA_BOX, right) if label else _decoy_boxes(rng)
        if boxes:
            start = int(rng.integers(length - boxes[-1][0] - len(boxes[-1][1]) + 1))
            for offset, box in boxes:
                base_ids[row, start + offset : start + offset + len(box)] = box
        rows.append((from_base_ids(base_ids[row]), label))
    return rows


Boxes = list[tuple[int, UInt8[np.ndarray, "_"]]]
"""Boxes, each with its offset from the first."""


def _decoy_boxes(rng: np.random.Generator) -> Boxes:
    """No box, one box, or both boxes with a wrong spacer or in the wrong order."""
    kind = int(rng.integers(3))
    if kind == 0:
        return []
    if kind == 1:
        return [(0, motif(rng, CAAT_BOX if rng.random() < 0.5 else TATA_BOX))]
    if rng.random() < 0.5:
        return _two_boxes(rng, CAAT_BOX, TATA_BOX, int(rng.choice(_WRONG_SPACERS)))
    return _two_boxes(rng, TATA_BOX, CAAT_BOX, int(rng.integers(_WRONG_SPACERS[0], _WRONG_SPACERS[-1] + 1)))


def _two_boxes(rng: np.random.Generator, first: str, second: str, spacer: int) -> Boxes:
    front, back = motif(rng, first), motif(rng, second)
    return [(0, front), (len(front) + spacer, back)]
