"""The questions of the study, each asked of one system: codes of the drawn genomes and windows -> one record.

Flow: Material (knowledge, genomes, splits, sizes) + System -> GenomeCodes, worked out once and kept while the system's
questions are asked -> records of plain numbers. It must not know files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.studies.sars_cov_2.changes import CodeChanges, code_changes
from vqdna.studies.sars_cov_2.classification import Parts, counts_score, fine_tuned_scores, linear_scores
from vqdna.studies.sars_cov_2.coarse_and_fine import coarse_and_fine
from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes, encode_genomes
from vqdna.studies.sars_cov_2.genome_windows import GenomeWindows, cut_windows
from vqdna.studies.sars_cov_2.genomes import VariantGenome, reference_genome
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.markers import free_markers, markers
from vqdna.studies.sars_cov_2.phylogeny import ROOT, profile_distances, site_distances, tree_record
from vqdna.studies.sars_cov_2.plane import project
from vqdna.studies.sars_cov_2.planted import draw_substitutions, plant
from vqdna.studies.sars_cov_2.representations import (
    COUNTS,
    Representation,
    principal_points,
    representations,
)
from vqdna.studies.sars_cov_2.results import (
    CoarseAndFine,
    FineTuned,
    Found,
    Markers,
    Plane,
    PlaneUnit,
    PlaneView,
    ScoreInterval,
    SeparationScores,
    Tracks,
    Trees,
)
from vqdna.studies.sars_cov_2.separation import separation
from vqdna.studies.sars_cov_2.sites import site_reader, site_recovery
from vqdna.studies.sars_cov_2.splits import PARTS, Split
from vqdna.studies.sars_cov_2.systems import KMERS, System, kmer_system
from vqdna.studies.sars_cov_2.tracks import tracks

Answer = Found | Mapping[str, Found | Mapping[str, Found | Mapping[str, Found]]]
"""What a question is answered with: a record, or records by name."""

DIGITS = 4
OWN_CODES = "codes of the encoder"
"""Name of the probe on counts of what the fine-tuned encoder reads."""


@dataclass(frozen=True)
class Sizes:
    """How much is looked at.

    Attributes:
        genomes: of each variant in train, dev and test.
        window: bases of a window.
        windows_per_genome: windows cut from each genome.
        tuned_windows: windows of each train and dev genome that the encoder is fine-tuned on; those of test are the
            windows that every system is scored on.
        planted: random substitutions of each kind that the hypothesis on mutations is tested with.
        calibration: random substitutions that footprints are taken from.
        tree_genomes: test genomes of each variant that trees are made of.
        whole_genomes: test genomes of each variant that the fine-tuned encoder reads window by window.
        config: of the fine-tuning.
        overrides: changes to it.
    """

    genomes: tuple[int, int, int] = (60, 20, 40)
    window: int = 1000
    windows_per_genome: int = 2
    tuned_windows: int = 28
    planted: int = 300
    calibration: int = 1500
    tree_genomes: int = 10
    whole_genomes: int = 10
    config: str = "study"
    overrides: tuple[str, ...] = ()


@dataclass(eq=False)
class Material:
    """What all systems are asked about, and the codes of the one that is being asked.

    Attributes:
        knowledge: genes, variants, mutations.
        genomes: all that were kept.
        split: genomes drawn at random.
        later: genomes drawn by date; None without dates.
        sizes: how much is looked at.
        seed: of every draw.
        shown: name of the system whose points are laid on a plane.
    """

    knowledge: Knowledge
    genomes: Sequence[VariantGenome]
    split: Split
    later: Split | None
    sizes: Sizes
    seed: int
    shown: str = ""
    _codes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def drawn(self) -> tuple[int, ...]:
        """Numbers of the genomes that either split has."""
        return tuple(sorted({*self.split.all, *(self.later.all if self.later else ())}))

    @cached_property
    def row(self) -> dict[int, int]:
        """Row of each drawn genome."""
        return {number: row for row, number in enumerate(self.drawn)}

    @cached_property
    def chosen(self) -> list[VariantGenome]:
        """Drawn genomes, in the order of rows."""
        return [self.genomes[number] for number in self.drawn]

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """Names of the variants among them, which number the classes."""
        return tuple(sorted({genome.variant for genome in self.chosen}))

    @cached_property
    def labels(self) -> Int[np.ndarray, "row"]:
        """Class of each row."""
        return np.array([self.variants.index(genome.variant) for genome in self.chosen])

    @cached_property
    def windows(self) -> GenomeWindows:
        """Windows of all drawn genomes; `genome` is their row."""
        sizes = self.sizes
        return cut_windows(
            self.chosen, range(len(self.chosen)), size=sizes.window, per_genome=sizes.windows_per_genome, seed=self.seed
        )

    def rows(self, numbers: Sequence[int]) -> Int[np.ndarray, "_"]:
        """Rows of genomes given by number."""
        return np.array([self.row[number] for number in numbers], np.int64)

    def test_rows(self, per_variant: int) -> list[int]:
        """Rows of so many test genomes of each variant, the first ones."""
        test = self.rows(self.split.test).tolist()
        return [
            row
            for variant in self.variants
            for row in [i for i in test if self.chosen[i].variant == variant][:per_variant]
        ]

    def genome_parts(self, split: Split) -> Parts:
        """Rows of a split's parts."""
        return {part: self.rows(getattr(split, part)) for part in PARTS}

    def window_parts(self, split: Split) -> Parts:
        """Windows of a split's parts."""
        return {part: np.flatnonzero(np.isin(self.windows.genome, self.rows(getattr(split, part)))) for part in PARTS}

    def genome_codes(self, system: System) -> GenomeCodes:
        """Codes of the drawn genomes; row 0 is the reference, row i + 1 genome i."""
        bases = [self.knowledge.reference, *(genome.base_ids for genome in self.chosen)]
        found: GenomeCodes = self._kept("genomes", lambda: encode_genomes(system.tokenizer, bases))
        return found

    def genome_views(self, system: System) -> list[Representation]:
        """Representations of the drawn genomes."""

        def views() -> list[Representation]:
            found = representations(self.genome_codes(system))
            return [Representation(view.kind, view.levels, view.matrix[1:]) for view in found]

        held: list[Representation] = self._kept("views", views)
        return held

    def window_views(self, system: System) -> list[Representation]:
        """Representations of the windows."""
        held: list[Representation] = self._kept(
            "windows", lambda: representations(encode_genomes(system.tokenizer, self.windows.base_ids))
        )
        return held

    def changes(self, system: System) -> CodeChanges | None:
        """Codes of the drawn genomes along the reference; None where codes have no fixed places."""
        codes = self.genome_codes(system)
        if not codes.has_fixed_positions:
            return None
        found: CodeChanges = self._kept("changes", lambda: code_changes(codes, self.chosen))
        return found

    def forget(self) -> None:
        """Drops the codes of the system that was asked."""
        self._codes.clear()

    def _kept(self, name: str, make: Any) -> Any:
        if name not in self._codes:
            self._codes[name] = make()
        return self._codes[name]


