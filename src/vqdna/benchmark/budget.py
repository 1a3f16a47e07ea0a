"""What a benchmark may spend, the same for every system: lengths of training, sizes of splits, what is searched.

Flow: name -> configs/benchmark/<name>.yaml -> Budget, saved beside the results, which belong to it alone. It must not
know systems.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field

from vqdna.config import StrictModel, completed, first_difference, load_config
from vqdna.errors import InputError
from vqdna.results import read_json, write_json

DEFAULT = "cpu"
BUDGET_FILE = "budget.json"
BATCH_SIZES = (32, 256)
"""Smallest and largest batch of a budget that says how many updates an epoch has."""


class Budget(StrictModel):
    """Limits of a whole benchmark.

    Attributes:
        pretrain: configuration of stage 2 by which every tokenizer's encoder is pre-trained.
        vocabulary_steps: of stage 1, for vocabularies that a system learns; None is as their configuration says.
        sequences_seen: training sequences that a fine-tuning reads, repeats counted; a training split is read whole at
            least once.
        max_epochs: passes over a training split at most.
        updates_per_epoch: of a fine-tuning, about so many, by the size of its batches; None leaves the size to the
            configuration of stage 3.
        max_train: training sequences of a dataset, a seeded draw that all systems share; None takes all.
        max_dev: likewise, of the sequences that choose. Test splits are never cut.
        search: by group of datasets, the one on whose dev split a system's settings are chosen for the group; datasets
            of other groups choose by themselves.
    """

    pretrain: str
    vocabulary_steps: int | None = Field(default=None, ge=1)
    finetune: str
    sequences_seen: int = Field(ge=1)
    max_epochs: int = Field(default=10, ge=1)
    updates_per_epoch: int | None = Field(default=None, ge=1)
    max_train: int | None = Field(default=None, ge=2)
    max_dev: int | None = Field(default=None, ge=2)
    cnn_epochs: int = Field(default=15, ge=1)
    search: dict[str, str] = Field(default_factory=dict)
    search_seed: int = Field(default=0, ge=0)

    def epochs(self, num_sequences: int) -> int:
        return min(self.max_epochs, max(1, round(self.sequences_seen / num_sequences)))

    def batch_size(self, num_sequences: int) -> int | None:
        """Sequences of an update over a training split of so many: a power of two, 32 to 256; None to leave it open."""
        if self.updates_per_epoch is None:
            return None
        wanted = num_sequences / self.updates_per_epoch
        return int(2 ** np.clip(np.round(np.log2(wanted)), *np.log2(BATCH_SIZES)))


def load_budget(name: str) -> Budget:
    """Budget by path, or by its name in `configs/benchmark/`.

    Raises:
        InputError: there is none; names the nearest. An unknown key.
    """
    return load_config(Budget, name, "benchmark")


def keep_budget(budget: Budget, out: Path) -> None:
    """Saves the budget in the folder of a benchmark, where all runs share it.

    Raises:
        InputError: the folder's results were made under another one; names the first difference.
    """
    path = out / BUDGET_FILE
    if not path.is_file():
        write_json(path, budget.model_dump(mode="json"))
        return
    different = first_difference(completed(Budget, read_json(path)), budget.model_dump(mode="json"))
    if different:
        raise InputError(
            f"{path}: the results here were made under another budget ('{different}' differs); choose another --out"
        )
