"""The grid of systems x datasets x seeds: runs the cells that have no results yet, and sums them up.

Flow: names -> cells -> OUT/<system>/<dataset>/seed-<n>/results.json, one a cell, written atomically when the cell is
done -> OUT/summary.json and OUT/summary.md with mean and standard deviation over seeds. A run that was cut off goes on
where it stopped. It must not know how a system works.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vqdna.benchmark.ranking import rank_systems, ranking_markdown
from vqdna.benchmark.systems import Record, System, find_system, is_seedless
from vqdna.errors import InputError
from vqdna.results import RESULTS_FILE, command_line, read_json, write_atomically, write_json
from vqdna.tasks.registry import COVID_WINDOWS, DatasetFiles, dataset, datasets, find_dataset, variant_windows

SUMMARY_METRICS = {"mcc": "MCC", "f1_macro": "macro-F1"}


@dataclass(frozen=True)
class Cell:
    """One system on one dataset with one seed."""

    system: str
    dataset: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of the cell under `out`; characters that do not belong in folder names become `-`."""
        system = re.sub(r"[^\w.]+", "-", self.system).strip("-")
        return out / system / self.dataset / f"seed-{self.seed}"


def run_benchmark(
    systems: Sequence[str],
    datasets: Sequence[str],
    seeds: int | Sequence[int],
    out: Path,
    data_root: Path | None = None,
    *,
    console: Console | None = None,
) -> list[Record]:
    """Summary rows of the grid under `out`, after running every cell that has no `results.json` there.

    Args:
        systems: names as `find_system` takes them.
        datasets: names as `find_dataset` takes them.
        seeds: the seeds, or their number: 3 stands for 0, 1, 2.
        out: folder of the grid; cells of earlier calls stay and count.
        data_root: None is where `find_data_root` finds it.
        console: where progress is shown; None is standard error.

    Raises:
        InputError: an unknown system or dataset, or an absent split; before any cell runs.
    """
    chosen_seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not (systems and datasets and chosen_seeds):
        raise InputError("a benchmark needs at least one system, one dataset and one seed")
    names = [dataset(name).name for name in datasets]
    files = {name: find_dataset(name, data_root) for name in names}
    runs = {name: find_system(name) for name in systems}
    console = console or Console(stderr=True)
    cells = [Cell(system, name, seed) for name in names for system in systems for seed in chosen_seeds]
    for number, cell in enumerate(cells, 1):
        record, how = known_record(cell, out), "known"
        if record is None:
            record, how = reused_record(cell, out), "as with another seed"
        if record is None:
            record = run_cell(cell, runs[cell.system], files[cell.dataset], out)
            how = f"{record['seconds']:.0f} s"
        mcc = _percent({"mean": record["test"].get("mcc"), "sd": None})
        count = f"[{number}/{len(cells)}]"
        console.print(f"{count} {cell.dataset} {cell.system} seed {cell.seed}: test MCC {mcc} ({how})", markup=False)
    rows = write_summary(out)
    console.print(_progress_table(rows))
    return rows


def run_cell(cell: Cell, system: System, files: DatasetFiles, out: Path) -> Record:
    """Record of one cell, also written to its folder: the system's own, under the names that the grid knows it by."""
    named = {"stage": "benchmark", "system": cell.system, "dataset": cell.dataset, "seed": cell.seed}
    record = {**named, "command": command_line(), **system(files, cell.seed, cell.folder(out)), **named}
    write_json(cell.folder(out) / RESULTS_FILE, record)
    return record


def known_record(cell: Cell, out: Path) -> Record | None:
    """Record of the cell as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or of another system whose name makes the same folder.
    """
    path = cell.folder(out) / RESULTS_FILE
    if not path.is_file():
        return None
    record = read_json(path)
    if record.get("system") != cell.system:
        raise InputError(
            f"{path}: holds results of '{record.get('system')}', expected '{cell.system}'; use another folder"
        )
    return record


def reused_record(cell: Cell, out: Path) -> Record | None:
    """Record of another seed written to this cell's folder too, where the system is the same for all; else None."""
    if not is_seedless(cell.system):
        return None
    for path in sorted(cell.folder(out).parent.glob(f"seed-*/{RESULTS_FILE}")):
        other = int(path.parent.name.removeprefix("seed-"))
        known = known_record(Cell(cell.system, cell.dataset, other), out)
        if known is not None:
            record = {**known, "seed": cell.seed, "same_as_seed": known.get("same_as_seed", other)}
            write_json(cell.folder(out) / RESULTS_FILE, record)
            return record
    return None


