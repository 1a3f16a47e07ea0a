"""The main numbers of many runs in one JSON file: run folders -> records without the long lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vqdna.reports.runs import find_runs
from vqdna.results import write_json

LONG_LISTS = ("code_usage", "code_map", "cells", "codes")


def write_summary(runs: Sequence[Path], out: Path) -> None:
    """JSON object at `out`: each run's name below the folder they share, and its results without the long lists.

    Raises:
        InputError: a path does not exist, no run is found, or a run's file is broken.
    """
    records = {run.name: without_long_lists(run.record) for run in find_runs([Path(path) for path in runs])}
    write_json(out, {"runs": records})


def without_long_lists(record: object) -> Any:
    """Record without its long lists, at any depth: usage and map of codes, a study's cells, an audit's codes."""
    if isinstance(record, Mapping):
        kept = {key: value for key, value in record.items() if key not in LONG_LISTS or not isinstance(value, list)}
        return {key: without_long_lists(value) for key, value in kept.items()}
    return [without_long_lists(item) for item in record] if isinstance(record, list) else record
