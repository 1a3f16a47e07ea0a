"""What the questions of the study are answered with, and the file of a step.

Read by the study, the command and the page alike; on disk these are the keys of OUT/steps/<system>/<step>.json. Must
not know how anything is measured.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from vqdna.experiments.records import StoredRecord


class Found(BaseModel):
    """Base of the answers."""

    model_config = ConfigDict(frozen=True)


class ScoreInterval(Found):
    """A score, and the middle 95 % of its values over resampled genomes."""

    value: float
    low: float
    high: float


class SeparationScores(Found):
    """How well points of one lineage lie together."""

    silhouette: ScoreInterval
    neighbor_accuracy: ScoreInterval
    adjusted_mutual_information: ScoreInterval


class PlaneView(Found):
    """Points on a plane, and the method that laid them there."""

    points: list[list[float]]
    method: str


class PlaneUnit(Found):
    """Test genomes or windows: number of the lineage of each, and its place by the levels that the points are of."""

    labels: list[int]
    views: dict[str, PlaneView]


class Plane(Found):
    """Genomes and windows as a picture shows them; no score is taken from it."""

    variants: list[str]
    genomes: PlaneUnit
    windows: PlaneUnit


class LevelFindings(Found):
    """What the codes of one level know.

    Attributes:
        level: 0 is the coarsest.
        lineage_share: bits that codes share with lineages over the bits they have; `lineage_share_by_chance` with
            shuffled lineages.
        num_places: places at which genomes differ.
        mutation_share: share of the bits of a mutation's presence that the best place near it tells, by group.
        planted_seen: share of the in-silico mutations that change any code, by effect.
        flips_per_planted: codes that one of them changes.
    """

    level: int
    lineage_share: ScoreInterval
    lineage_share_by_chance: float
    num_places: int
    mutation_share: dict[str, ScoreInterval | None]
    planted_seen: dict[str, ScoreInterval | None]
    flips_per_planted: dict[str, float]


class CoarseAndFine(Found):
    """Every level, and for several levels the differences between the first and the last, with the verdict."""

    levels: list[LevelFindings]
    num_mutations: dict[str, int]
    num_planted: dict[str, int]
    coarse_minus_fine_lineage: ScoreInterval | None = None
    fine_minus_coarse_seen: ScoreInterval | None = None
    verdict: str | None = None


class PrecisionAndRecall(Found):
    """Of mutated bases read off codes."""

    precision: ScoreInterval
    recall: ScoreInterval


class Recovery(Found):
    """Mutated bases: true ones, found ones, and how well they agree, exactly and two bases off."""

    num_sites: int
    num_found: int
    within_0: PrecisionAndRecall
    within_2: PrecisionAndRecall


class KnownMutation(Found):
    """A known mutation: share of the genomes that carry it, and share of those whose codes tell its base exactly."""

    mutation: str
    position: int
    change: str
    defining: bool
    carried: float
    found: float


class LineageTrack(Found):
    """Where the codes of one lineage's genomes differ from the reference's, and what became of its known mutations."""

    variant: str
    num_genomes: int
    mean_mutations: float
    mean_changed_positions: float
    start: list[int]
    share: list[list[float]]
    mutations: list[KnownMutation]
    num_known: int
    num_known_deletions: int
    known_recall: float | None


class Tracks(Found):
    """Code changes along the genome, and the mutated bases read off them."""

    recovery: Recovery
    variants: list[LineageTrack]
    footprint_bases: int


class ShownMarker(Found):
    """A code that marks a lineage at a place: its motif, the reference there, the mutations and genes around it."""

    level: int
    start: int
    end: int
    code: int
    held: float
    elsewhere: float
    motif: str
    reference: str
    motif_start: int
    mutations: list[str]
    genes: list[str]


class LineageMarkers(Found):
    """How many places mark a lineage, level by level, how they hold on test, and the best of them."""

    variant: str
    num_markers: list[int]
    mean_held_on_test: float | None
    mean_elsewhere_on_test: float | None
    best: list[ShownMarker]


class Markers(Found):
    """Codes that mark a lineage at their place (None where codes have no places), and wherever they occur."""

    placed: list[LineageMarkers] | None
    anywhere: dict[str, list[int]]


class WantedClade(Found):
    """A clade of the lineage names: whether the tree has it, and the share of resampled genome sets that do."""

    clade: list[str]
    found: bool
    support: float


class LineageTree(Found):
    """A tree of the lineages against the hierarchy that their names spell out."""

    newick: str
    num_clades: int
    num_clades_wanted: int
    num_clades_shared: int
    robinson_foulds: int
    least_robinson_foulds: int
    num_contradicting: int
    wanted: list[WantedClade]
    cophenetic_correlation: float | None


class Trees(Found):
    """Trees of the lineages by two methods, and how a tree of the genomes agrees with their own lineages."""

    names: list[str]
    num_genomes: int
    average_linkage: LineageTree
    neighbor_joining: LineageTree
    genome_cophenetic_correlation: float | None
    variants_in_one_clade: float


class FineTuned(Found):
    """Macro-F1 of a fine-tuned encoder, and of probes on counts of the same windows (`controls`)."""

    windows: ScoreInterval
    genomes: ScoreInterval
    num_windows: dict[str, int]
    num_genomes: int
    dev: dict[str, float | None]
    parameters: dict[str, int]
    seconds: float
    controls: dict[str, ScoreInterval] = {}


class SplitSizes(Found):
    """Genomes of each part, and how much of test is of lineages that train has not."""

    num_genomes: dict[str, int]
    per_variant: dict[str, dict[str, int]]
    cutoff: str | None
    test_of_unseen_lineages: float


class SystemRecord(Found):
    """A tokenizer under study."""

    name: str
    source: str
    kind: str
    level_sizes: list[int]
    bases_per_position: float
    context_bases: int


class StepRecord(StoredRecord):
    """The file of a step: everything that decides its numbers, its time, and the answer (None: cannot be asked)."""

    settings: dict[str, Any]
    seconds: float
    result: dict[str, Any] | None