def summarize(out: Path) -> list[Record]:
    """Rows (system, dataset, seeds, mean and sd of test MCC and macro-F1, mean seconds) of all cells under `out`.

    The standard deviation is that of a sample (n - 1), None with a single seed; scores are fractions, not percent.

    Raises:
        InputError: no cell under `out`, or a cell whose file is damaged.
    """
    paths = sorted(path for path in out.rglob(f"seed-*/{RESULTS_FILE}"))
    groups: dict[tuple[str, str], list[Record]] = {}
    for path in paths:
        record = read_json(path)
        if record.get("stage") == "benchmark":
            groups.setdefault((_field(path, record, "dataset"), _field(path, record, "system")), []).append(record)
    if not groups:
        raise InputError(f"{out}: holds no benchmark results (expected <system>/<dataset>/seed-<n>/{RESULTS_FILE})")
    return [_summary_row(system, name, records) for (name, system), records in sorted(groups.items())]


def write_summary(out: Path) -> list[Record]:
    """Rows of `summarize(out)`, also written to `out`/summary.json and, as Markdown, summary.md; with ranks."""
    rows = summarize(out)
    ranking = rank_systems(scores_to_rank(rows))
    ranks = {} if ranking is None else {"ranking": ranking.to_record()}
    write_json(out / "summary.json", {"command": command_line(), "rows": rows, **ranks})
    text = markdown_summary(rows) + ("" if ranking is None else "\n" + ranking_markdown(ranking))
    write_atomically(out / "summary.md", text.encode())
    return rows


def scores_to_rank(rows: Sequence[Record]) -> dict[str, dict[str, float | None]]:
    """Mean score of each system on each dataset: macro-F1 where published tables have it, else MCC."""
    scores: dict[str, dict[str, float | None]] = {}
    for row in rows:
        published = datasets().get(row["dataset"], variant_windows() if row["dataset"] == COVID_WINDOWS else None)
        by_f1 = published is not None and published.metric == "f1_macro"
        score = row["f1_macro" if by_f1 else "mcc"]["mean"]
        scores.setdefault(row["system"], {})[row["dataset"]] = score
    return scores


def markdown_summary(rows: Sequence[Record]) -> str:
    """One table for each metric, a line for each dataset and a column for each system: test scores x 100, mean ± sd."""
    tables = [_markdown_table(rows, metric, title) for metric, title in SUMMARY_METRICS.items()]
    counts = sorted({len(row["seeds"]) for row in rows})
    seeds = " to ".join(str(count) for count in {counts[0]: None, counts[-1]: None})
    return f"Test scores x 100, mean ± standard deviation over {seeds} seed(s).\n\n" + "\n".join(tables)


def _field(path: Path, record: Record, key: str) -> Any:
    if key not in record:
        raise InputError(f"{path}: no '{key}' in this results file; delete its folder to run the cell again")
    return record[key]


def _summary_row(system: str, name: str, records: list[Record]) -> Record:
    row: Record = {"system": system, "dataset": name, "seeds": sorted(record["seed"] for record in records)}
    for metric in SUMMARY_METRICS:
        row[metric] = _mean_and_sd(record["test"].get(metric) for record in records)
    row["seconds"] = statistics.fmean(record["seconds"] for record in records)
    return row


def _mean_and_sd(values: Iterable[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known) if known else None
    return {"mean": mean, "sd": statistics.stdev(known) if len(known) > 1 else None}


def _markdown_table(rows: Sequence[Record], metric: str, title: str) -> str:
    systems = list(dict.fromkeys(row["system"] for row in rows))
    names = list(dict.fromkeys(row["dataset"] for row in rows))
    scores = {(row["dataset"], row["system"]): _percent(row[metric]) for row in rows}
    lines = [f"| {title} | " + " | ".join(systems) + " |", "|---|" + "---|" * len(systems)]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(scores.get((name, system), "") for system in systems) + " |")
    return "\n".join(lines) + "\n"


def _percent(score: dict[str, float | None]) -> str:
    mean, sd = score["mean"], score["sd"]
    if mean is None:
        return "undefined"
    return f"{100 * mean:.1f}" + ("" if sd is None else f" ± {100 * sd:.1f}")


def _progress_table(rows: Sequence[Record]) -> Table:
    table = Table("dataset", "system", "seeds", *SUMMARY_METRICS.values(), "seconds")
    for row in rows:
        scores = [_percent(row[metric]) for metric in SUMMARY_METRICS]
        table.add_row(row["dataset"], row["system"], str(len(row["seeds"])), *scores, f"{row['seconds']:.0f}")
    return table
