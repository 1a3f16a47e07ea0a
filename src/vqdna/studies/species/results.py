"""What the species study writes: costs of a window, the result of one run, and the rows of its summary.

Read by the study, the command and the page alike. Must not know how a result is made or shown.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from vqdna.stage_results import (
    ByName,
    GenomesRead,
    Items,
    MeanAndSd,
    Number,
    Numbers,
    Record,
    StageResults,
    Text,
    WholeNumbers,
    finite,
)
from vqdna.studies.species.cells import length_name

STUDY = "species"
Bases = Annotated[int, BeforeValidator(lambda value: int(finite(value) or 0))]


class WindowCost(Record):
    """What one window takes: processor seconds on one thread, and memory as measured and as foreseen."""

    seconds: Number = None
    bases_per_second: Number = None
    peak_bytes: Number = None
    window_bytes: Number = None
    foreseen_bytes: Number = None


class SystemCosts(Record):
    """Costs of a system by the length of the window, as its file holds them."""

    system: Text = ""
    source: Text = ""
    lengths: dict[int, WindowCost] = {}


class TrainedBy(Record):
    """The run that made a tokenizer or an encoder, as far as its folder says."""

    stage: Text = ""
    seed: Number = None
    seconds: Number = None
    steps: Number = None
    genomes: GenomesRead = GenomesRead()


class SystemAbout(Record):
    """What a system is: its kind, how it came to be, its sizes."""

    kind: Text = ""
    how: Text = ""
    level_sizes: WholeNumbers = []
    parameters: Number = None
    trained: TrainedBy = TrainedBy()

    @property
    def sentence(self) -> str:
        facts = [f"{' + '.join(map(str, self.level_sizes))} codes"] if self.level_sizes else []
        facts += [f"{self.parameters:,} parameters"] if self.parameters else []
        facts += [f"{self.trained.steps} training steps"] if self.trained.steps else []
        facts += [f"on {len(self.trained.genomes.species)} genomes"] if self.trained.genomes.species else []
        return self.how + (f" ({', '.join(facts)})" if facts else "")


class RepresentationScores(Record):
    """Accuracy of one representation, with what dev chose for it."""

    dev: Number = None
    test: Number = None
    num_features: Number = None
    inverse_regularization: Number = None


class SpeciesScores(Record):
    """Scores of the classifier that does best on dev; the choice, and the other representations."""

    dev: Numbers = None
    test: Numbers = None
    features: Text = ""
    num_features: Number = None
    representations: ByName[RepresentationScores] = {}


class SpeciesTask(Record):
    """One system at one length on one set.

    Attributes:
        classes: species to tell apart; guessing has one over their number.
        independent_windows: windows of each split that would fit side by side.
    """

    cell: Text = ""
    set: Text = ""
    system: Text = ""
    length: Bases = 0
    classes: Items[Text] = []
    windows: Numbers = None
    independent_windows: Numbers = None
    cost: WindowCost | None = None


class SpeciesResult(SpeciesTask, StageResults, SpeciesScores):
    """One of them with one seed."""

    study: Text = ""
    reading_seconds: Number = None
    about: SystemAbout = SystemAbout()
    settings: ByName[Any] = {}

    def test_score(self, metric: str) -> float | None:
        return (self.test or {}).get(metric)


class LeftOut(Record):
    """What did not run, and why; None stands for all sets, systems or lengths."""

    set: str | None = None
    system: str | None = None
    length: int | None = None
    reason: Text = ""

    def __str__(self) -> str:
        parts = [self.set, self.system, None if self.length is None else length_name(self.length)]
        return f"{', '.join(part for part in parts if part is not None)}: {self.reason}"


class SpeciesRow(SpeciesTask):
    """One of them, its seeds together.

    Attributes:
        accuracy: share of test windows told right; `representations` the same for each that the system has.
        seconds: of one run, in the mean.
    """

    kind: Text = ""
    how: Text = ""
    seeds: WholeNumbers = []
    accuracy: MeanAndSd = MeanAndSd()
    mcc: MeanAndSd = MeanAndSd()
    dev_accuracy: MeanAndSd = MeanAndSd()
    features: Items[Text] = []
    representations: ByName[MeanAndSd] = {}
    seconds: Number = None
    reading_seconds: Number = None
    preset: Text = ""

    @property
    def mean(self) -> float:
        """Mean accuracy; only rows that have one are shown."""
        return self.accuracy.mean or 0.0

    @property
    def independent(self) -> int | None:
        """Test windows that would fit side by side."""
        count = (self.independent_windows or {}).get("test")
        return None if count is None else int(count)
