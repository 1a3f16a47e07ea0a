"""Run folders as the report sees them: found below the paths a user names, read from files only.

Owns the flow paths -> folders with a results.json of a known stage -> `Run` (results, metrics, resolved configuration,
manifest). Only results.json is required; what else is missing stays empty. The cells of a study are one run together,
and so are those of a benchmark that has a summary. Must not know what any stage computes, and trusts no value: numbers
come out through `number`, which turns everything that is not a finite number into None.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqdna.errors import InputError
from vqdna.reports.content import plural
from vqdna.results import METRICS_FILE, RESULTS_FILE, read_json, read_metrics

STAGES = ("vocabulary", "pretrain", "finetune", "probe", "benchmark", "study", "audit")
SUMMARY_FILE = "summary.json"
LABELLED_STAGES = ("finetune", "probe", "benchmark")


@dataclass(frozen=True)
class Run:
    """One run folder: its name in the report and the records it holds."""

    name: str
    results: Mapping[str, Any]
    metrics: list[dict[str, Any]] = field(default_factory=list)
    config: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> str:
        """Stage the run belongs to, one of `STAGES`."""
        return str(self.results["stage"])

    @property
    def system(self) -> str:
        """System under test as the run names itself; the run's name where it names none."""
        return str(self.results.get("system") or self.name)

    @property
    def seed(self) -> int | None:
        """Seed of the run, or None where the results name none."""
        seed = number(self.results.get("seed"))
        return None if seed is None else int(seed)

    def value(self, *keys: str) -> float | None:
        """Finite number below nested `keys` of the results, or None."""
        return number(nested(self.results, *keys))

    def text(self, key: str) -> str:
        """Text below `key` of the results, or an empty string."""
        value = self.results.get(key)
        return "" if value is None or isinstance(value, dict | list) else str(value)

    def items(self, *keys: str) -> list[Any]:
        """List below nested `keys` of the results, or an empty list."""
        value = nested(self.results, *keys)
        return value if isinstance(value, list) else []

    def series(self, key: str, against: str = "step") -> tuple[list[float], list[float]]:
        """Ascending `against` values and the values of `key` there, from the metrics.

        A resumed run repeats the steps after its last checkpoint: the later record counts.
        """
        points: dict[float, float] = {}
        for record in self.metrics:
            x, y = number(record.get(against)), number(record.get(key))
            if x is not None and y is not None:
                points[x] = y
        return sorted(points), [points[x] for x in sorted(points)]


def number(value: object) -> float | None:
    """The value as a float where it is a finite number, else None (text, booleans, NaN, nothing)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def nested(record: object, *keys: str) -> object:
    """Value below nested `keys` of JSON objects, or None where one of them is missing."""
    for key in keys:
        if not isinstance(record, Mapping):
            return None
        record = record.get(key)
    return record


def find_runs(paths: Iterable[Path]) -> list[Run]:
    """Runs in and below `paths`, in the order of the stages and, within a stage, of the paths; each once.

    A results.json without a known `stage` (a summary beside the runs) is passed over; hidden folders are not searched.
    A benchmark is known by its summary.json, with its cells beside it or without them.

    Raises:
        InputError: a path does not exist, a file in a run folder is broken, or no run is found.
    """
    paths = list(paths)
    records: dict[Path, dict[str, Any]] = {}
    summaries = {file.parent.resolve(): record for path in paths for file, record in _benchmark_summaries(path)}
    for path in paths:
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
    # A cell of a study is OUT/<row>/seed-<n>.
    studies = list(dict.fromkeys(folder.parent.parent for folder in records if records[folder]["stage"] == "study"))
    alone = [path for path in _outermost(records, studies) if not _is_cell_of(path, summaries, records)]
    runs = []
    for folder, name in _names([*alone, *studies, *summaries]).items():
        if folder in summaries:
            runs.append(_read_benchmark(folder, name, summaries[folder], records))
        else:
            runs.append((_read_study if folder in studies else _read_run)(folder, name, records))
    return sorted(runs, key=lambda run: STAGES.index(run.stage))


def is_benchmark_summary(record: Mapping[str, Any]) -> bool:
    """Whether the record sums up a benchmark: rows that name a protocol, a system and a dataset."""
    rows = record.get("rows")
    first = rows[0] if isinstance(rows, list) and rows else None
    return all(isinstance(nested(first, key), str) for key in ("protocol", "system", "dataset"))


def _benchmark_summaries(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Summary of each benchmark in and below `path`; summaries of other things are passed over."""
    for file in _files(path, SUMMARY_FILE):
        record = read_json(file)
        if is_benchmark_summary(record):
            yield file, record


