"""About how long the rest of a benchmark takes, before it starts.

Flow: trials that wait -> bases each has to read -> seconds per base, of finished trials of the system where there are
some, else of a short run on some hundred sequences; encoders that are to be made -> the plan of one pre-training. Only
`--plan` makes short runs; a benchmark that starts tells what is known within a second. It must not write into the
benchmark's folder.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vqdna.benchmark.encoders import OWN_ENCODERS, is_ready, pretraining_of, untrained_encoder
from vqdna.benchmark.grid import Grid, Trial
from vqdna.benchmark.protocols import DRAW_SEED, TaskData
from vqdna.benchmark.results import TrialRecord
from vqdna.benchmark.running import Order, run_budgeted
from vqdna.benchmark.trials import known_record
from vqdna.quantities import duration
from vqdna.quiet import silenced
from vqdna.tasks.loading import limited

SHORT_RECORDS, SHORT_BASES, LEAST_RECORDS = 256, 1 << 16, 32
"""Sequences of a short run: fewer where they are long, but never so few that starting is all that is timed."""

GLANCE = 1.0
"""Seconds that an estimate may take where nobody asked for it."""

STAND_IN = "nucleotide"
"""Tokenizer whose untrained encoder is timed for all encoders that are not made yet."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a benchmark.

    Trials that wait, those that have results, encoders to be made first, and the seconds of all that by the processes
    together; None where nothing tells.
    """

    trials: int
    known: int
    encoders: int
    seconds: float | None

    def sentence(self) -> str:
        made = f"{self.encoders} encoder(s) to pre-train, " if self.encoders else ""
        left = self.trials or self.encoders
        time = f", about {duration(self.seconds)}" if left and self.seconds is not None else ""
        return f"{made}{self.trials} runs to make, {self.known} known{time}"


class _Unknown(Exception):
    """How long a benchmark takes cannot be told without trying."""


def estimate(grid: Grid, waiting: Sequence[Trial] | None = None, workers: int = 1, *, tries: bool = True) -> Estimate:
    """What is left, at the speed that finished trials or short runs show.

    `waiting` None looks which trials have results. Where `tries`, a short run is made of each system without results;
    otherwise the time stays unknown where there is one, and where it cannot be told within a second.
    """
    trials = grid.trials()
    if waiting is None:
        waiting = [trial for trial in trials if known_record(trial, grid.out) is None]
    encoders = [name for name in grid.encoders() if not is_ready(name, grid.out)]
    told = Estimate(len(waiting), len(trials) - len(waiting), len(encoders), None)
    try:
        with silenced():
            return replace(told, seconds=_Speeds(grid, tries).seconds(waiting, encoders) / max(1, workers))
    except _Unknown:
        return told


def bases_read(data: TaskData, training_bases: int) -> int:
    """Bases that a run on the dataset reads, those of its training passes counted three times for the backward half."""
    return int(3 * training_bases + data.dev.lengths.sum() + data.test.lengths.sum())


class _Speeds:
    """Seconds per base of each system, each found out once."""

    def __init__(self, grid: Grid, tries: bool) -> None:
        self.grid, self.tries = grid, tries
        self.until = time.monotonic() + GLANCE
        self.known: dict[str, float] = {}

    def seconds(self, waiting: Sequence[Trial], encoders: Sequence[str]) -> float:
        """Of all waiting trials, averages by what their members wait for; runs that no seed changes count once."""
        systems = {name: self.grid.system(name) for name in dict.fromkeys(trial.system for trial in waiting)}
        singles = {single.name: single for system in systems.values() for single in system.singles}
        runs = {
            (trial.protocol, trial.dataset, single.name, 0 if single.is_seedless else trial.seed)
            for trial in waiting
            for single in systems[trial.system].singles
            if known_record(replace(trial, system=single.name), self.grid.out) is None
        }
        # Speeds first: where one is unknown, no dataset needs to be read.
        total = self._of_encoders(encoders)
        speeds = {name: self._of(name) for name in dict.fromkeys(run[2] for run in sorted(runs))}
        sizes: dict[tuple[str, str, str], int] = {}
        for place in dict.fromkeys((trial.protocol, trial.dataset) for trial in waiting):
            if not self.tries and time.monotonic() > self.until:
                raise _Unknown
            data = self.grid.data(*place)
            once = int(data.train.lengths.sum())
            for name, single in singles.items():
                sizes[*place, name] = bases_read(data, (single.epochs or data.epochs) * once)
        return total + sum(speeds[name] * sizes[protocol, dataset, name] for protocol, dataset, name, _ in runs)

    def _of(self, system: str) -> float:
        """Of finished trials of the system, or of a short run."""
        encoder = self.grid.system(system).encoder
        # All encoders that are not made yet are timed as one.
        timed = system if encoder is None or is_ready(encoder, self.grid.out) else STAND_IN
        if timed not in self.known:
            trials = dict.fromkeys(replace(trial, system=system) for trial in self.grid.trials())
            found = [record for trial in trials if (record := known_record(trial, self.grid.out))]
            if not found and not self.tries:
                raise _Unknown
            self.known[timed] = statistics.median(map(_speed_of, found)) if found else _short_run(self.grid, system)
        return self.known[timed]

    def _of_encoders(self, names: Sequence[str]) -> float:
        """Seconds of all pre-trainings, at the speed of one, and of the vocabularies that are learned first."""
        trained = [name for name in names if OWN_ENCODERS[name].is_trained]
        if not trained:
            return 0.0
        if not self.tries:
            raise _Unknown
        from vqdna.config import load_config
        from vqdna.pretrain.train import plan_pretrain
        from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary

        own, genomes = OWN_ENCODERS[STAND_IN], self.grid.genomes
        one = plan_pretrain(pretraining_of(own, self.grid.budget), tokenizer=own.tokenizer, genomes=genomes, seed=0)
        kinds = [OWN_ENCODERS[name].tokenizer.partition(":") for name in trained]
        learned = [load_config(VocabularyConfig, name, "vocabulary") for kind, _, name in kinds if kind == "vocabulary"]
        plans = [plan_vocabulary(config, genomes=genomes, seed=0) for config in learned]
        return len(trained) * one.seconds + sum(plan.seconds for plan in plans)


def _speed_of(record: TrialRecord) -> float:
    """Seconds per base of a finished trial; its dataset's size is guessed from what it trained on."""
    counts = record.num_sequences or {}
    read = record.training_bases or 0
    per_sequence = read / max(1, record.epochs * counts.get("train", 1))
    scored = counts.get("dev", 0) + counts.get("test", 0)
    return record.seconds / max(1.0, 3 * read + scored * per_sequence)


def _short_run(grid: Grid, name: str) -> float:
    """Seconds per base of one pass over some sequences of the first dataset."""
    dataset, protocol = next(iter(grid.datasets.items()))
    system = grid.system(name)
    length = grid.data(protocol, dataset).train.lengths.mean()
    count = max(LEAST_RECORDS, min(SHORT_RECORDS, int(SHORT_BASES / length)))
    limits = grid.budget.model_copy(update={"max_train": count, "max_dev": count, "max_epochs": 1})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = grid.data(protocol, dataset, limits)
        test = limited(data.test, count, DRAW_SEED)
        data = replace(data, test=test, unseen=data.unseen[: len(test)], folder=folder / "shared")
        order = Order(data, system.candidates[0], 0, folder / "run", epochs=1)
        if system.encoder and not is_ready(system.encoder, grid.out):
            encoder = untrained_encoder(OWN_ENCODERS[STAND_IN], grid.budget, (), folder)
            encoder.save_pretrained(folder / "model")
            outcome = run_budgeted(folder / "model", grid.budget.finetune, order)
        else:
            assert system.run is not None  # averages are timed by their members
            outcome = system.run(order)
    return outcome.details.seconds / bases_read(data, outcome.details.training_bases or 0)
