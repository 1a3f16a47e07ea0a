"""What the study writes: the record of each step, with the settings that decide it, and the summary of all.

Read by the study, the command and the page alike. Must not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from pydantic.dataclasses import dataclass

from vqdna.studies.sars_cov_2.knowledge import Gene
from vqdna.studies.sars_cov_2.results import (
    KEYS,
    AnswerT,
    CoarseAndFine,
    FineTuned,
    Found,
    LinearScores,
    Markers,
    Plane,
    Separation,
    Tracks,
    TreesBySource,
)

STUDY = "sars-cov-2"
RANDOM, BY_DATE = "random", "by date"
"""Splits of the genomes."""


@dataclass(frozen=True, config=KEYS)
class Sizes:
    """How much is looked at.

    Attributes:
        genomes: of each lineage in train, dev and test.
        tuned_windows: windows of each train and dev genome that the encoder is fine-tuned on; those of test are the
            windows that every system is scored on.
        in_silico: random substitutions of each kind that the hypothesis on mutations is tested with.
        calibration: random substitutions that footprints are taken from.
        tree_genomes: test genomes of each lineage that trees are made of.
        whole_genomes: test genomes of each lineage that the fine-tuned encoder reads window by window.
        config: of the fine-tuning, with changes to it as `overrides`.
    """

    genomes: tuple[int, int, int] = (60, 20, 40)
    window: int = 1000
    windows_per_genome: int = 2
    tuned_windows: int = 28
    in_silico: int = 300
    calibration: int = 1500
    tree_genomes: int = 10
    whole_genomes: int = 10
    config: str = "study"
    overrides: tuple[str, ...] = ()


class StepSettings(Found):
    """Everything that decides the numbers of a step: digests of files and system, sizes and seed."""

    genomes: str
    reference: str
    knowledge: str
    sizes: Sizes
    seed: int
    system: str = ""
    encoder: str = ""
    fine_tuning: Mapping[str, object] = {}


class StepRecord(Found, Generic[AnswerT]):
    """The file of a step; None is the answer of a system that cannot be asked."""

    settings: StepSettings | None = None
    seconds: float
    result: AnswerT | None


class Steps(Found):
    """Every question's records, by the name of the system."""

    separation: dict[str, StepRecord[Separation]] = {}
    plane: dict[str, StepRecord[Plane]] = {}
    coarse_and_fine: dict[str, StepRecord[CoarseAndFine]] = {}
    tracks: dict[str, StepRecord[Tracks]] = {}
    markers: dict[str, StepRecord[Markers]] = {}
    tree: dict[str, StepRecord[TreesBySource]] = {}
    linear: dict[str, StepRecord[LinearScores]] = {}


class Refused(Found):
    reason: str
    count: int
    examples: list[str]


class InputsRead(Found):
    num_records: int
    num_kept: int
    per_lineage: dict[str, int]
    refused: list[Refused]
    handled: dict[str, int]
    files: list[str]
    labels: str
    training_files: int
    encoder: str | None


class SplitSizes(Found):
    """Genomes of each part, and how much of test is of Pango lineages that train has not."""

    num_genomes: dict[str, int]
    per_lineage: dict[str, dict[str, int]]
    cutoff: str | None
    test_of_unseen_lineages: float


class SplitsMade(Found):
    random: SplitSizes
    by_date: SplitSizes | None


class NamedLineage(Found):
    name: str
    pango: str


class KnowledgeUsed(Found):
    num_bases: int
    genes: list[Gene]
    lineages: list[NamedLineage]
    num_defining: int


class SystemRecord(Found):
    name: str
    source: str
    kind: str
    level_sizes: list[int]
    bases_per_position: float
    context_bases: int


class Summary(Found):
    """The whole study; `shown` is the system that the pictures show."""

    study: str
    virus: str
    command: str = ""
    seed: int
    sizes: Sizes
    inputs: InputsRead
    splits: SplitsMade
    shown: str
    knowledge: KnowledgeUsed
    systems: list[SystemRecord]
    steps: Steps
    fine_tuned: StepRecord[FineTuned] | None = None
    seconds: float
    wall_seconds: float

    @property
    def level_sizes(self) -> dict[str, list[int]]:
        return {system.name: system.level_sizes for system in self.systems}

    @property
    def tuned(self) -> FineTuned | None:
        return None if self.fine_tuned is None else self.fine_tuned.result
