"""What the pre-training study writes: the result of one fine-tuning, and the rows of its summary.

Read by the study, the command and the page alike. Must not know how a result is made or shown.
"""

from __future__ import annotations

from typing import Any

from vqdna.stage_results import (
    ByName,
    MeanAndSd,
    Number,
    NumberOrParts,
    Numbers,
    Record,
    StageResults,
    Text,
    WholeNumbers,
)

STUDY = "pretraining"


class PretrainingResult(StageResults):
    """One encoder fine-tuned on one dataset with one seed.

    Attributes:
        bases_seen: in pre-training; 0 for random initialization, None where there is no encoder.
        sequences: of each split.
        settings: all else that decides the numbers.
    """

    study: Text = ""
    encoder: Text = ""
    dataset: Text = ""
    bases_seen: Number = None
    best_epoch: Number = None
    sequences: Numbers = None
    dev: Numbers = None
    settings: ByName[Any] = {}

    @property
    def mcc(self) -> float | None:
        return (self.dev or {}).get("mcc")


class PretrainingRow(Record):
    """One encoder, over the seeds that have all datasets; `datasets` are means over every seed."""

    encoder: Text = ""
    bases_seen: Number = None
    seeds: WholeNumbers = []
    mean: Number = None
    sd: Number = None
    datasets: Numbers = None
    seconds: Number = None
    sequences: Numbers = None
    parameters: NumberOrParts = None

    @property
    def score(self) -> MeanAndSd:
        return MeanAndSd(mean=self.mean, sd=self.sd)

    @property
    def million_bases(self) -> float | None:
        return None if self.bases_seen is None else self.bases_seen / 1e6

    @property
    def known_scores(self) -> dict[str, float]:
        return {name: score for name, score in (self.datasets or {}).items() if score is not None}

    def score_on(self, dataset: str) -> MeanAndSd:
        """Mean dev MCC of a dataset; without one where the row has none."""
        return MeanAndSd(mean=(self.datasets or {}).get(dataset))
