"""The records of the baselines: what a probe and boosted trees say of themselves in results.json."""

from __future__ import annotations

from typing import Any, Literal

from numpy import ndarray
from pydantic import BaseModel, ConfigDict, Field

from vqdna.tasks.loading import Task
from vqdna.tasks.metrics import Metrics


class Fitted(BaseModel):
    """What all baselines have in common.

    Attributes:
        predictions: class probabilities [row, class], or scores [row, 1], of `dev` and `test`; never written.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, frozen=True)

    dev: Metrics
    test: Metrics
    seed: int
    seconds: float
    num_classes: int
    num_features: int
    predictions: dict[str, ndarray] = Field(exclude=True, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `results.json`, without what does not apply; an undefined score stays null."""
        absent = {name for name in type(self).model_fields if getattr(self, name) is None}
        return self.model_dump(mode="json", exclude=absent)


class Representation(BaseModel):
    """The logistic regression on one of a tokenizer's representations."""

    dev: Metrics
    test: Metrics
    inverse_regularization: float
    converged: bool
    num_features: int


class CutOff(BaseModel):
    """Limits of a probe that left something out, and the size of the whole splits."""

    train: int | None
    dev: int | None
    test: int | None
    seed: int
    features: int | None
    num_whole: dict[str, int]
    left_out: list[str]


class ProbeResults(Fitted):
    """Record of `run_probe`.

    Attributes:
        features: name of the representation that does best on dev, whose scores are `dev` and `test`.
        dev_source: "given" or "held out of train".
        num_sequences: of `train`, `dev` and `test`.
        limits: None where every split was taken whole and no representation left out.
        dataset: name under which reports list the scores, of a probe on files.
        spec: the tokenizer as it was asked for, of a probe on files.
    """

    stage: Literal["probe"] = "probe"
    system: str
    encoding_seconds: float
    features: str
    representations: dict[str, Representation]
    dev_source: str
    num_sequences: dict[str, int]
    limits: CutOff | None = None
    dataset: str | None = None
    spec: str | None = None
    command: str | None = None


class TreesResults(Fitted):
    """Record of `run_trees`.

    Attributes:
        k: length of the k-mers that does best on dev.
        dev_by_k: dev score of each k tried, by the task's metric.
        num_trees: of each class, where the loss on dev was lowest.
        parameters: thresholds and leaf values of those trees.
    """

    stage: Literal["benchmark"] = "benchmark"
    system: str
    command: str
    task: Task
    k: int
    dev_by_k: dict[str, float | None]
    num_trees: int
    parameters: int
