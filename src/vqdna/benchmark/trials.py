"""One trial of the grid: a system on a dataset with a seed, under a protocol; its outcome, scored once.

Flow: Trial -> settings chosen on dev (`chosen_candidate`) -> Outcome, kept in OUT/runs/ -> scores ->
OUT/<protocol>/<system>/<dataset>/seed-<n>/results.json, written when the trial is done. It must not know how a system
works.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vqdna.benchmark.blending import averaged
from vqdna.benchmark.budget import Budget
from vqdna.benchmark.intervals import packed_classes, score_intervals
from vqdna.benchmark.outcomes import RUNS, Outcome, Predictions, Record, kept_or_made
from vqdna.benchmark.protocols import Protocol, TaskData
from vqdna.benchmark.systems import System
from vqdna.devices import own_device, peak_memory, reset_peak_memory
from vqdna.errors import InputError
from vqdna.experiments.records import slug
from vqdna.results import RESULTS_FILE, command_line, read_json, write_json
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import Metrics, primary_score, task_metrics
from vqdna.tasks.registry import dataset

SEARCH = "search"

ReadData = Callable[[str], TaskData]
"""Data of a dataset by its name, under the protocol at hand."""


@dataclass(frozen=True)
class Trial:
    """One system on one dataset with one seed."""

    protocol: Protocol
    system: str
    dataset: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Folder of the trial under `out`; characters that do not belong in folder names become `-`."""
        return out / self.protocol / slug(self.system) / self.dataset / f"seed-{self.seed}"


def known_record(trial: Trial, out: Path) -> Record | None:
    """Record of the trial as an earlier call wrote it, or None.

    Raises:
        InputError: the file is damaged, or of another system whose name makes the same folder.
    """
    path = trial.folder(out) / RESULTS_FILE
    if not path.is_file():
        return None
    record = read_json(path)
    if record.get("system") != trial.system:
        raise InputError(
            f"{path}: holds results of '{record.get('system')}', expected '{trial.system}'; use another folder"
        )
    return record


def run_trial(trial: Trial, system: System, data_of: ReadData, budget: Budget, out: Path) -> Record:
    """Record of one trial, also written to its folder.

    Raises:
        BusyError: another process is at a run that the trial needs.
    """
    chosen, outcome = _outcome(trial, system, data_of, budget, out)
    seed = _seed_of(trial, system, budget)
    data = data_of(trial.dataset)
    record = {
        "stage": "benchmark",
        "protocol": trial.protocol,
        "system": trial.system,
        "dataset": trial.dataset,
        "seed": trial.seed,
        "command": command_line(),
        **chosen,
        **({"same_as_seed": seed} if seed != trial.seed else {}),
        **outcome.details,
        "task": data.train.task,
        "num_classes": data.train.num_classes,
        "num_sequences": {"train": len(data.train), "dev": len(data.dev), "test": len(data.test)},
        **scores_of(outcome, data),
    }
    write_json(trial.folder(out) / RESULTS_FILE, record)
    return record


def _outcome(trial: Trial, system: System, data_of: ReadData, budget: Budget, out: Path) -> tuple[Record, Outcome]:
    """What was chosen for the trial, and its outcome; that of an average is made of its members' trials.

    Raises:
        BusyError: another process is at a run that the trial needs.
    """
    if system.members:
        made = {
            member.name: _outcome(replace(trial, system=member.name), member, data_of, budget, out)
            for member in system.members
        }
        outcomes = {name: outcome for name, (_, outcome) in made.items()}
        chosen_by_member = {name: chosen for name, (chosen, _) in made.items()}
        return {"members": chosen_by_member}, averaged(outcomes, data_of(trial.dataset).dev)
    candidate, searched = chosen_candidate(trial, system, data_of, budget, out)
    chosen = {"candidate": candidate, **({"searched": searched} if searched else {})}
    seed = _seed_of(trial, system, budget)
    return chosen, kept_outcome(trial.protocol, system, data_of(trial.dataset), candidate, seed, out)


def _seed_of(trial: Trial, system: System, budget: Budget) -> int:
    """Seed by which the trial is run: one for all where none changes anything."""
    return budget.search_seed if system.is_seedless else trial.seed


