"""About how long the rest of a benchmark takes, before it starts.

Flow: cells that wait -> bases each has to read -> seconds per base, of finished cells of the system where there are
some, else of a trial on some hundred sequences; encoders that are to be made -> the plan of one pre-training. It must
not write into the benchmark's folder.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vqdna.benchmark.encoders import RIVALS, is_ready, pretraining_of
from vqdna.benchmark.grid import Grid
from vqdna.benchmark.outcomes import Record
from vqdna.benchmark.protocols import DRAW_SEED, TaskData, read_task_data
from vqdna.benchmark.systems import ONLY, STRANDS, run_encoder
from vqdna.benchmark.trials import Trial, known_record
from vqdna.quiet import silenced
from vqdna.tasks.loading import limited

TRIAL_RECORDS, TRIAL_BASES, LEAST_RECORDS = 256, 1 << 16, 32
"""Sequences of a trial: fewer where they are long, but never so few that starting is all that is timed."""

STAND_IN = "nucleotide"
"""Tokenizer whose untrained encoder is timed for all encoders that are not made yet."""


@dataclass(frozen=True)
class Estimate:
    """What is left of a benchmark.

    Attributes:
        cells: that wait.
        known: that have results.
        encoders: to be made first.
        seconds: of all that, by the processes together.
    """

    cells: int
    known: int
    encoders: int
    seconds: float

    def sentence(self) -> str:
        """In words."""
        made = f"{self.encoders} encoder(s) to pre-train, " if self.encoders else ""
        time = f", about {_duration(self.seconds)}" if self.cells or self.encoders else ""
        return f"{made}{self.cells} cells to run, {self.known} known{time}"


def estimate(grid: Grid, waiting: Sequence[Trial], workers: int = 1) -> Estimate:
    """What is left, at the speed that finished cells or a trial show."""
    encoders = [name for name in grid.rivals() if not is_ready(name, grid.out)]
    total = _encoder_seconds(grid, encoders) + _cell_seconds(grid, waiting)
    return Estimate(len(waiting), len(grid.trials()) - len(waiting), len(encoders), total / max(1, workers))


def bases_read(data: TaskData, training_bases: int) -> int:
    """Bases that a run on the dataset reads, those of its training passes counted three times for the backward half."""
    return int(3 * training_bases + data.dev.lengths.sum() + data.test.lengths.sum())


def _cell_seconds(grid: Grid, waiting: Sequence[Trial]) -> float:
    """Seconds of all waiting cells, averages by what their members wait for; runs that no seed changes count once."""
    if not waiting:
        return 0.0
    systems = {name: grid.system(name) for name in dict.fromkeys(cell.system for cell in waiting)}
    singles = {single.name: single for system in systems.values() for single in system.singles}
    sizes = {}
    for place in dict.fromkeys((cell.protocol, cell.dataset) for cell in waiting):
        data = grid.data(*place)
        once = int(data.train.lengths.sum())
        for name, single in singles.items():
            sizes[*place, name] = bases_read(data, (single.epochs or data.epochs) * once)
    runs = {
        (cell.protocol, cell.dataset, single.name, 0 if single.is_seedless else cell.seed)
        for cell in waiting
        for single in systems[cell.system].singles
        if known_record(replace(cell, system=single.name), grid.out) is None
    }
    speeds: dict[str, float] = {}
    for system in dict.fromkeys(run[2] for run in runs):
        timed = _timed_as(grid, system)
        speeds[system] = speeds[timed] if timed in speeds else _seconds_per_base(grid, system)
        speeds[timed] = speeds[system]
    return sum(speeds[system] * sizes[protocol, name, system] for protocol, name, system, _ in runs)


def _timed_as(grid: Grid, system: str) -> str:
    """Name under which a system's speed is known: all encoders that are not made yet are timed as one."""
    rival = grid.system(system).rival
    return system if rival is None or is_ready(rival, grid.out) else STAND_IN