def separation_step(material: Material, system: System) -> dict[str, dict[str, SeparationScores]]:
    """Scores of every representation of genomes and of windows, on test."""
    found: dict[str, dict[str, SeparationScores]] = {}
    units = {
        "genomes": (
            material.genome_views(system),
            material.genome_parts(material.split),
            np.arange(len(material.drawn)),
        ),
        "windows": (material.window_views(system), material.window_parts(material.split), material.windows.genome),
    }
    for unit, (views, parts, owners) in units.items():
        labels = material.labels[owners]
        found[unit] = {}
        for view in views:
            train, test = principal_points(view, parts["train"], [parts["test"]])
            found[unit][view.name] = separation(
                train, labels[parts["train"]], test, labels[parts["test"]], owners[parts["test"]], material.seed
            )
    return found


def plane_step(material: Material, system: System) -> Plane | None:
    """Test genomes and windows on a plane, by mean code vectors of all, coarse and fine levels; of one system."""
    if system.name != material.shown or not system.is_learned:
        return None
    units = {}
    parts, windows = material.genome_parts(material.split), material.window_parts(material.split)
    views = {"genomes": (material.genome_views(system), parts), "windows": (material.window_views(system), windows)}
    for unit, (held, rows) in views.items():
        owners = np.arange(len(material.drawn)) if unit == "genomes" else material.windows.genome
        planes = {}
        for view in held:
            if view.kind != COUNTS:
                (_, test) = principal_points(view, rows["train"], [rows["test"]])
                plane, method = project(test, material.seed)
                planes[view.levels] = PlaneView(points=np.round(plane, 3).tolist(), method=method)
        units[unit] = PlaneUnit(labels=material.labels[owners[rows["test"]]].tolist(), views=planes)
    return Plane(variants=list(material.variants), **units)


def claims_step(material: Material, system: System) -> CoarseAndFine | None:
    """Coarse against fine on test genomes."""
    changes = material.changes(system)
    if changes is None:
        return None
    test = material.rows(material.split.test)
    genomes, knowledge, sizes = [material.chosen[i] for i in test], material.knowledge, material.sizes
    return coarse_and_fine(
        system.tokenizer, changes.of(test.tolist()), genomes, knowledge, sizes.planted, material.seed
    )