def kept_outcome(protocol: Protocol, system: System, data: TaskData, candidate: str, seed: int, out: Path) -> Outcome:
    """Outcome of a run, from its file, or made and kept there.

    Raises:
        BusyError: another process is at it.
    """
    folder = out / RUNS / protocol / slug(system.name) / data.dataset / f"{candidate}-seed-{seed}"

    def run() -> Outcome:
        measures = reset_peak_memory(own_device())
        outcome = system.run(data, candidate, seed, folder)
        peak = {"peak_memory": peak_memory(own_device()) if measures else None}
        return replace(outcome, details={**outcome.details, **peak})

    return kept_or_made(folder, run)


def chosen_candidate(
    trial: Trial, system: System, data_of: ReadData, budget: Budget, out: Path
) -> tuple[str, Record | None]:
    """The system's settings for the trial's dataset, and how they were found: by dev scores of one run each.

    The runs are made on the dataset that the budget names for the group, so that a group costs no more than one search.

    Raises:
        BusyError: another process is at one of the runs.
    """
    if len(system.candidates) == 1:
        return system.candidates[0], None
    named = budget.search.get(dataset(trial.dataset).group, trial.dataset)
    found = _known_search(named, trial, out)  # before anything is read: most trials find it
    if found is None:
        data = _data_to_search(named, trial, data_of)
        found = _known_search(data.dataset, trial, out) or _search(data, trial, system, budget, out)
    return found["best"], found


def _search_file(name: str, trial: Trial, out: Path) -> Path:
    return out / SEARCH / trial.protocol / slug(trial.system) / f"{slug(name)}.json"


def _known_search(name: str, trial: Trial, out: Path) -> Record | None:
    path = _search_file(name, trial, out)
    return read_json(path) if path.is_file() else None


def _search(data: TaskData, trial: Trial, system: System, budget: Budget, out: Path) -> Record:
    """One run of each candidate; their dev scores and the best, also written to the search's file."""
    scores = {
        candidate: primary_score(
            data.dev.task,
            data.dev.labels,
            kept_outcome(trial.protocol, system, data, candidate, budget.search_seed, out).dev,
        )
        for candidate in system.candidates
    }
    best = max(system.candidates, key=lambda candidate: scores[candidate])
    found = {"dataset": data.dataset, "seed": budget.search_seed, "dev": scores, "best": best}
    write_json(_search_file(data.dataset, trial, out), found)
    return found


def _data_to_search(named: str, trial: Trial, data_of: ReadData) -> TaskData:
    """The dataset that the budget names for the trial's group; the trial's own where that cannot be had."""
    try:
        return data_of(named)
    except InputError:
        return data_of(trial.dataset)


def scores_of(outcome: Outcome, data: TaskData) -> Record:
    """What a record says of an outcome: scores on dev, test and unseen test records, and how sure they are."""
    test = task_metrics(data.test.task, data.test.labels, outcome.test)
    kept = data.test.subset(np.flatnonzero(data.unseen))
    dropped = len(data.test) - len(kept)
    record: Record = {
        "dev": task_metrics(data.dev.task, data.dev.labels, outcome.dev),
        "test": test,
        "deduplicated": {"dropped": dropped, **_scores_if_any(kept, outcome.test[data.unseen])},
        "parts": {name: _part(part, data) for name, part in outcome.parts.items()},
    }
    if data.test.task != "classification":
        return record
    predicted = outcome.test.argmax(1)
    ends = score_intervals(data.test.labels, predicted[None], num_classes=data.train.num_classes)
    return {
        **record,
        "intervals": {name: list(pair) for name, pair in ends.items()},
        "collapsed": bool(ends["mcc"][0] <= 0),
        "predicted": packed_classes(predicted),
        "labels": packed_classes(data.test.labels),
    }


def _scores_if_any(records: LabelledSequences, predictions: Predictions) -> Metrics:
    return task_metrics(records.task, records.labels, predictions) if len(records) else {}


def _part(part: tuple[Predictions, Predictions], data: TaskData) -> Record:
    """Scores of one of the averaged predictions by itself."""
    dev, test = part
    return {
        "dev": task_metrics(data.dev.task, data.dev.labels, dev),
        "test": task_metrics(data.test.task, data.test.labels, test),
    }
