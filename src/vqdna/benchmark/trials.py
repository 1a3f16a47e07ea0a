"""A trial as the engine of experiments runs it: a system on a dataset with a seed, its outcome scored once.

Flow: settings chosen on dev (`_choice`) -> Outcome, kept in OUT/runs/ -> scores -> TrialRecord in
OUT/<protocol>/<system>/<dataset>/seed-<n>/results.json, written when the trial is done. Encoders that trials need are
made first, by the same engine. It must not know how a system works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vqdna.benchmark.blending import averaged
from vqdna.benchmark.confidence import packed_classes, score_intervals
from vqdna.benchmark.encoders import is_ready, prepare_encoder
from vqdna.benchmark.grid import Grid, Trial
from vqdna.benchmark.outcomes import RUNS, Outcome, Predictions, kept_or_made
from vqdna.benchmark.protocols import TaskData
from vqdna.benchmark.results import Choice, Deduplicated, PartScores, Scores, Search, TrialRecord, TrialScores
from vqdna.benchmark.running import Order
from vqdna.benchmark.summary import read_trial
from vqdna.benchmark.systems import System
from vqdna.devices import own_device, peak_memory, reset_peak_memory
from vqdna.errors import InputError
from vqdna.experiments.cells import Cell, run_cells
from vqdna.experiments.records import slug
from vqdna.results import RESULTS_FILE, command_line, read_record
from vqdna.tasks.metrics import primary_score, task_metrics
from vqdna.tasks.registry import dataset

SEARCH = "search"
LOCKS = "locks"
"""Folder of the locks on encoders: a run folder has to be empty when its run starts."""

Tell = Callable[[str], None]


def work_through(grid: Grid, tell: Tell) -> None:
    """Runs what is left of the grid, until every part is done by this process or another."""
    encoders = [_EncoderCell(name, grid, tell) for name in grid.encoders()]
    trials = [_TrialCell(trial, grid) for trial in grid.trials()]
    run_cells([*encoders, *trials], tell, waits=True)


def known_record(trial: Trial, out: Path) -> TrialRecord | None:
    """Record of the trial as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or of another system whose name makes the same folder.
    """
    path = trial.folder(out) / RESULTS_FILE
    if not path.is_file():
        return None
    record = read_trial(path)
    if record.system != trial.system:
        raise InputError(f"{path}: holds results of '{record.system}', expected '{trial.system}'; use another folder")
    return record


@dataclass(frozen=True)
class _EncoderCell(Cell[str]):
    """A tokenizer and its pre-trained encoder; the record is the encoder's own run folder."""

    system: str
    grid: Grid
    tell: Tell

    @property
    def name(self) -> str:
        return f"encoder of {self.system}"

    @property
    def lock(self) -> Path:
        return self.grid.out / LOCKS / self.system

    def known(self) -> str | None:
        return "ready" if is_ready(self.system, self.grid.out) else None

    def run(self) -> str:
        self.tell(f"{self.name}: tokenizer and pre-training")
        prepare_encoder(self.system, self.grid.budget, self.grid.genomes, self.grid.out)
        return "ready"

    def told(self, record: str) -> str:
        return record