def _seconds_per_base(grid: Grid, system: str) -> float:
    cells = dict.fromkeys(replace(cell, system=system) for cell in grid.trials())
    known = [record for cell in cells if (record := known_record(cell, grid.out))]
    return statistics.median(map(_speed_of, known)) if known else _trial(grid, system)


def _speed_of(record: Record) -> float:
    """Seconds per base of a finished cell; its dataset's size is guessed from what it trained on."""
    counts = record["num_sequences"]
    per_sequence = record["training_bases"] / max(1, record.get("epochs", 1) * counts["train"])
    return record["seconds"] / (3 * record["training_bases"] + (counts["dev"] + counts["test"]) * per_sequence)  # type: ignore[no-any-return]


def _trial(grid: Grid, name: str) -> float:
    """Seconds per base of one pass over some sequences of the first dataset."""
    dataset, protocol = next(iter(grid.datasets.items()))
    system = grid.system(name)
    length = grid.data(protocol, dataset).train.lengths.mean()
    count = max(LEAST_RECORDS, min(TRIAL_RECORDS, int(TRIAL_BASES / length)))
    with tempfile.TemporaryDirectory() as folder:
        data = _few(
            read_task_data(
                dataset,
                protocol,
                grid.budget.model_copy(update={"max_train": count, "max_dev": count, "max_epochs": 1}),
                Path(folder),
                grid.data_root,
            ),
            count,
        )
        if system.rival and not is_ready(system.rival, grid.out):
            outcome = run_encoder(
                _stand_in(grid, Path(folder)),
                grid.budget.finetune,
                (*STRANDS["both-strands"], "training.epochs=1"),
                data,
                ONLY,
                0,
                Path(folder),
            )
        else:
            outcome = (system.trial or system.run)(data, system.candidates[0], 0, Path(folder) / "run")
    return float(outcome.details["seconds"]) / bases_read(data, outcome.details["training_bases"])


def _few(data: TaskData, count: int) -> TaskData:
    """The data with a short test split."""
    test = limited(data.test, count, DRAW_SEED)
    return replace(data, test=test, unseen=data.unseen[: len(test)])


def _stand_in(grid: Grid, folder: Path) -> Path:
    """An untrained encoder of the budget's shape."""
    from vqdna.pretrain.train import frozen_tokenizer, untrained_model

    rival = RIVALS[STAND_IN]
    config = pretraining_of(rival, grid.budget)
    untrained_model(config, frozen_tokenizer(config, rival.tokenizer)).encoder.save_pretrained(folder / "model")
    return folder / "model"


def _encoder_seconds(grid: Grid, names: Sequence[str]) -> float:
    """Seconds of all pre-trainings, at the speed of one, and of the vocabularies that are learned first."""
    from vqdna.config import load_config
    from vqdna.pretrain.train import plan_pretrain
    from vqdna.vocabulary.train import VocabularyConfig, plan_vocabulary

    trained = [name for name in names if RIVALS[name].is_trained]
    if not trained:
        return 0.0
    rival = RIVALS[STAND_IN]
    one = plan_pretrain(pretraining_of(rival, grid.budget), tokenizer=rival.tokenizer, genomes=grid.genomes, seed=0)
    kinds = [RIVALS[name].tokenizer.partition(":") for name in trained]
    learned = [config for kind, _, config in kinds if kind == "vocabulary"]
    plans = [
        plan_vocabulary(load_config(VocabularyConfig, config, "vocabulary"), genomes=grid.genomes, seed=0)
        for config in learned
    ]
    return len(trained) * one.seconds + sum(plan.seconds for plan in plans)


def _duration(seconds: float) -> str:
    for size, unit, digits in ((86_400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"


def estimated(grid: Grid, workers: int) -> Estimate:
    """What is left of a grid and about how long it takes."""
    waiting = [cell for cell in grid.trials() if known_record(cell, grid.out) is None]
    with silenced():
        return estimate(grid, waiting, workers)
