"""Simulated DNA with known truth: annotated genomes and labelled tasks; the demo's default, the tests' ground truth.

Flow: seed -> SimulatedGenomes (contigs base_ids UInt8[base], annotations) or SimulatedTask (rows of text and label).
Everything follows from the seed alone. It must not know corpora, tokenizers or models.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import from_base_ids, reverse_complement
from vqdna.genome.intervals import Interval
from vqdna.genome.sequences import Sequence
from vqdna.results import atomic_output
from vqdna.simulation.species_model import (
    CAAT_BOX,
    SPACER,
    TATA_BOX,
    TATA_TO_START,
    SpeciesModel,
    cpg_island,
    motif,
    species_model,
)
from vqdna.tasks.tables import write_labelled_csv

TASK_KINDS = ("promoter", "species")
CONTIG_FRACTIONS = (0.6, 0.4)
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
        """Name of the species."""
        return self.model.name


@dataclass(frozen=True, eq=False)
class SimulatedGenomes:
    """Genomes of several species."""

    species: tuple[SimulatedSpecies, ...]

    def sequences(self) -> dict[str, tuple[Sequence, ...]]:
        """Contigs by species name, as `Corpus.from_sequences` takes them."""
        return {species.name: species.sequences for species in self.species}


@dataclass(frozen=True)
class SimulatedTask:
    """Labelled sequences in three splits that share none; classes are equally frequent in each (to within one)."""

    kind: str
    class_names: tuple[str, ...]
    train: list[Row]
    dev: list[Row]
    test: list[Row]


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
    return SimulatedGenomes(
        tuple(
            _genome(species_model(seed, i), np.random.default_rng([seed, i, _LAYOUT]), bases_per_species)
            for i in range(num_species)
        )
    )


def simulate_task(
    seed: int,
    kind: str = "promoter",
    *,
    num_train: int = 2000,
    num_dev: int = 500,
    num_test: int = 500,
    length: int = 200,
    num_species: int = 4,
) -> SimulatedTask:
    """Labelled sequences of one length, of the species that `simulate_genomes` of this seed has, made anew.

    "promoter": class 1 holds a CAAT box, a spacer of 18 to 22 bases and a TATA box, anywhere. Of class 0 a third is
    plain background, a third has one of the boxes, a third both with another spacer or in the other order; so counting
    k-mers goes only part of the way. "species": the class is the species of a span of genome, on either strand.

    Raises:
        InputError: an unknown kind, a negative number, or a length too short for the kind.
    """
    if kind not in TASK_KINDS:
        raise InputError(
            f"task kind '{kind}', wanted one of {', '.join(TASK_KINDS)}{nearest_name_hint(kind, TASK_KINDS)}"
        )
    shortest = _SHORTEST_PROMOTER if kind == "promoter" else 1
    if length < shortest or min(seed, num_train, num_dev, num_test, num_species - 1) < 0:
        raise InputError(
            f"cannot simulate {num_train} + {num_dev} + {num_test} sequences of {length} bases for '{kind}'"
        )
    sizes = (num_train, num_dev, num_test)
    models = [species_model(seed, index) for index in range(num_species)]
    if kind == "promoter":
        rng = np.random.default_rng([seed, 0, _TASK])
        return SimulatedTask(kind, ("background", "promoter"), *(_promoter_rows(models, rng, n, length) for n in sizes))
    return SimulatedTask(kind, tuple(model.name for model in models), *_species_rows(models, seed, sizes, length))


def write_fasta(path: str | Path, sequences: Iterable[Sequence], line_width: int = 80) -> None:
    """FASTA file of the sequences, soft-masked bases in lower case; written atomically."""
    with atomic_output(Path(path)) as temporary, temporary.open("w", newline="\n") as file:
        for sequence in sequences:
            text = from_base_ids(sequence.base_ids)
            if sequence.soft_masked is not None:
                letters = np.frombuffer(text.encode(), np.uint8) | (sequence.soft_masked.astype(np.uint8) << 5)
                text = letters.tobytes().decode()
            lines = (text[start : start + line_width] for start in range(0, len(text), line_width))
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


# Genomes -------------------------------------------------------------------------------------------------------------


def _genome(model: SpeciesModel, rng: np.random.Generator, num_bases: int) -> SimulatedSpecies:
    first = round(num_bases * CONTIG_FRACTIONS[0])
    sequences, annotations = [], []
    for number, size in enumerate((first, num_bases - first), 1):
        sequence, labels = _contig(f"chr{number}", model, rng, size)
        sequences.append(sequence)
        annotations += labels
    return SimulatedSpecies(model, tuple(sequences), tuple(annotations))


def _contig(
    name: str, model: SpeciesModel, rng: np.random.Generator, size: int
) -> tuple[Sequence, list[SimulatedFeature]]:
    """Background with features laid into it one after another, each on a random strand."""
    base_ids = model.span(rng, size)
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
        unit.add(cpg_island(rng, int(rng.integers(300, 801))), "cpg_island")
    return unit


def _add_promoter(unit: _Unit, model: SpeciesModel, rng: np.random.Generator, in_island: bool) -> None:
    def spacer(length: int) -> UInt8[np.ndarray, "base"]:
        return cpg_island(rng, length) if in_island else model.span(rng, length)

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


# Tasks ---------------------------------------------------------------------------------------------------------------


def _promoter_rows(models: list[SpeciesModel], rng: np.random.Generator, num_rows: int, length: int) -> list[Row]:
    """Rows of the promoter task in random order."""
    species = rng.integers(0, len(models), num_rows)
    base_ids = np.empty((num_rows, length), np.uint8)
    for index, model in enumerate(models):
        base_ids[species == index] = model.background(rng, int((species == index).sum()), length)
    rows = []
    for row, label in enumerate(rng.permutation(np.arange(num_rows) % 2).tolist()):
        _plant(base_ids[row], _promoter_boxes(rng) if label else _decoy_boxes(rng), rng)
        rows.append((from_base_ids(base_ids[row]), label))
    return rows


Boxes = list[tuple[int, UInt8[np.ndarray, "_"]]]


def _promoter_boxes(rng: np.random.Generator) -> Boxes:
    """Both boxes with their offsets, the spacer right."""
    return _two_boxes(rng, [CAAT_BOX, TATA_BOX], int(rng.integers(SPACER[0], SPACER[1] + 1)))


def _decoy_boxes(rng: np.random.Generator) -> Boxes:
    """No box, one box, or both boxes with a wrong spacer or in the wrong order."""
    kind = int(rng.integers(3))
    if kind == 0:
        return []
    if kind == 1:
        return [(0, motif(rng, CAAT_BOX if rng.random() < 0.5 else TATA_BOX))]
    if rng.random() < 0.5:
        return _two_boxes(rng, [CAAT_BOX, TATA_BOX], int(rng.choice(_WRONG_SPACERS)))
    return _two_boxes(rng, [TATA_BOX, CAAT_BOX], int(rng.integers(_WRONG_SPACERS[0], _WRONG_SPACERS[-1] + 1)))


def _two_boxes(rng: np.random.Generator, consensuses: list[str], spacer: int) -> Boxes:
    first, second = (motif(rng, consensus) for consensus in consensuses)
    return [(0, first), (len(first) + spacer, second)]


def _plant(base_ids: UInt8[np.ndarray, "base"], boxes: Boxes, rng: np.random.Generator) -> None:
    """Writes the boxes into `base_ids`, together at a random place."""
    if not boxes:
        return
    span = boxes[-1][0] + len(boxes[-1][1])
    start = int(rng.integers(len(base_ids) - span + 1))
    for offset, box in boxes:
        base_ids[start + offset : start + offset + len(box)] = box


def _species_rows(models: list[SpeciesModel], seed: int, sizes: tuple[int, ...], length: int) -> list[list[Row]]:
    """Rows of the species task: each split takes windows of its own, no two of which share a base."""
    splits: list[list[Row]] = [[] for _ in sizes]
    for label, model in enumerate(models):
        rng = np.random.default_rng([seed, label, _TASK])
        wanted = [len(range(label, size, len(models))) for size in sizes]
        windows = _disjoint_windows(model, rng, sum(wanted), length)
        for split, count in zip(splits, wanted):
            split += [(from_base_ids(windows.pop()), label) for _ in range(count)]
    rng = np.random.default_rng([seed, 0, _TASK, 1])
    return [[split[row] for row in rng.permutation(len(split))] for split in splits]


def _disjoint_windows(
    model: SpeciesModel, rng: np.random.Generator, num_windows: int, length: int
) -> list[UInt8[np.ndarray, "length"]]:
    """Windows cut end to end from a genome of their own, in random order, half of them reverse complemented."""
    genome = _genome(model, rng, max((num_windows + 2) * length, 1000))
    windows = [
        contig.base_ids[start : start + length]
        for contig in genome.sequences
        for start in range(0, len(contig.base_ids) - length + 1, length)
    ]
    chosen = rng.permutation(len(windows))[:num_windows]
    return [windows[i] if rng.random() < 0.5 else reverse_complement(windows[i]) for i in chosen]


def write_example(folder: Path, *, num_species: int, bases_per_species: int, num_train: int, seed: int) -> None:
    """Folder with `genomes/` (FASTA and annotations) and `promoter/{train,dev,test}.csv`, everything from the seed."""
    write_genomes(folder / "genomes", simulate_genomes(seed, num_species, bases_per_species))
    held_out = max(10, num_train // 6)
    task = simulate_task(seed, "promoter", num_train=num_train, num_dev=held_out, num_test=held_out)
    for split in ("train", "dev", "test"):
        write_labelled_csv(folder / "promoter" / f"{split}.csv", getattr(task, split))
