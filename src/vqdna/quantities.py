"""How the project writes durations, sizes in bytes and tables, in reports, summaries, plans and progress alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_TIMES = ((31_557_600, "years", 0), (86_400, "days", 0), (3600, "h", 1), (60, "min", 0))


def duration(seconds: float) -> str:
    """The time in the unit that suits it: 3.2 s, 12 s, 4 min, 3.5 h, 20 days, 3 years."""
    for size, unit, digits in _TIMES:
        if seconds >= 1.5 * size:
            return f"{seconds / size:,.{digits}f} {unit}"
    return f"{seconds:.{1 if seconds < 9.95 else 0}f} s"


def bytes_of(count: float) -> str:
    """The size with three digits in decimal units: 512 B, 1.5 kB, 28.3 MB, 141 GB."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table with its last line ended."""
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"