@dataclass(frozen=True)
class _TrialCell(Cell[TrialRecord]):
    trial: Trial
    grid: Grid

    @property
    def name(self) -> str:
        return f"{self.trial.protocol} {self.trial.dataset} {self.trial.system} seed {self.trial.seed}"

    @property
    def lock(self) -> Path:
        return self.trial.folder(self.grid.out)

    @property
    def is_ready(self) -> bool:
        return all(is_ready(name, self.grid.out) for name in self.grid.encoders([self.trial.system]))

    def known(self) -> TrialRecord | None:
        return known_record(self.trial, self.grid.out)

    @property
    def data(self) -> TaskData:
        return self.grid.data(self.trial.protocol, self.trial.dataset)

    def run(self) -> TrialRecord:
        system = self.grid.system(self.trial.system)
        choice, outcome = self._outcome(system)
        seed, data = self._seed_of(system), self.data
        record = TrialRecord.model_validate(
            {
                "stage": "benchmark",
                **asdict(self.trial),
                "command": command_line(),
                **choice.model_dump(exclude_unset=True),
                **({"same_as_seed": seed} if seed != self.trial.seed else {}),
                **outcome.details.model_dump(exclude_unset=True),
                "task": data.train.task,
                "num_classes": data.train.num_classes,
                "num_sequences": {"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
                **_scores_of(outcome, data).model_dump(exclude_unset=True),
            }
        )
        record.write(self.trial.folder(self.grid.out) / RESULTS_FILE)
        return record

    def told(self, record: TrialRecord) -> str:
        shown = "undefined" if record.test.mcc is None else f"{100 * record.test.mcc:.1f}"
        chance = " (no better than chance)" if record.collapsed else ""
        return f"test MCC {shown}{chance} ({record.seconds:.0f} s)"

    def _outcome(self, system: System) -> tuple[Choice, Outcome]:
        """What was chosen, and the outcome; that of an average is made of its members' trials."""
        if system.members:
            made = {one.name: replace(self, trial=replace(self.trial, system=one.name))._outcome(one)
                    for one in system.members}  # fmt: skip
            choices = {name: choice for name, (choice, _) in made.items()}
            return Choice(members=choices), averaged({name: one for name, (_, one) in made.items()}, self.data.dev)
        choice = self._choice(system)
        return choice, kept_outcome(self.grid, system, self.data, choice.candidate or "", self._seed_of(system))

    def _seed_of(self, system: System) -> int:
        """Seed by which the trial is run: one for all where none changes anything."""
        return self.grid.budget.search_seed if system.is_seedless else self.trial.seed

    def _choice(self, system: System) -> Choice:
        """The system's settings for the dataset, and how they were found: by dev scores of one run each.

        The runs are made on the dataset that the budget names for the group, so that a group costs no more than one
        search; on the trial's own where that cannot be had.
        """
        if len(system.candidates) == 1:
            return Choice(candidate=system.candidates[0])
        own = self.trial.dataset
        named = own if own in self.grid.splits else self.grid.budget.search.get(dataset(own).group, own)
        found = self._known_search(named)  # before anything is read: most trials find it
        if found is None:
            try:
                data = self.grid.data(self.trial.protocol, named)
            except InputError:
                data = self.data
            found = self._known_search(data.dataset) or self._search(data, system)
        return Choice(candidate=found.best, searched=found)

    def _search_file(self, name: str) -> Path:
        return self.grid.out / SEARCH / self.trial.protocol / slug(self.trial.system) / f"{slug(name)}.json"

    def _known_search(self, name: str) -> Search | None:
        path = self._search_file(name)
        return read_record(path, Search, "a search of the benchmark") if path.is_file() else None

    def _search(self, data: TaskData, system: System) -> Search:
        dev, seed, scores = data.dev, self.grid.budget.search_seed, {}
        for candidate in system.candidates:
            outcome = kept_outcome(self.grid, system, data, candidate, seed)
            scores[candidate] = primary_score(dev.task, dev.labels, outcome.dev)
        best = max(system.candidates, key=lambda candidate: scores[candidate])
        found = Search(dataset=data.dataset, seed=seed, dev=scores, best=best)
        found.write(self._search_file(data.dataset))
        return found


def kept_outcome(grid: Grid, system: System, data: TaskData, candidate: str, seed: int) -> Outcome:
    """Outcome of a run, from its file, or made and kept there.

    Raises:
        BusyError: another process is at it.
    """
    folder = grid.out / RUNS / data.protocol / slug(system.name) / data.dataset / f"{candidate}-seed-{seed}"

    def run() -> Outcome:
        assert system.run is not None  # an average has members' outcomes, and no run of its own
        measures = reset_peak_memory(own_device())
        outcome = system.run(Order(data, candidate, seed, folder, system.epochs))
        peak = peak_memory(own_device()) if measures else None
        return replace(outcome, details=outcome.details.more(peak_memory=peak))

    return kept_or_made(folder, run)


def _scores_of(outcome: Outcome, data: TaskData) -> TrialScores:
    """Scores on dev, test and the deduplicated test set, and how sure they are."""
    task, labels = data.test.task, data.test.labels
    # A test record that train or dev holds too is answered from memory: scores without these stand beside.
    kept = data.test.subset(np.flatnonzero(data.unseen))
    unseen = task_metrics(task, kept.labels, outcome.test[data.unseen]) if len(kept) else {}

    def on_dev_and_test(dev: Predictions, test: Predictions) -> PartScores:
        return PartScores(
            dev=Scores(**task_metrics(task, data.dev.labels, dev)), test=Scores(**task_metrics(task, labels, test))
        )

    whole = on_dev_and_test(outcome.dev, outcome.test)
    scores = TrialScores(
        dev=whole.dev,
        test=whole.test,
        deduplicated=Deduplicated.model_validate({"dropped": len(data.test) - len(kept), **unseen}),
        parts={name: on_dev_and_test(*predictions) for name, predictions in outcome.parts.items()},
    )
    if task != "classification":
        return scores
    predicted = outcome.test.argmax(1)
    scores.intervals = score_intervals(labels, predicted[None], num_classes=data.train.num_classes)
    # No better than chance: the interval of MCC reaches down to zero.
    scores.collapsed = bool(scores.intervals["mcc"][0] <= 0)
    scores.predicted, scores.labels = packed_classes(predicted), packed_classes(labels)
    return scores
