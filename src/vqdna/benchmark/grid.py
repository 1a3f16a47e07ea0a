"""Everything that a benchmark runs: encoders to make first, then the trials, seed by seed.

Flow: Grid -> cells in order -> `vqdna.experiments.cells`, until every one is done by this process or another. Seed by
seed, so that a benchmark that is cut short has whole tables of fewer seeds. It must not know how a system works.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqdna.benchmark.budget import Budget
from vqdna.benchmark.encoders import is_ready, prepare_encoder
from vqdna.benchmark.outcomes import Record
from vqdna.benchmark.protocols import Protocol, TaskData, read_task_data
from vqdna.benchmark.systems import System, find_system
from vqdna.benchmark.trials import Trial, known_record, run_trial
from vqdna.experiments.cells import Cell, run_cells

LOCKS = "locks"
"""Folder of the locks on encoders: a run folder has to be empty when its run starts."""

Tell = Callable[[str], None]


@dataclass
class Grid:
    """Everything that is to be run.

    Attributes:
        systems: names as `find_system` takes them.
        datasets: names in the registry, and the protocol of each.
        seeds: of fine-tunings.
        budget: limits for all.
        out: folder of the benchmark.
        genomes: files from which tokenizers learn and encoders are pre-trained.
        data_root: None is where `find_data_root` finds it.
    """

    systems: Sequence[str]
    datasets: dict[str, Protocol]
    seeds: Sequence[int]
    budget: Budget
    out: Path
    genomes: Sequence[Path] = ()
    data_root: Path | None = None
    _data: dict[tuple[str, str], TaskData] = field(default_factory=dict, repr=False)

    def system(self, name: str) -> System:
        """System called `name`."""
        return find_system(name, self.budget, self.out)

    def trials(self) -> list[Trial]:
        """All trials, in the order in which they are run."""
        return [
            Trial(protocol, system, name, seed)
            for seed in self.seeds
            for name, protocol in self.datasets.items()
            for system in self.systems
        ]

    def rivals(self) -> list[str]:
        """Encoders that trials need and that the benchmark makes."""
        return list(dict.fromkeys(rival for name in self.systems for rival in self.system(name).rivals))

    def tokenizers(self) -> list[str]:
        """Specs of the tokenizers that trials load."""
        return list(dict.fromkeys(spec for name in self.systems for spec in self.system(name).tokenizers))

    def data(self, protocol: Protocol, name: str) -> TaskData:
        """Data of a dataset, the last read one from memory."""
        key = (protocol, name)
        if key not in self._data:
            self._data.clear()
            self._data[key] = read_task_data(name, protocol, self.budget, self.out, self.data_root)
        return self._data[key]


def work_through(grid: Grid, tell: Tell) -> None:
    """Runs what is left of the grid, until every part is done by this process or another."""
    encoders = [_EncoderCell(name, grid, tell) for name in grid.rivals()]
    trials = [_TrialCell(trial, grid) for trial in grid.trials()]
    run_cells([*encoders, *trials], tell, waits=True)


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
class _TrialCell(Cell[Record]):
    """A trial of the grid."""

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
        return all(is_ready(rival, self.grid.out) for rival in self.grid.system(self.trial.system).rivals)

    def known(self) -> Record | None:
        return known_record(self.trial, self.grid.out)

    def run(self) -> Record:
        trial, grid = self.trial, self.grid
        system = grid.system(trial.system)
        return run_trial(trial, system, lambda name: grid.data(trial.protocol, name), grid.budget, grid.out)

    def told(self, record: Record) -> str:
        score = record["test"].get("mcc")
        shown = "undefined" if score is None else f"{100 * score:.1f}"
        chance = " (no better than chance)" if record.get("collapsed") else ""
        return f"test MCC {shown}{chance} ({record['seconds']:.0f} s)"
