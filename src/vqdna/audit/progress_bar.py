"""Progress of an audit on the terminal: one bar over the bases still to be encoded, with the time that is left."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vqdna.quiet import is_watched


class AuditProgress:
    """Bar on standard error; silent where that is no terminal or the user asked for quiet.

    Args:
        total_bases: bases that the tokenizers will read in all.
    """

    def __init__(self, total_bases: int) -> None:
        columns = (
            TextColumn("audit {task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        )  # fmt: skip
        self._progress = Progress(*columns, console=Console(stderr=True), disable=not is_watched())
        self._task = self._progress.add_task("", total=total_bases)

    def __enter__(self) -> AuditProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, num_bases: int) -> None:
        """Notes that so many bases were read."""
        self._progress.advance(self._task, num_bases)

    def describe(self, text: str) -> None:
        """Says what is being done."""
        self._progress.update(self._task, description=text)
