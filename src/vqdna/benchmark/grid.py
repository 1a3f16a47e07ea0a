"""The units of a benchmark and how processes share them: encoders to make first, then the cells, seed by seed.

Flow: Grid -> units in order -> each process takes the first that is neither done nor another's, until none is left.
Seed by seed, so that a benchmark that is cut short has whole tables of fewer seeds. It must not know how a unit works.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vqdna.benchmark.budget import Budget
from vqdna.benchmark.trials import Cell, known_record, run_cell
from vqdna.benchmark.encoders import is_ready, prepare_encoder
from vqdna.benchmark.outcomes import Record
from vqdna.benchmark.protocols import Protocol, TaskData, read_task_data
from vqdna.benchmark.systems import System, find_system
from vqdna.experiments.locks import BusyError, claimed

PATIENCE = 1.0
"""Seconds until a process looks again whether others have finished what it waits for."""

CLAIMS = "claims"
"""Folder of the claims on encoders: a run folder has to be empty when its run starts."""

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

    def cells(self) -> list[Cell]:
        """All cells, in the order in which they are run."""
        return [
            Cell(protocol, system, name, seed)
            for seed in self.seeds
            for name, protocol in self.datasets.items()
            for system in self.systems
        ]

    def rivals(self) -> list[str]:
        """Encoders that cells need and that the benchmark makes."""
        return list(dict.fromkeys(rival for name in self.systems for rival in self.system(name).rivals))

    def tokenizers(self) -> list[str]:
        """Specs of the tokenizers that cells load."""
        return list(dict.fromkeys(spec for name in self.systems for spec in self.system(name).tokenizers))

    def data(self, protocol: Protocol, name: str) -> TaskData:
        """Data of a dataset, the last read one from memory."""
        key = (protocol, name)
        if key not in self._data:
            self._data.clear()
            self._data[key] = read_task_data(name, protocol, self.budget, self.out, self.data_root)
        return self._data[key]


def work_through(grid: Grid, tell: Tell) -> None:
    """Runs what is left of the grid, until every unit is done by this process or another."""
    waiting: list[str | Cell] = [*grid.rivals(), *grid.cells()]
    while waiting:
        left = [unit for unit in waiting if not _attempt(unit, grid, tell)]
        if len(left) == len(waiting):
            time.sleep(PATIENCE)
        waiting = left


def _attempt(unit: str | Cell, grid: Grid, tell: Tell) -> bool:
    """Whether the unit is done, now or before."""
    return _attempt_cell(unit, grid, tell) if isinstance(unit, Cell) else _attempt_encoder(unit, grid, tell)


def _attempt_encoder(name: str, grid: Grid, tell: Tell) -> bool:
    if is_ready(name, grid.out):
        return True
    with claimed(grid.out / CLAIMS / name) as ours:
        if not ours:
            return False
        tell(f"encoder of {name}: tokenizer and pre-training")
        prepare_encoder(name, grid.budget, grid.genomes, grid.out)
    tell(f"encoder of {name}: ready")
    return True


def _attempt_cell(cell: Cell, grid: Grid, tell: Tell) -> bool:
    if known_record(cell, grid.out) is not None:
        return True
    system = grid.system(cell.system)
    if not all(is_ready(rival, grid.out) for rival in system.rivals):
        return False
    with claimed(cell.folder(grid.out)) as ours:
        if not ours:
            return False
        if known_record(cell, grid.out) is None:
            try:
                record = run_cell(cell, system, lambda name: grid.data(cell.protocol, name), grid.budget, grid.out)
            except BusyError:
                return False
            tell(told(cell, record))
    return True


def told(cell: Cell, record: Record) -> str:
    """A finished cell in one line."""
    score = record["test"].get("mcc")
    shown = "undefined" if score is None else f"{100 * score:.1f}"
    chance = " (at chance)" if record.get("collapsed") else ""
    return (
        f"{cell.protocol} {cell.dataset} {cell.system} seed {cell.seed}:"
        f" test MCC {shown}{chance} ({record['seconds']:.0f} s)"
    )
