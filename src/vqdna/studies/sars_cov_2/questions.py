"""The questions of the study, each asked of one system: codes of the drawn genomes and windows -> one record.

Flow: Material (knowledge, genomes, splits, sizes) + System -> Asked, whose codes are worked out once and kept while the
system's questions are asked -> typed answers. It must not know files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.studies.sars_cov_2 import results
from vqdna.studies.sars_cov_2.changes import CodeChanges, code_changes
from vqdna.studies.sars_cov_2.classification import Parts, counts_score, fine_tuned_scores, linear_score
from vqdna.studies.sars_cov_2.coarse_and_fine import coarse_and_fine
from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes, encode_genomes
from vqdna.studies.sars_cov_2.genomes import Intake, LineageGenome
from vqdna.studies.sars_cov_2.in_silico import draw_substitutions, mutate
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.markers import free_markers, markers
from vqdna.studies.sars_cov_2.phylogeny import ROOT, profile_distances, site_distances, tree_record
from vqdna.studies.sars_cov_2.representations import (
    COUNTS,
    Representation,
    principal_points,
    project,
    representations,
)
from vqdna.studies.sars_cov_2.separation import separation
from vqdna.studies.sars_cov_2.sites import SiteReader, lineage_tracks, site_recovery
from vqdna.studies.sars_cov_2.splits import PARTS, GenomeWindows, Split, cut_windows
from vqdna.studies.sars_cov_2.summary import RANDOM, Sizes
from vqdna.studies.sars_cov_2.systems import KMERS, System, kmer_system

OWN_CODES = "codes of the encoder"
"""Name of the probe on counts of what the fine-tuned encoder reads."""


@dataclass(frozen=True, eq=False)
class Material:
    """What all systems are asked about.

    Attributes:
        intake: all genomes that were kept.
        splits: genomes drawn at random, and by date where dates are known.
        seed: of every draw.
        shown: name of the system whose points are laid on a plane.
    """

    knowledge: Knowledge
    intake: Intake
    splits: Mapping[str, Split]
    sizes: Sizes
    seed: int
    shown: str = ""

    @cached_property
    def drawn(self) -> list[int]:
        """Number of the genome of each row: those that a split has."""
        return sorted({number for split in self.splits.values() for number in split.all})

    @cached_property
    def chosen(self) -> list[LineageGenome]:
        """Genome of each row."""
        return [self.intake.kept[number] for number in self.drawn]

    @cached_property
    def lineages(self) -> list[str]:
        """Names of the lineages among them, which number the classes."""
        return sorted({genome.lineage for genome in self.chosen})

    @cached_property
    def labels(self) -> Int[np.ndarray, "row"]:
        """Class of each row."""
        return np.array([self.lineages.index(genome.lineage) for genome in self.chosen])

    def rows(self, split: str = RANDOM) -> dict[str, list[int]]:
        """Rows of a split's parts."""
        parts = self.splits[split].parts
        return {part: np.searchsorted(self.drawn, numbers).tolist() for part, numbers in parts.items()}

    def windows(self, rows: Sequence[int], per_genome: int) -> GenomeWindows:
        return cut_windows(self.chosen, rows, size=self.sizes.window, per_genome=per_genome, seed=self.seed)

    @cached_property
    def all_windows(self) -> GenomeWindows:
        """Windows of all drawn genomes."""
        return self.windows(range(len(self.chosen)), self.sizes.windows_per_genome)

    def test_rows(self, per_lineage: int) -> list[int]:
        """Rows of so many test genomes of each lineage, the first ones."""
        test = np.array(self.rows()["test"])
        of_lineage = [test[self.labels[test] == number][:per_lineage] for number in range(len(self.lineages))]
        return [int(row) for row in np.concatenate(of_lineage)]

    def parts(self, genome: Int[np.ndarray, "_"], split: str = RANDOM) -> Parts:
        """Which of the things that come from these rows are in a split's parts."""
        return {part: np.flatnonzero(np.isin(genome, rows)) for part, rows in self.rows(split).items()}


