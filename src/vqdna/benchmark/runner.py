"""A benchmark as one call: checks everything first, says what it will take, shares the work, sums it up.

Flow: names -> Grid -> processes that work through it (`vqdna.benchmark.grid`) -> summary.json, summary.md. A benchmark
that was cut off goes on where it stopped, and several calls may share one folder. It must not know how a system works.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing.queues import Queue
from pathlib import Path

from rich.console import Console
from transformers.utils import logging

from vqdna.benchmark.budget import DEFAULT, Budget, keep_budget, load_budget
from vqdna.benchmark.estimate import estimated
from vqdna.benchmark.grid import Grid, work_through
from vqdna.benchmark.live import LiveTable
from vqdna.benchmark.outcomes import Record
from vqdna.benchmark.protocols import Protocol
from vqdna.benchmark.suites import with_protocols
from vqdna.benchmark.summary import write_summary
from vqdna.data_root import find_data_root
from vqdna.errors import InputError
from vqdna.genome.streams import sequence_files
from vqdna.quiet import is_quiet, silenced
from vqdna.tokenizers import load_tokenizer

ERROR = "error: "
"""How the message of a worker begins that had to stop."""

GENOMES = "genomes"
"""Folder of the data root from which tokenizers learn where no genomes are named."""


def run_benchmark(
    systems: Sequence[str],
    datasets: Sequence[str],
    seeds: int | Sequence[int],
    out: Path,
    data_root: Path | None = None,
    *,
    protocol: Protocol | None = None,
    budget: str | Budget = DEFAULT,
    genomes: Sequence[Path] = (),
    workers: int = 1,
    console: Console | None = None,
) -> list[Record]:
    """Summary rows of the grid under `out`, after running every cell that has no `results.json` there.

    Args:
        systems: names as `find_system` takes them.
        datasets: names as `find_dataset` takes them.
        seeds: the seeds, or their number: 3 stands for 0, 1, 2.
        out: folder of the grid; cells of earlier calls stay and count.
        data_root: None is where `find_data_root` finds it.
        protocol: None takes `full` for datasets whose three splits are there, `reduced` for others.
        budget: limits for all systems, or their name.
        genomes: files or folders from which tokenizers learn and encoders are pre-trained; none stands for the data
            root's.
        workers: processes.
        console: where progress is shown; None is standard error.

    Raises:
        InputError: an unknown system, tokenizer or dataset, an absent split, or a folder of another budget; before any
            cell runs.
    """
    grid = checked_grid(systems, datasets, seeds, out, data_root, protocol, budget, genomes)
    return run_grid(grid, workers, console)


def run_grid(grid: Grid, workers: int = 1, console: Console | None = None) -> list[Record]:
    """Summary rows of a checked grid, see `run_benchmark`."""
    keep_budget(grid.budget, grid.out)
    console = console or Console(stderr=True)
    if not is_quiet():
        console.print(estimated(grid, workers).sentence(), markup=False, soft_wrap=True)
    with LiveTable(grid, console) as table, silenced():
        if workers == 1:
            work_through(grid, table.tell)
        else:
            _share(grid, workers, table)
    return list(write_summary(grid.out)["rows"])


def checked_grid(
    systems: Sequence[str],
    datasets: Sequence[str],
    seeds: int | Sequence[int],
    out: Path,
    data_root: Path | None = None,
    protocol: Protocol | None = None,
    budget: str | Budget = DEFAULT,
    genomes: Sequence[Path] = (),
) -> Grid:
    """The grid of `run_benchmark`; writes nothing.

    Raises:
        InputError: see `run_benchmark`.
    """
    chosen_seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not (systems and datasets and chosen_seeds):
        raise InputError("a benchmark needs at least one system, one dataset and one seed")
    limits = load_budget(budget) if isinstance(budget, str) else budget
    chosen, _ = with_protocols(list(datasets), protocol, data_root)
    grid = Grid(list(dict.fromkeys(systems)), chosen, chosen_seeds, limits, out, (), data_root)
    if grid.rivals():
        grid.genomes = genome_files(genomes, data_root)
    for spec in grid.tokenizers():
        load_tokenizer(spec)  # refuses here what would stop a cell hours later
    return grid


def genome_files(genomes: Sequence[Path], data_root: Path | None) -> list[Path]:
    """Files of the genomes named, or of the data root's.

    Raises:
        InputError: none are named and there is no data root; a folder without sequence files.
    """
    if genomes:
        return sequence_files(list(genomes))
    root = data_root if data_root is not None else find_data_root()
    if root is None or not (root / GENOMES).is_dir():
        raise InputError("these systems learn from genomes: name some with --genomes, or put them in the data root")
    return sequence_files([root / GENOMES])


def _share(grid: Grid, workers: int, table: LiveTable) -> None:
    """Runs the grid in so many processes, and shows what all of them do.

    Raises:
        InputError: a process failed; says why.
    """
    context = multiprocessing.get_context("spawn")
    told: Queue[str] = context.Queue()
    processes = [context.Process(target=_work, args=(grid, told), daemon=False) for _ in range(workers)]
    for process in processes:
        process.start()
    try:
        table.follow(told, processes)
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
            process.join()
    failed = sum(bool(process.exitcode) for process in processes)
    if failed:
        reasons = [message.removeprefix(ERROR) for message in table.messages if message.startswith(ERROR)]
        why = f": {reasons[0]}" if reasons else ""
        raise InputError(
            f"{failed} of {workers} workers stopped early{why}; the same command goes on with what is left"
        )


def _work(grid: Grid, told: Queue[str]) -> None:
    """A worker: its messages go to the process that shows them, a mistake in the input as one line."""
    logging.disable_progress_bar()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work_through(grid, told.put)
    except InputError as error:
        told.put(f"{ERROR}{error}")
        sys.exit(2)


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed; nobody would see it, and it would go on for hours."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
