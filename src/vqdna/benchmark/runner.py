"""A benchmark as one call: checks everything first, says what is left, shares the work, sums it up.

Flow: names or objects -> Grid -> processes that work through it (`vqdna.benchmark.trials`) -> BenchmarkResult,
summary.json, summary.md. A benchmark that was cut off goes on where it stopped, and several calls may share one folder.
It must not know how a system works.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.queues import Queue
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from transformers.utils import logging

from vqdna.benchmark.budget import DEFAULT, Budget, keep_budget, load_budget
from vqdna.benchmark.estimate import estimate
from vqdna.benchmark.grid import Grid
from vqdna.benchmark.live import LiveTable
from vqdna.benchmark.protocols import Protocol
from vqdna.benchmark.running import Classifier
from vqdna.benchmark.suites import with_protocols
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.benchmark.summary_tables import write_summary
from vqdna.benchmark.trials import work_through
from vqdna.data_root import find_data_root
from vqdna.errors import InputError
from vqdna.genome.streams import sequence_files
from vqdna.quiet import is_quiet, silenced
from vqdna.tasks.loading import Splits, labelled_from_text
from vqdna.tokenizers import load_tokenizer

InMemory = Splits | Mapping[str, tuple[Sequence[str], Sequence[Any]]]
"""A dataset as Python objects: sequences and labels of each split."""

ERROR = "error: "
"""How the message of a worker begins that had to stop."""

GENOMES = "genomes"
"""Folder of the data root from which tokenizers learn where no genomes are named."""


def evaluate(
    system: str | Classifier,
    datasets: str | Sequence[str] | Mapping[str, InMemory],
    *,
    name: str | None = None,
    seeds: int | Sequence[int] = 3,
    budget: str | Budget = DEFAULT,
    protocol: Protocol | None = None,
    out: Path | None = None,
    data_root: Path | None = None,
    genomes: Sequence[Path] = (),
    workers: int = 1,
) -> BenchmarkResult:
    """Scores of one system on datasets, under the rules that hold for every other; `merge` puts results side by side.

    Args:
        system: a name as `vqdna benchmark --systems` takes it, or an object with scikit-learn's `fit` and
            `predict_proba` on lists of sequences as text; of an object each seed fits a copy.
        datasets: names in the registry; or, by names of your own, splits in memory: `Splits`, or a mapping of `train`,
            `dev` and `test` to sequences and their labels.
        name: what results call an object; its class without it.
        seeds: the seeds, or their number: 3 stands for 0, 1, 2.
        budget: limits for all systems, or their name; only results of one budget compare.
        protocol: None takes `full` for datasets whose three splits are there, `reduced` for others.
        out: folder that keeps every run, so that a call that was cut off goes on; None keeps nothing.
        data_root: None is where `find_data_root` finds it.
        genomes: what tokenizers and encoders learn from, for systems that the benchmark pre-trains.
        workers: processes.

    Raises:
        InputError: an unknown system, dataset or budget, a split that is absent or empty; before anything runs.
    """
    own = {} if isinstance(system, str) else {name or type(system).__name__: system}
    splits = {name: _splits(given) for name, given in datasets.items()} if isinstance(datasets, Mapping) else {}
    names = [datasets] if isinstance(datasets, str) else list(datasets)
    with ExitStack() as stack:
        folder = out if out is not None else Path(stack.enter_context(TemporaryDirectory()))
        chosen = [system] if isinstance(system, str) else list(own)
        grid = checked_grid(
            chosen, names, seeds, folder, data_root,
            protocol=protocol, budget=budget, genomes=genomes, own=own, splits=splits,
        )  # fmt: skip
        return run_grid(grid, workers)


def _splits(given: InMemory) -> Splits:
    if isinstance(given, Splits):
        return given
    lacking = [name for name in ("train", "dev", "test") if name not in given]
    if lacking:
        raise InputError(f"a dataset in memory needs train, dev and test, no {' or '.join(lacking)} was given")
    train = labelled_from_text(*given["train"])
    dev, test = (labelled_from_text(*given[name], like=train) for name in ("dev", "test"))
    return Splits(train, dev, test)


def run_grid(grid: Grid, workers: int = 1, console: Console | None = None) -> BenchmarkResult:
    """The result of all trials under the grid's folder, after running every one that has no `results.json` there.

    Args:
        grid: as `checked_grid` gives it; trials of earlier calls stay and count.
        workers: processes.
        console: where progress is shown; None is standard error.

    Raises:
        InputError: a folder of another budget, before any trial runs.
    """
    keep_budget(grid.budget, grid.out)
    console = console or Console(stderr=True)
    if not is_quiet():
        console.print(estimate(grid, workers=workers, tries=False).sentence(), markup=False, soft_wrap=True)
    with LiveTable(grid, console) as table, silenced():
        if workers == 1:
            work_through(grid, table.tell)
        else:
            _share(grid, workers, table)
    return write_summary(grid.out)


def checked_grid(
    systems: Sequence[str],
    datasets: Sequence[str],
    seeds: int | Sequence[int],
    out: Path,
    data_root: Path | None = None,
    *,
    protocol: Protocol | None = None,
    budget: str | Budget = DEFAULT,
    genomes: Sequence[Path] = (),
    own: Mapping[str, Classifier] | None = None,
    splits: Mapping[str, Splits] | None = None,
) -> Grid:
    """The grid of a benchmark, every part of which was looked for; writes nothing.

    Args:
        systems: names as `find_system` takes them, or of `own`.
        datasets: names as `find_dataset` takes them, or of `splits`.
        seeds: the seeds, or their number: 3 stands for 0, 1, 2.
        out: folder of the benchmark.
        data_root: None is where `find_data_root` finds it.
        protocol: None takes `full` for datasets whose three splits are there, `reduced` for others.
        budget: limits for all systems, or their name.
        genomes: files or folders from which tokenizers learn and encoders are pre-trained; none stands for the data
            root's.
        own: systems that are objects.
        splits: datasets in memory.

    Raises:
        InputError: an unknown system, tokenizer or dataset, or an absent split.
    """
    chosen_seeds = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not (systems and datasets and chosen_seeds):
        raise InputError("a benchmark needs at least one system, one dataset and one seed")
    limits = load_budget(budget) if isinstance(budget, str) else budget
    given = splits or {}
    named, _ = with_protocols([name for name in datasets if name not in given], protocol, data_root)
    chosen: dict[str, Protocol] = dict.fromkeys(given, protocol or "full") | named
    grid = Grid(list(dict.fromkeys(systems)), chosen, chosen_seeds, limits, out, (), data_root, own or {}, given)
    for name in given:
        grid.data(chosen[name], name)  # refuses empty splits
    if grid.encoders():
        grid.genomes = genome_files(genomes, data_root)
    for spec in grid.tokenizers():
        load_tokenizer(spec)  # refuses here what would stop a trial hours later
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