def tracks_step(material: Material, system: System) -> Tracks | None:
    """Where codes change along the genome, and how exactly that tells mutated bases, on test genomes."""
    changes = material.changes(system)
    if changes is None:
        return None
    random = np.random.default_rng([material.seed, 7])
    drawn = draw_substitutions(material.knowledge, None, material.sizes.calibration, random)
    reader = site_reader(plant(system.tokenizer, material.knowledge.reference, drawn))
    rows = material.rows(material.split.test).tolist()
    genomes, held = [material.chosen[i] for i in rows], changes.of(rows)
    return Tracks(
        recovery=site_recovery(held, genomes, reader, material.seed),
        variants=tracks(held, genomes, reader, material.knowledge),
        footprint_bases=int(reader.reach * reader.stride),
    )


def markers_step(material: Material, system: System) -> Markers:
    """Codes that mark a variant, chosen on train, scored on test."""
    changes = material.changes(system)
    parts = {part: rows.tolist() for part, rows in material.genome_parts(material.split).items()}
    codes = material.genome_codes(system)
    variants = [genome.variant for genome in material.chosen]
    return Markers(
        placed=None
        if changes is None
        else markers(changes, material.chosen, parts["train"], parts["test"], material.knowledge),
        anywhere=free_markers(codes.histograms()[1:], codes.level_sizes, variants, parts["train"]),
    )


def tree_step(material: Material, system: System) -> dict[str, Trees]:
    """Trees from codes at their places and from code counts, of some test genomes of each variant and the reference."""
    knowledge = material.knowledge
    chosen = material.test_rows(material.sizes.tree_genomes)
    genomes = [reference_genome(knowledge, ROOT), *(material.chosen[row] for row in chosen)]
    distances = {"counts": profile_distances(material.genome_codes(system).histograms(), [0, *(r + 1 for r in chosen)])}
    changes = material.changes(system)
    if changes is not None:
        distances["places"] = site_distances(changes.of(chosen, with_reference=True), range(len(genomes)))
    paths = {variant.name: knowledge.path(variant.lineage) for variant in knowledge.file.variants}
    variants, lineages = [g.variant for g in genomes], [knowledge.path(g.lineage) for g in genomes]
    return {name: tree_record(held, variants, lineages, paths, material.seed) for name, held in distances.items()}


def linear_step(material: Material, system: System) -> dict[str, dict[str, dict[str, ScoreInterval]]]:
    """Macro-F1 of the probe on counts, of genomes and of windows, for both splits."""
    found = {}
    for name, split in (("random", material.split), ("by date", material.later)):
        if split is None:
            continue
        views = [v for v in material.genome_views(system) if v.kind == COUNTS]
        windows = [v for v in material.window_views(system) if v.kind == COUNTS]
        if name != "random":
            views, windows = views[:1], windows[:1]
        owners = np.arange(len(material.drawn))
        found[name] = {
            "genomes": linear_scores(views, material.genome_parts(split), material.labels, owners, material.seed),
            "windows": linear_scores(
                windows, material.window_parts(split), material.labels[material.windows.genome],
                material.windows.genome, material.seed,
            ),
        }  # fmt: skip
    return found


def fine_tuned_step(material: Material, encoder: Path, out: Path) -> FineTuned:
    """A LoRA fine-tuned encoder on many windows of the random split, beside probes on counts of the same windows."""
    parts = tuning_windows(material)
    scores = fine_tuned_scores(
        parts, material.chosen, material.test_rows(material.sizes.whole_genomes), encoder=encoder,
        config=material.sizes.config, overrides=material.sizes.overrides, out=out, seed=material.seed,
    )  # fmt: skip
    tokenizers = {KMERS: kmer_system().tokenizer, OWN_CODES: load_encoder(encoder).tokenizer}
    controls = {name: counts_score(found, parts, material.labels, material.seed) for name, found in tokenizers.items()}
    return scores.model_copy(update={"controls": controls})


def tuning_windows(material: Material) -> dict[str, GenomeWindows]:
    """Windows of train, dev and test to fine-tune on: many of each genome, but of test those that all systems read."""
    sizes, held = material.sizes, material.windows
    parts = {
        part: cut_windows(
            material.chosen, material.rows(getattr(material.split, part)).tolist(), size=sizes.window,
            per_genome=sizes.tuned_windows, seed=material.seed,
        )
        for part in PARTS[:2]
    }  # fmt: skip
    rows = material.window_parts(material.split)[PARTS[2]]
    parts[PARTS[2]] = GenomeWindows([held.base_ids[i] for i in rows], held.genome[rows], held.start[rows])
    return parts


def as_json(answer: Answer | None) -> Any:
    """An answer as its file has it: numbers with the digits that mean something, so that files stay small."""
    if answer is None:
        return None
    return _rounded(answer.model_dump(mode="json", exclude_unset=True) if isinstance(answer, Found) else dict(answer))


def _rounded(value: Any) -> Any:
    if isinstance(value, Found):
        return as_json(value)
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
