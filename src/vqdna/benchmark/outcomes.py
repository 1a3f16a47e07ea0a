"""What a system makes of a dataset before anyone looks at its test labels: predictions, and what they took.

Flow: (system, data, candidate settings, seed) -> Outcome -> one .npz file, so that a cut-off benchmark goes on from it
and a setting that was searched is not run twice. Scores are made of it elsewhere, once everything is chosen.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vqdna.benchmark.results import Details
from vqdna.errors import InputError
from vqdna.experiments.locks import BusyError, locked
from vqdna.results import atomic_output

Predictions = Float[ndarray, "_ output"]

OUTCOME_FILE = "outcome.npz"
RUNS = "runs"
"""Folder of a benchmark below which outcomes lie."""


@dataclass(frozen=True)
class Outcome:
    """Predictions of one run.

    Attributes:
        dev: class probabilities, or scores, of the records that choose.
        parts: dev and test predictions of what was averaged, by name; empty where nothing was.
    """

    dev: Float[ndarray, "dev_row output"]
    test: Float[ndarray, "test_row output"]
    details: Details
    parts: dict[str, tuple[Predictions, Predictions]] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Writes the outcome's file, whole or not at all."""
        arrays = {"dev": self.dev, "test": self.test}
        for name, (dev, test) in self.parts.items():
            arrays |= {f"{name}.dev": dev, f"{name}.test": test}
        with atomic_output(folder / OUTCOME_FILE) as temporary, temporary.open("wb") as stream:
            details = np.array(
                json.dumps(
                    {"details": self.details.model_dump(mode="json", exclude_unset=True), "parts": list(self.parts)}
                )
            )
            np.savez_compressed(stream, allow_pickle=False, details=details, **arrays)


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome in a folder, or None.

    Raises:
        InputError: its file is damaged.
    """
    path = folder / OUTCOME_FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as held:
            about = json.loads(str(held["details"]))
            parts = {name: (held[f"{name}.dev"], held[f"{name}.test"]) for name in about["parts"]}
            return Outcome(held["dev"], held["test"], Details.model_validate(about["details"]), parts)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise InputError(f"{path}: the predictions cannot be read; delete its folder to run it again") from None


def kept_or_made(folder: Path, make: Callable[[], Outcome]) -> Outcome:
    """The outcome in a folder, or what `make` gives, saved there; one process at a time makes it.

    Raises:
        BusyError: another process is at it.
        InputError: the file is damaged.
    """
    with locked(folder) as ours:
        # Read whoever has the lock: a process that still holds it may have written its outcome already.
        held = read_outcome(folder)
        if held is not None:
            return held
        if not ours:
            raise BusyError(folder)
        made = make()
        made.save(folder)
        return made