def _is_cell_of(folder: Path, summaries: Iterable[Path], records: Mapping[Path, Mapping[str, Any]]) -> bool:
    """Whether the folder is a cell of a benchmark whose summary tells of it."""
    return records[folder]["stage"] == "benchmark" and not set(summaries).isdisjoint(folder.parents)


def _outermost(records: Mapping[Path, Mapping[str, Any]], studies: Iterable[Path]) -> list[Path]:
    """Folders of the records without those inside a benchmark cell, whose scores the cell repeats, or a study."""
    cells = {folder for folder, record in records.items() if record["stage"] == "benchmark"} | set(studies)
    return [folder for folder in records if cells.isdisjoint(folder.parents)]


def _files(path: Path, name: str) -> list[Path]:
    """Every file of that name in and below `path`, sorted; `path` may also be a file that reports are made of."""
    if path.is_file() and path.name in (RESULTS_FILE, SUMMARY_FILE):
        return [path] if path.name == name else []
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder")
    found = path.rglob(name)
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def _names(folders: list[Path]) -> dict[Path, str]:
    """Name of each folder: its path below the folder that all of them share."""
    shared = os.path.commonpath([folder.parent for folder in folders])
    return {folder: folder.relative_to(shared).as_posix() for folder in folders}


def _read_run(folder: Path, name: str, records: Mapping[Path, dict[str, Any]]) -> Run:
    """Run in `folder`; missing files stay empty, those of a benchmark cell come from the run inside it."""
    inner = [other for other in records if folder in other.parents] if records[folder]["stage"] == "benchmark" else []
    files = inner[0] if inner else folder
    metrics, config, manifest = files / METRICS_FILE, files / "run.yaml", files / "manifest.json"
    return Run(
        name=name,
        results=records[folder],
        metrics=[record for record in read_metrics(metrics) if isinstance(record, dict)] if metrics.exists() else [],
        config=config.read_text(errors="replace") if config.exists() else "",
        manifest=read_json(manifest) if manifest.exists() else {},
    )


def _read_study(folder: Path, name: str, records: Mapping[Path, dict[str, Any]]) -> Run:
    """Run of all cells found in a study's folder: `cells` and the `rows` of its summary, where there is one.

    Time is that of all cells; genomes and versions are those of the first vocabulary trained in one.
    """
    inside = {path: record for path, record in sorted(records.items()) if folder in path.parents}
    cells = [record for path, record in inside.items() if path.parent.parent == folder and record["stage"] == "study"]
    trained = next((path for path, record in inside.items() if record["stage"] == "vocabulary"), folder)
    summary, manifest = folder / SUMMARY_FILE, trained / "manifest.json"
    results = {
        "stage": "study",
        "study": next((cell["study"] for cell in cells if isinstance(cell.get("study"), str)), ""),
        "command": "\n".join(dict.fromkeys(str(cell["command"]) for cell in cells if "command" in cell)),
        "seconds": sum(seconds for cell in cells if (seconds := number(cell.get("seconds"))) is not None) or None,
        "genomes": records[trained].get("genomes") if trained in records else None,
        "cells": cells,
        "rows": read_json(summary).get("rows") if summary.exists() else None,
    }
    return Run(name, results, manifest=read_json(manifest) if manifest.exists() else {})


def _read_benchmark(
    folder: Path, name: str, summary: Mapping[str, Any], records: Mapping[Path, Mapping[str, Any]]
) -> Run:
    """Run of a whole benchmark: its summary, with time and versions of the cells where they are there.

    A cell that holds another seed's result, since its system is the same for all, took no time; nor did an average,
    whose members' cells count.
    """
    cells = {path: record for path, record in sorted(records.items()) if _is_cell_of(path, [folder], records)}
    spent = [
        number(record.get("seconds")) for record in cells.values() if not record.keys() & {"same_as_seed", "members"}
    ]
    manifests = (path / "manifest.json" for path in sorted(records) if folder in path.parents)
    manifest = next((file for file in manifests if file.exists()), None)
    seconds = sum(seconds for seconds in spent if seconds is not None) or None
    results = {**summary, "stage": "benchmark", "seconds": seconds}
    return Run(name, results, manifest=read_json(manifest) if manifest else {})


def is_benchmark(run: Run) -> bool:
    """Whether the run is a whole benchmark and not a cell of one."""
    return run.stage == "benchmark" and "rows" in run.results


def benchmark_outcome(run: Run) -> str:
    """What a benchmark covers, in one line."""
    rows = [row for row in run.items("rows") if isinstance(row, Mapping)]
    systems, datasets = (len({str(row.get(key)) for row in rows}) for key in ("system", "dataset"))
    return f"{plural(systems, 'system')} on {plural(datasets, 'dataset')}, see the benchmark"
