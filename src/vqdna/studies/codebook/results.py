"""What the codebook study writes: the result of one row with one seed, and the rows of its summary.

Read by the study, the command and the page alike. Must not know how a result is made or shown.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from vqdna.stage_results import (
    ByName,
    Items,
    LevelUsage,
    MeanAndSd,
    Number,
    Numbers,
    Record,
    StageResults,
    Text,
    WholeNumbers,
)

STUDY = "codebook"
HAND_MADE_KINDS = ("hand-made", "bpe")
BEST_KMER = "kmer_best"
"""Row put together from the k-mer rows: on each dataset the k that does best on dev."""


class ProbeScores(Record):
    """Logistic regression on the codes of one dataset, scored by `metric`."""

    metric: Text = ""
    dev: Numbers = None
    test: Numbers = None
    num_features: Number = None
    encoding_seconds: Number = None

    @property
    def test_score(self) -> float | None:
        return (self.test or {}).get(self.metric)

    @property
    def dev_score(self) -> float:
        """Score on dev; what is unknown is below all others."""
        score = (self.dev or {}).get(self.metric)
        return float("-inf") if score is None else score


class CodebookAbout(Record):
    """What a row is, whatever the seed.

    Attributes:
        cell: name of the row.
        kind: quantizer, "hand-made" or "bpe".
        width: of the latents as trained; `paper_width` as the row's file says it.
    """

    cell: Text = ""
    kind: Text = ""
    level_sizes: WholeNumbers = []
    width: Number = None
    paper_width: Number = None
    bits_per_base: Number = None


class CodebookResult(StageResults, CodebookAbout):
    """One row of the table with one seed.

    Attributes:
        reconstruction_accuracy: share of bases that come back right; `reconstruction` the cross-entropy, in nats.
        lin: mean test score over the datasets, by metric.
        settings: all that decides the numbers.
    """

    study: Text = ""
    reconstruction_accuracy: Number = None
    reconstruction: Number = None
    levels: Items[LevelUsage] = []
    training_seconds: Number = None
    encoding_seconds: Number = None
    lin: Numbers = None
    datasets: ByName[ProbeScores] = {}
    settings: ByName[Any] = {}


class CodebookRow(CodebookAbout):
    """One row of the table, its seeds together; values of a level are coarse to fine."""

    preset: Text = ""
    seeds: WholeNumbers = []
    reconstruction_accuracy: MeanAndSd = MeanAndSd()
    usage: Items[MeanAndSd] = []
    perplexity: Items[MeanAndSd] = []
    lin: ByName[MeanAndSd] = {}
    datasets: ByName[MeanAndSd] = {}
    num_features: Number = None
    seconds: Number = None
    nats: MeanAndSd = Field(default=MeanAndSd(), exclude=True)

    @property
    def is_learned(self) -> bool:
        """Whether the row's codes were learned from genomes by a vocabulary."""
        return self.kind not in HAND_MADE_KINDS

    @property
    def width_text(self) -> str:
        """Width as trained, the paper's in brackets where it is another; empty without one."""
        if self.width is None:
            return ""
        return str(self.width) + ("" if self.paper_width in (None, self.width) else f" ({self.paper_width})")

    def lin_score(self, metric: str) -> MeanAndSd:
        """Test score by a metric; without a mean where the row has none."""
        return self.lin.get(metric, MeanAndSd())
