"""What the questions of the study are answered with.

Read by the study, the command and the page alike. `FILE_KEYS` says what the files call a field whose name is another
here, so that results of earlier versions stay readable. Must not know how anything is measured.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Generic, TypeVar

from pydantic import ConfigDict, PlainSerializer

from vqdna.config import Values
from vqdna.experiments.records import StoredRecord
from vqdna.results import write_json

FILE_KEYS = {
    "lineage": "variant", "lineages": "variants", "per_lineage": "per_variant", "pango": "lineage",
    "lineages_in_one_clade": "variants_in_one_clade", "in_silico": "planted", "num_in_silico": "num_planted",
    "in_silico_seen": "planted_seen", "changes_per_mutation": "flips_per_planted", "coarse_and_fine": "claims",
    "by_date": "by date",
}  # fmt: skip
DIGITS = 4
KEYS = ConfigDict(alias_generator=lambda name: FILE_KEYS.get(name, name), populate_by_name=True)

Measured = Annotated[float, PlainSerializer(lambda value: round(value, DIGITS), return_type=float)]
"""A number that files hold with the digits that mean something, so that they stay small."""

AnswerT = TypeVar("AnswerT")


class Found(StoredRecord):
    """Base of the study's records: keys that this version does not know are kept."""

    model_config = ConfigDict(frozen=True, **KEYS)

    def as_json(self) -> Values:
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    def write(self, path: Path) -> None:
        write_json(path, self.as_json())


class ByUnit(Found, Generic[AnswerT]):
    """One answer for whole genomes and one for windows."""

    genomes: AnswerT
    windows: AnswerT


class ScoreInterval(Found):
    """A score, and the middle 95 % of its values over resampled genomes."""

    value: Measured
    low: Measured
    high: Measured

    def text(self, *, scale: float = 1, digits: int = 1) -> str:
        """Score and interval, such as `56.4 (55.0 to 57.9)`."""
        value, low, high = (f"{scale * part:.{digits}f}" for part in (self.value, self.low, self.high))
        return value if low == high == value else f"{value} ({low} to {high})"


class SeparationScores(Found):
    silhouette: ScoreInterval
    neighbor_accuracy: ScoreInterval
    adjusted_mutual_information: ScoreInterval


Separation = ByUnit[dict[str, SeparationScores]]
"""Scores by the name of the representation."""


class PlaneView(Found):
    points: list[list[Measured]]
    method: str


class PlaneUnit(Found):
    """Test genomes or windows: number of the lineage of each, and its place by the levels that the points are of."""

    labels: list[int]
    views: dict[str, PlaneView]


class Plane(ByUnit[PlaneUnit]):
    """Genomes and windows as a picture shows them; no score is taken from it."""

    lineages: list[str]


class LevelFindings(Found):
    """What the codes of one level know.

    Attributes:
        level: 0 is the coarsest.
        lineage_share: bits that codes share with lineages over the bits they have; `lineage_share_by_chance` with
            shuffled lineages.
        num_places: places at which genomes differ.
        mutation_share: share of the bits of a mutation's presence that the best place near it tells, by group.
        in_silico_seen: share of the in-silico mutations that change any code, by effect.
        changes_per_mutation: codes that one of them changes.
    """

    level: int
    lineage_share: ScoreInterval
    lineage_share_by_chance: Measured
    num_places: int
    mutation_share: dict[str, ScoreInterval | None]
    in_silico_seen: dict[str, ScoreInterval | None]
    changes_per_mutation: dict[str, Measured]


class CoarseAndFine(Found):
    """Every level, and for several levels the differences between the first and the last, with the verdict."""

    levels: list[LevelFindings]
    num_mutations: dict[str, int]
    num_in_silico: dict[str, int]
    coarse_minus_fine_lineage: ScoreInterval | None = None
    fine_minus_coarse_seen: ScoreInterval | None = None
    verdict: str | None = None


class PrecisionAndRecall(Found):
    precision: ScoreInterval
    recall: ScoreInterval


class Recovery(Found):
    """Mutated bases read off codes: true ones, found ones, and how well they agree, exactly and two bases off."""

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
    carried: Measured
    found: Measured

    @property
    def is_told(self) -> bool:
        """Whether codes tell it in most of the genomes that carry it."""
        return self.found > 0.5


class LineageTrack(Found):
    """Where the codes of one lineage's genomes differ from the reference's, and what became of its known mutations.

    Attributes:
        start: first base of each place where they differ; `share` the share of the genomes, level by level.
        num_known: known substitutions, which `mutations` lists.
        known_recall: share of those carried whose base codes tell exactly.
    """

    lineage: str
    num_genomes: int
    mean_mutations: Measured
    mean_changed_positions: Measured
    start: list[int] = []
    share: list[list[Measured]] = []
    mutations: list[KnownMutation] = []
    num_known: int
    num_known_deletions: int
    known_recall: Measured | None


class Tracks(Found):
    recovery: Recovery
    lineages: list[LineageTrack]
    footprint_bases: int


class ShownMarker(Found):
    """A code that marks a lineage at a place: its motif, the reference there, the mutations and genes around it."""

    level: int
    start: int
    end: int
    code: int
    held: Measured
    elsewhere: Measured
    motif: str
    reference: str
    motif_start: int
    mutations: list[str]
    genes: list[str]


class LineageMarkers(Found):
    """How many places mark a lineage, level by level, how they hold on test, and the best of them."""

    lineage: str
    num_markers: list[int]
    mean_held_on_test: Measured | None
    mean_elsewhere_on_test: Measured | None
    best: list[ShownMarker]


class Markers(Found):
    """Codes that mark a lineage at their place (None where codes have no places), and wherever they occur."""

    placed: list[LineageMarkers] | None
    anywhere: dict[str, list[int]]


class WantedClade(Found):
    """A clade of the lineage names: whether the tree has it, and the share of resampled genome sets that do."""

    clade: list[str]
    found: bool
    support: Measured


class LineageTree(Found):
    """A tree of the lineages against the hierarchy that their Pango names spell out."""

    newick: str
    num_clades: int
    num_clades_wanted: int
    num_clades_shared: int
    robinson_foulds: int
    least_robinson_foulds: int
    num_contradicting: int
    wanted: list[WantedClade]
    cophenetic_correlation: Measured | None


class Trees(Found):
    """Trees of the lineages by two methods, and how a tree of the genomes agrees with their own Pango lineages."""

    names: list[str]
    num_genomes: int
    average_linkage: LineageTree
    neighbor_joining: LineageTree
    genome_cophenetic_correlation: Measured | None
    lineages_in_one_clade: Measured


TreesBySource = dict[str, Trees]
"""Trees from code `counts`, and from codes at their `places`, where they have any."""

LinearScores = dict[str, ByUnit[dict[str, ScoreInterval]]]
"""Macro-F1 of the linear probe by split and representation."""


class FineTuned(ByUnit[ScoreInterval]):
    """Macro-F1 of a fine-tuned encoder, and of probes on counts of the same windows (`controls`)."""

    num_windows: dict[str, int]
    num_genomes: int
    dev: dict[str, Measured | None]
    parameters: dict[str, int]
    seconds: Measured
    controls: dict[str, ScoreInterval] = {}
