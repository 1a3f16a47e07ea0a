"""Run folders as the report sees them: found below the paths a user names, read from files only.

Flow: paths -> folders with a results.json of a known stage -> `Run` (results, metrics, configuration, manifest). Only
results.json is required. The runs of a study are one run together, and so are those of a benchmark that has a
summary. Must not know what any stage computes, and trusts no value: what is not a finite number counts as none.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from vqdna.errors import InputError
from vqdna.results import METRICS_FILE, RESULTS_FILE, read_json, read_metrics
from vqdna.stage_results import StageResults, finite, read_results

STAGES = ("vocabulary", "pretrain", "finetune", "probe", "benchmark", "study", "audit")
SUMMARY_FILE = "summary.json"
JsonObject = Mapping[str, object]
Results = TypeVar("Results", bound=StageResults)


@dataclass(frozen=True)
class Run:
    """One run folder: its name in the report and what its files hold.

    Attributes:
        name: path below the folder that all runs share.
    """

    name: str
    record: JsonObject
    metrics: Sequence[JsonObject] = ()
    config: str = ""
    manifest: JsonObject = field(default_factory=dict)

    @cached_property
    def results(self) -> StageResults:
        """The typed record of the run's stage."""
        return read_results(self.record)

    @property
    def stage(self) -> str:
        return self.results.stage

    @property
    def system(self) -> str:
        """System under test as the run names itself; the run's name where it names none."""
        return self.results.system or self.name

    @property
    def seed(self) -> int | None:
        return None if self.results.seed is None else int(self.results.seed)

    def text(self, key: str) -> str:
        """Text below `key` of the record, or an empty string."""
        value = self.record.get(key)
        return "" if value is None or isinstance(value, dict | list) else str(value)

    def items(self, key: str) -> list[object]:
        """List below `key` of the record, or an empty list."""
        value = self.record.get(key)
        return value if isinstance(value, list) else []

    def series(self, key: str, against: str = "step") -> tuple[list[float], list[float]]:
        """Ascending `against` values and the values of `key` there, from the metrics."""
        points: dict[float, float] = {}
        for record in self.metrics:
            x, y = number(record.get(against)), number(record.get(key))
            if x is not None and y is not None:
                points[x] = y  # a resumed run repeats the steps after its last checkpoint: the later record counts
        return sorted(points), [points[x] for x in sorted(points)]


def of_kind(runs: Iterable[Run], kind: type[Results]) -> list[tuple[Run, Results]]:
    return [(run, run.results) for run in runs if isinstance(run.results, kind)]


def number(value: object) -> float | None:
    """The value as a float where it is a finite number, else None (text, booleans, NaN, nothing)."""
    found = finite(value)
    return None if found is None else float(found)


