"""The records of a benchmark, as its files hold them and as runner, page and user read them.

Flow: Details (what one run took) -> TrialRecord (OUT/<protocol>/<system>/<dataset>/seed-<n>/results.json) ->
SummaryRow (means over seeds). Keys are those of the JSON files; what older files lack has a default. It must not know
how a number came about.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Generic, Literal, TypeVar

from pydantic import Field

from vqdna.experiments.records import StoredRecord
from vqdna.stage_results import MeanAndSd

Value = TypeVar("Value")


class ByMetric(StoredRecord, Generic[Value]):
    """One value for each metric: None where undefined or of another kind of task."""

    mcc: Value | None = None
    f1_macro: Value | None = None
    accuracy: Value | None = None
    auroc: Value | None = None
    spearman: Value | None = None
    pearson: Value | None = None

    def get(self, metric: str) -> Value | None:
        value: Value | None = getattr(self, metric, None)
        return value


class Scores(ByMetric[float]):
    """Scores of one split as fractions."""


class Deduplicated(Scores):
    """Scores on the deduplicated test set: without the `dropped` records that train or dev holds too."""

    dropped: int = 0


class PartScores(StoredRecord):
    """Scores of one of several averaged predictions by itself."""

    dev: Scores
    test: Scores


class Parameters(StoredRecord):
    total: int
    trainable: int


class Search(StoredRecord):
    """How settings were chosen: dev score of one run each, on `dataset` with `seed`."""

    dataset: str
    seed: int
    dev: dict[str, float]
    best: str


class Choice(StoredRecord):
    """Settings that were chosen for a system, and the search where there was one."""

    candidate: str | None = None
    searched: Search | None = None
    members: dict[str, Choice] | None = None


class Details(StoredRecord):
    """What one run took; beside these, whatever a system has to say of itself (`k`, `best_epoch`, `blend`).

    Attributes:
        parameters: of the whole model, its frozen parts too.
        training_bases: read in training, repeats counted.
        pretraining_bases: read before the task; None where that is not known.
        peak_memory: bytes.
    """

    seconds: float = 0.0
    parameters: Parameters | None = None
    training_bases: int | None = None
    pretraining_bases: int | None = None
    flops_per_base: float | None = None
    peak_memory: int | None = None
    epochs: int = 1

    def more(self, **added: Any) -> Details:
        return Details.model_validate({**self.model_dump(exclude_unset=True), **added})


class TrialScores(StoredRecord):
    """What a trial's predictions are worth.

    Attributes:
        parts: of averages, scores of each part.
        intervals: ends of the 95 % bootstrap interval of each test score.
        collapsed: whether the test MCC is no better than chance.
        predicted: packed classes of the test records, see `vqdna.benchmark.confidence.unpacked_classes`.
    """

    dev: Scores = Field(default_factory=Scores)
    test: Scores
    deduplicated: Deduplicated | None = None
    parts: dict[str, PartScores] = Field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] | None = None
    collapsed: bool = False
    predicted: str | None = None
    labels: str | None = None


class TrialRecord(TrialScores, Details, Choice):
    """One system on one dataset with one seed.

    Attributes:
        same_as_seed: the seed that was run in place of `seed`, where none changes anything.
        num_sequences: of `train`, `dev`, `test`.
    """

    stage: Literal["benchmark"] = "benchmark"
    protocol: str
    system: str
    dataset: str
    seed: int
    command: str = ""
    same_as_seed: int | None = None
    task: str = "classification"
    num_classes: int = 2
    num_sequences: dict[str, int] | None = None


class Score(MeanAndSd):
    """Mean over seeds, standard deviation of a sample (None with one seed), ends of the 95 % interval."""

    low: float | None = None
    high: float | None = None

    @classmethod
    def over(cls, values: Iterable[float | None], ends: tuple[float, float] | None = None) -> Score:
        """Of the values that are known, with the ends of their interval."""
        low, high = ends or (None, None)
        return cls.of(values).model_copy(update={"low": low, "high": high})

    def times_100(self) -> Score:
        known = {"mean": self.mean, "sd": self.sd, "low": self.low, "high": self.high}
        return Score(**{name: 100 * value for name, value in known.items() if value is not None})


class SeedScores(ByMetric[Score]):
    """Scores over seeds; `spearman` and `pearson` of regression alone."""

    def of(self, metric: str) -> Score:
        """Score in a metric; one without a mean where there is none."""
        return self.get(metric) or Score()


class DeduplicatedScores(SeedScores):
    """Scores over seeds on the deduplicated test set."""

    dropped: int = 0


class SummaryRow(SeedScores):
    """One system on one dataset over its seeds.

    Attributes:
        vote: scores of the seed ensemble (majority vote); None for fewer than three seeds.
        seconds: as the other costs, the mean over seeds.
        tokenizer: what it stands for, where the benchmark made the encoder.
    """

    protocol: str
    system: str
    dataset: str
    seeds: list[int] = Field(default_factory=list)
    vote: Scores | None = None
    dev_mcc: Score | None = None
    deduplicated: DeduplicatedScores | None = None
    parts: dict[str, SeedScores] = Field(default_factory=dict)
    collapsed: list[int] = Field(default_factory=list)
    candidates: list[str] = Field(default_factory=list)
    num_sequences: dict[str, int] | None = None
    parameters: Parameters | None = None
    seconds: float | None = None
    peak_memory: float | None = None
    flops_per_base: float | None = None
    training_bases: float | None = None
    pretraining_bases: float | None = None
    tokenizer: str | None = None

    def cost(self, name: str) -> float | None:
        """A cost by the name of its field; `parameters` and `trainable` are counts."""
        if name in ("parameters", "trainable"):
            sizes = self.parameters
            return None if sizes is None else sizes.total if name == "parameters" else sizes.trainable
        value: float | None = getattr(self, name)
        return value


class Ranking(StoredRecord):
    """Ranks of systems, 1 the best.

    Attributes:
        systems: best average rank first.
        left_out: datasets without a score of every system.
        friedman_p: probability of ranks this far apart if all systems were alike; None with fewer than three systems or
            two datasets, and where all scores are ties.
        critical_difference: by which two average ranks must differ at 5 % (Nemenyi); None likewise.
        groups: systems whose average ranks lie within the critical difference of each other, the largest such groups.
    """

    systems: tuple[str, ...]
    datasets: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    ranks: dict[str, dict[str, float]] = Field(default_factory=dict)
    average: dict[str, float]
    friedman_p: float | None = None
    critical_difference: float | None = None
    groups: tuple[tuple[str, ...], ...] = ()

    def times_first(self, system: str) -> int:
        """Datasets on which no system is before this one."""
        best = {name: min(ranks.get(name, math.inf) for ranks in self.ranks.values()) for name in self.datasets}
        return sum(rank == best.get(name) for name, rank in self.ranks.get(system, {}).items())


class PosterCost(StoredRecord):
    """A row of the poster's efficiency table in plain numbers, figures in their parts; ours are single numbers."""

    system: str | None = None
    parameters: list[float] | float | None = None
    relative_flops: list[float] | float | None = None
    training_bases: float | None = None
    average_rank: float | None = None


class PosterComparison(StoredRecord):
    """A row of the poster, and what ours of the same tokenizer cost where it was run."""

    system: str
    published: PosterCost = Field(default_factory=PosterCost)
    ours: PosterCost | None = None
