"""The main numbers of many runs in one JSON file: run folders -> records without the long lists (usage, code map)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqdna.reports.runs import find_runs
from vqdna.results import write_json

LONG_LISTS = ("code_usage", "code_map")


def write_summary(runs: Sequence[Path], out: Path) -> None:
    """JSON object at `out`: each run's name below the folder they share, and its results without the long lists.

    Raises:
        InputError: a path does not exist, no run is found, or a run's file is broken.
    """
    records = {
        run.name: {key: value for key, value in run.results.items() if key not in LONG_LISTS}
        for run in find_runs([Path(path) for path in runs])
    }
    write_json(out, {"runs": records})