@dataclass(frozen=True, eq=False)
class Unit:
    """Whole genomes, or windows: representations of all, the row of the genome each comes from, and its class."""

    views: list[Representation]
    genome: Int[np.ndarray, "_"]
    labels: Int[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class Asked:
    """One system, with its codes of the material."""

    material: Material
    system: System

    @cached_property
    def codes(self) -> GenomeCodes:
        """Codes of the drawn genomes; row 0 is the reference, row i + 1 genome i."""
        bases = [self.material.knowledge.reference, *(genome.base_ids for genome in self.material.chosen)]
        return encode_genomes(self.system.tokenizer, bases)

    @cached_property
    def changes(self) -> CodeChanges | None:
        """Codes of the drawn genomes along the reference; None where codes have no fixed places."""
        return code_changes(self.codes, self.material.chosen) if self.codes.has_fixed_positions else None

    @cached_property
    def units(self) -> dict[str, Unit]:
        labels, windows = self.material.labels, self.material.all_windows
        genomes = [Representation(view.kind, view.levels, view.matrix[1:]) for view in representations(self.codes)]
        views = representations(encode_genomes(self.system.tokenizer, windows.base_ids))
        return {
            "genomes": Unit(genomes, np.arange(len(labels)), labels),
            "windows": Unit(views, windows.genome, labels[windows.genome]),
        }

    def forget(self) -> None:
        """Drops the codes, which are large."""
        for name in ("codes", "changes", "units"):
            self.__dict__.pop(name, None)


def separation_step(asked: Asked) -> results.Separation:
    found: dict[str, dict[str, results.SeparationScores]] = {}
    for name, unit in asked.units.items():
        parts, labels = asked.material.parts(unit.genome), unit.labels
        train, test = parts["train"], parts["test"]
        found[name] = {}
        for view in unit.views:
            points, scored = principal_points(view, train, test)
            found[name][view.name] = separation(
                points, labels[train], scored, labels[test], unit.genome[test], asked.material.seed
            )
    return results.Separation(**found)


def plane_step(asked: Asked) -> results.Plane | None:
    """Test genomes and windows on a plane, by mean code vectors of all, coarse and fine levels; of one system."""
    material = asked.material
    if asked.system.name != material.shown or asked.system.tokenizer.vector_size is None:
        return None
    units = {}
    for name, unit in asked.units.items():
        parts = material.parts(unit.genome)
        planes = {}
        for view in unit.views:
            if view.kind != COUNTS:
                plane, method = project(principal_points(view, parts["train"], parts["test"])[1], material.seed)
                planes[view.levels] = results.PlaneView(points=np.round(plane, 3).tolist(), method=method)
        units[name] = results.PlaneUnit(labels=unit.labels[parts["test"]].tolist(), views=planes)
    return results.Plane(lineages=material.lineages, **units)


def coarse_and_fine_step(asked: Asked) -> results.CoarseAndFine | None:
    if asked.changes is None:
        return None
    material, changes = asked.material, asked.changes.of(asked.material.rows()["test"])
    tokenizer, count = asked.system.tokenizer, material.sizes.in_silico
    return coarse_and_fine(tokenizer, changes, material.knowledge, count, material.seed)


def tracks_step(asked: Asked) -> results.Tracks | None:
    """Where codes change along the genome, and how exactly that tells mutated bases, on test genomes."""
    if asked.changes is None:
        return None
    material, knowledge = asked.material, asked.material.knowledge
    random = np.random.default_rng([material.seed, 7])
    drawn = draw_substitutions(knowledge, None, material.sizes.calibration, random)
    reader = SiteReader.of(mutate(asked.system.tokenizer, knowledge.reference, drawn))
    changes = asked.changes.of(material.rows()["test"])
    sites = [reader.sites(changes.of_genome(number)) for number in range(len(changes))]
    return results.Tracks(
        recovery=site_recovery(sites, changes.genomes, material.seed),
        lineages=lineage_tracks(changes, sites, knowledge),
        footprint_bases=reader.reach * reader.stride,
    )


def markers_step(asked: Asked) -> results.Markers:
    material, rows = asked.material, asked.material.rows()
    counts, lineages = asked.codes.histograms()[1:], [genome.lineage for genome in material.chosen]
    anywhere = free_markers(counts, asked.system.tokenizer.level_sizes, lineages, rows["train"])
    placed = None if asked.changes is None else markers(asked.changes, rows["train"], rows["test"], material.knowledge)
    return results.Markers(placed=placed, anywhere=anywhere)


def tree_step(asked: Asked) -> results.TreesBySource:
    """Trees from codes at their places and from code counts, of some test genomes of each lineage and the reference."""
    material, knowledge = asked.material, asked.material.knowledge
    chosen = material.test_rows(material.sizes.tree_genomes)
    distances = {"counts": profile_distances(asked.codes.histograms(), [0, *(row + 1 for row in chosen)])}
    if asked.changes is not None:
        distances["places"] = site_distances(asked.changes, chosen)
    genomes = [material.chosen[row] for row in chosen]
    lineages = [ROOT, *(genome.lineage for genome in genomes)]
    paths = [(), *(knowledge.path(genome.pango) for genome in genomes)]
    return {
        source: tree_record(held, lineages, paths, knowledge.paths, material.seed) for source, held in distances.items()
    }


def linear_step(asked: Asked) -> results.LinearScores:
    """Macro-F1 of the probe on counts, of genomes and of windows, for each split."""
    material = asked.material
    found: results.LinearScores = {}
    for name in material.splits:
        scores: dict[str, dict[str, results.ScoreInterval]] = {}
        for unit_name, unit in asked.units.items():
            views = [view for view in unit.views if view.kind == COUNTS]
            parts = material.parts(unit.genome, name)
            scores[unit_name] = {
                view.name: linear_score(view, parts, unit.labels, unit.genome, material.seed)
                for view in (views if name == RANDOM else views[:1])
            }
        found[name] = results.ByUnit[dict[str, results.ScoreInterval]](**scores)
    return found


def fine_tuned_step(material: Material, encoder: Path, out: Path) -> results.FineTuned:
    """A LoRA fine-tuned encoder on many windows of the random split, beside probes on counts of the same windows.

    The test windows are those that all systems read.
    """
    sizes, held, test = material.sizes, material.all_windows, material.parts(material.all_windows.genome)["test"]
    windows = {part: material.windows(material.rows()[part], sizes.tuned_windows) for part in PARTS[:2]}
    windows["test"] = GenomeWindows([held.base_ids[i] for i in test], held.genome[test])
    whole = material.test_rows(sizes.whole_genomes)
    scores = fine_tuned_scores(
        windows, material.chosen, material.labels, whole, encoder=encoder, sizes=sizes, out=out, seed=material.seed
    )
    tokenizers = {KMERS: kmer_system().tokenizer, OWN_CODES: load_encoder(encoder).tokenizer}
    controls = {
        name: counts_score(found, windows, material.labels, material.seed) for name, found in tokenizers.items()
    }
    return scores.model_copy(update={"controls": controls})