def nested(record: object, *keys: str) -> object:
    """Value below nested `keys` of JSON objects, or None where one of them is missing."""
    for key in keys:
        record = record.get(key) if isinstance(record, Mapping) else None
    return record


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Runs in and below `paths`, in the order of the stages and, within a stage, of the paths; each once.

    A results.json without a known `stage` (a summary beside the runs) is passed over; hidden folders are not searched.
    A benchmark is known by its summary.json, with its runs beside it or without them.

    Raises:
        InputError: a path does not exist, a file in a run folder is broken, or no run is found.
    """
    paths = list(paths)
    summaries: dict[Path, JsonObject] = {}
    records: dict[Path, JsonObject] = {}
    for path in paths:
        for file in _files(path, SUMMARY_FILE):
            if is_benchmark_summary(record := read_json(file)):
                summaries[file.parent.resolve()] = record
        for file in _files(path, RESULTS_FILE):
            record = read_json(file)
            # A saved encoder may carry its vocabulary's folder along: the same record, not a second run.
            if record.get("stage") in STAGES and record not in records.values():
                records[file.parent.resolve()] = record
    if not records and not summaries:
        named = ", ".join(str(path) for path in paths) or "no folder"
        raise InputError(
            f"no run in {named}: wanted a folder that holds, at any depth, a {RESULTS_FILE} with a 'stage', or the "
            f"{SUMMARY_FILE} of a benchmark"
        )
    stages = {folder: record["stage"] for folder, record in records.items()}
    # A study's folders are OUT/<row>/seed-<n>; its runs, and those inside a benchmark's, are told of by the whole.
    studies = dict.fromkeys(folder.parent.parent for folder, stage in stages.items() if stage == "study")
    wholes = {folder for folder, stage in stages.items() if stage == "benchmark"} | set(studies)
    alone = [
        folder
        for folder, stage in stages.items()
        if wholes.isdisjoint(folder.parents)
        and not (stage == "benchmark" and any(parent in summaries for parent in folder.parents))
    ]
    folders = dict.fromkeys([*alone, *studies, *summaries])
    shared = os.path.commonpath([folder.parent for folder in folders])
    runs = []
    for folder in folders:
        name = folder.relative_to(shared).as_posix()
        if folder in summaries:
            runs.append(_read_benchmark(folder, name, summaries[folder], records))
        else:
            runs.append((_read_study if folder in studies else _read_run)(folder, name, records))
    return sorted(runs, key=lambda run: STAGES.index(run.stage))


def is_benchmark_summary(record: JsonObject) -> bool:
    """Whether the record sums up a benchmark: rows that name a protocol, a system and a dataset."""
    rows = record.get("rows")
    first = rows[0] if isinstance(rows, list) and rows else None
    return all(isinstance(nested(first, key), str) for key in ("protocol", "system", "dataset"))


def is_benchmark(run: Run) -> bool:
    """Whether the run is a whole benchmark and not one run of it."""
    return run.stage == "benchmark" and "rows" in run.record


def _files(path: Path, name: str) -> list[Path]:
    """Every file of that name in and below `path`, sorted; `path` may also be a file that reports are made of."""
    if path.is_file() and path.name in (RESULTS_FILE, SUMMARY_FILE):
        return [path] if path.name == name else []
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder")
    found = path.rglob(name)
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _read_run(folder: Path, name: str, records: Mapping[Path, JsonObject]) -> Run:
    """Run in `folder`; missing files stay empty, those of a benchmark's run come from the run inside it."""
    inner = [other for other in records if folder in other.parents] if records[folder]["stage"] == "benchmark" else []
    files = inner[0] if inner else folder
    metrics, config = files / METRICS_FILE, files / "run.yaml"
    lines = [line for line in read_metrics(metrics) if isinstance(line, dict)] if metrics.exists() else []
    text = config.read_text(errors="replace") if config.exists() else ""
    return Run(name, records[folder], lines, text, _manifest(files))


def _manifest(folder: Path) -> JsonObject:
    file = folder / "manifest.json"
    return read_json(file) if file.exists() else {}


def _read_study(folder: Path, name: str, records: Mapping[Path, JsonObject]) -> Run:
    """All runs found in a study's folder as one: `cells`, and the `rows` of its summary where there is one.

    Time is that of all; genomes and versions are those of the first vocabulary trained in one.
    """
    inside = {path: record for path, record in sorted(records.items()) if folder in path.parents}
    cells = [record for path, record in inside.items() if path.parent.parent == folder and record["stage"] == "study"]
    trained = next((path for path, record in inside.items() if record["stage"] == "vocabulary"), folder)
    summary = folder / SUMMARY_FILE
    record = {
        "stage": "study",
        "study": next((cell["study"] for cell in cells if isinstance(cell.get("study"), str)), ""),
        "command": "\n".join(dict.fromkeys(str(cell["command"]) for cell in cells if "command" in cell)),
        "seconds": _seconds(cells),
        "genomes": records[trained].get("genomes") if trained in records else None,
        "cells": cells,
        "rows": read_json(summary).get("rows") if summary.exists() else None,
    }
    return Run(name, record, manifest=_manifest(trained))


def _read_benchmark(folder: Path, name: str, summary: JsonObject, records: Mapping[Path, JsonObject]) -> Run:
    """A whole benchmark: its summary, with time and versions of its runs where they are there."""
    inside = [path for path in sorted(records) if folder in path.parents]
    own = [records[path] for path in inside if records[path]["stage"] == "benchmark"]
    # A result that stands for another seed's, as its system is the same for all, took no time; nor did an average,
    # whose members count by themselves.
    spent = [record for record in own if not record.keys() & {"same_as_seed", "members"}]
    manifest = next((found for path in inside if (found := _manifest(path))), {})
    return Run(name, {**summary, "stage": "benchmark", "seconds": _seconds(spent)}, manifest=manifest)


def _seconds(records: Iterable[JsonObject]) -> float | None:
    return sum(seconds for record in records if (seconds := number(record.get("seconds"))) is not None) or None
