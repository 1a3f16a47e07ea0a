"""A benchmark while it runs: on a terminal a table that fills up, elsewhere a line for each finished trial.

Flow: messages of the processes + results files -> a row for each system: trials done, mean score so far, time. It must
not know how a trial runs.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vqdna.benchmark.grid import Grid, Trial
from vqdna.benchmark.results import Score, TrialRecord
from vqdna.benchmark.trials import known_record
from vqdna.quiet import is_quiet

REFRESHES_PER_SECOND = 0.5
LAST_MESSAGES = 3


class LiveTable:
    """Shows what a benchmark does; a context within which it runs."""

    def __init__(self, grid: Grid, console: Console) -> None:
        self.grid, self.console = grid, console
        self.trials = grid.trials()
        self.records: dict[Trial, TrialRecord] = {}
        self.messages: list[str] = []
        self.is_quiet = is_quiet()
        live = Live(get_renderable=self.render, console=console, refresh_per_second=REFRESHES_PER_SECOND)
        self.live = live if console.is_terminal and not self.is_quiet else None

    def __enter__(self) -> LiveTable:
        self._look()
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()
        elif not self.is_quiet and kind is None:
            self.console.print(self.table())

    def tell(self, message: str) -> None:
        self.messages.append(message)
        if not self.live and not self.is_quiet:
            self._look()
            count = f"[{len(self.records)}/{len(self.trials)}]"
            self.console.print(f"{count} {message}", markup=False, soft_wrap=True)

    def follow(self, told: Queue[str], processes: Sequence[BaseProcess]) -> None:
        while any(process.is_alive() for process in processes) or not told.empty():
            try:
                self.tell(told.get(timeout=1 / REFRESHES_PER_SECOND / 2))
            except queue.Empty:
                continue

    def render(self) -> Group:
        self._look()
        return Group(self.table(), *(Text(message) for message in self.messages[-LAST_MESSAGES:]))

    def table(self) -> Table:
        table = Table("system", "trials", "mean MCC so far", "seconds a trial")
        for system in self.grid.systems:
            own = [trial for trial in self.trials if trial.system == system]
            known = [self.records[trial] for trial in own if trial in self.records]
            score = Score.of(record.test.mcc for record in known)
            seconds = Score.of(record.seconds for record in known).text(0, 1, with_sd=False)
            table.add_row(system, f"{len(known)}/{len(own)}", score.text(with_sd=False), seconds)
        return table

    def _look(self) -> None:
        """Reads the results of trials that were finished since."""
        for trial in self.trials:
            if trial not in self.records and (record := known_record(trial, self.grid.out)):
                self.records[trial] = record
