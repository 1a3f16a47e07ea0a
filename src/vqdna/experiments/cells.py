"""The one engine for experiments of many runs: resumable, and shared by as many processes as are started on a folder.

Flow: cells in order -> those without a record -> for each, unless another process has its lock, run it and keep its
record. What is called a cell here is a run, a trial or a step to a user. It must not know what a cell is about.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from vqdna.errors import InputError
from vqdna.experiments.locks import BusyError, locked

PATIENCE = 1.0
"""Seconds until a process looks again whether others have finished what it waits for."""

RecordT = TypeVar("RecordT")


class Cell(ABC, Generic[RecordT]):
    """One unit of an experiment, which is done once its record lies in a file."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What progress calls it."""

    @property
    @abstractmethod
    def lock(self) -> Path:
        """Folder that is locked while the cell runs.

        Neighbors with the same folder run under one lock, one after another: for cells that share costly preparation.
        """

    @property
    def is_ready(self) -> bool:
        return True

    @abstractmethod
    def known(self) -> RecordT | None:
        """The record that an earlier call wrote, or None; see `vqdna.experiments.records.known_record`.

        Raises:
            InputError: the file is damaged, or was made with other settings.
        """

    @abstractmethod
    def run(self) -> RecordT:
        """Makes the record and writes its file, as the last thing.

        Raises:
            BusyError: another process is making something that the cell needs.
            LeftOutError: the cell cannot run here; it stays without a record.
        """

    @abstractmethod
    def told(self, record: RecordT) -> str:
        """The record in a few words, for progress."""


class LeftOutError(Exception):
    """A cell is not run, for the reason that the error names; nothing is wrong with the others."""


def progress_on(console: Console | None) -> Callable[[str], None]:
    """What `run_cells` tells, as lines on a console; None is standard error."""
    shown = console or Console(stderr=True)
    return lambda text: shown.print(text, markup=False, soft_wrap=True)


def run_cells(
    cells: Sequence[Cell[Any]],
    tell: Callable[[str], None],
    *,
    waits: bool = False,
    keeps_going: bool = False,
    after: Callable[[], object] | None = None,
) -> list[str]:
    """Runs every cell that has no record and that no other process is at; gives the names of those that failed.

    Args:
        cells: in the order in which they are run.
        tell: is given a line for each cell.
        waits: until other processes have finished theirs, so that at the end every cell is done; otherwise cells that
            another process is at are left to it.
        keeps_going: where a cell fails by an `InputError`, such as a training that diverges, go on with the others.
        after: called after each group of cells under one lock, before the lock ends; to write a summary.

    Raises:
        InputError: a record was made with other settings (before any cell runs), or a cell failed.
    """
    waiting = [cell for cell in cells if cell.known() is None]
    failed: list[str] = []
    while waiting:
        left: list[Cell[Any]] = []
        for folder, neighbors in groupby(waiting, key=lambda cell: cell.lock):
            # What another process finished while this one ran others needs no lock, and no word.
            group = [cell for cell in neighbors if not (waits and cell.known() is not None)]
            ready = [cell for cell in group if cell.is_ready]
            left += [cell for cell in group if not cell.is_ready]
            if not ready:
                continue
            with locked(folder) as ours:
                if ours:
                    left += _run_group(ready, tell, failed, keeps_going)
                    if after is not None:
                        after()
                elif waits:
                    left += ready
                else:
                    for cell in ready:
                        tell(f"{cell.name}: another process is at it")
        if not waits:
            break
        if len(left) == len(waiting):  # nothing got done: what is left hangs on others
            time.sleep(PATIENCE)
        waiting = left
    return failed


def _run_group(
    cells: Iterable[Cell[Any]], tell: Callable[[str], None], failed: list[str], keeps_going: bool
) -> list[Cell[Any]]:
    """Runs cells whose lock this process holds; gives those that have to wait."""
    left = []
    for cell in cells:
        # Asked again under the lock: another process may have finished it between the first look and the lock.
        record = cell.known()
        ending = " (known)"
        try:
            if record is None:
                record, ending = cell.run(), ""
        except BusyError:
            left.append(cell)
        except LeftOutError as reason:
            tell(f"{cell.name}: left out, {reason}")
        except InputError as error:
            if not keeps_going:
                raise
            failed.append(cell.name)
            tell(f"{cell.name}: failed, {error}")
        else:
            tell(f"{cell.name}: {cell.told(record)}{ending}")
    return left
