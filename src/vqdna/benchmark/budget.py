"""What a benchmark may spend, the same for every system: lengths of training, sizes of splits, what is searched.

Flow: name -> configs/benchmark/<name>.yaml -> Budget, saved beside the results, which belong to it alone. It must not
know systems.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from vqdna.config import StrictModel, completed, first_difference, load_config
from vqdna.errors import InputError
from vqdna.results import read_json, write_json

DEFAULT = "cpu"
BUDGET_FILE = "budget.json"


class Budget(StrictModel):
    """Limits of a whole benchmark.

    Attributes:
        pretrain: configuration of stage 2 by which every tokenizer's encoder is pre-trained.
        finetune: configuration of stage 3 for all encoders.
        sequences_seen: training sequences that a fine-tuning reads, repeats counted; a training split is read whole at
            least once.
        max_epochs: passes over a training split at most.
        max_train: training sequences of a dataset, a seeded draw that all systems share; None takes all.
        max_dev: likewise, of the sequences that choose. Test splits are never cut.
        cnn_epochs: of the convolutional control.
        search: by group of datasets, the one on whose dev split a system's settings are chosen for the group; datasets
            of other groups choose by themselves.
        search_seed: of these runs.
    """

    pretrain: str
    finetune: str
    sequences_seen: int = Field(ge=1)
    max_epochs: int = Field(default=10, ge=1)
    max_train: int | None = Field(default=None, ge=2)
    max_dev: int | None = Field(default=None, ge=2)
    cnn_epochs: int = Field(default=15, ge=1)
    search: dict[str, str] = Field(default_factory=dict)
    search_seed: int = Field(default=0, ge=0)

    def epochs(self, num_sequences: int) -> int:
        """Passes over a training split of so many sequences."""
        return min(self.max_epochs, max(1, round(self.sequences_seen / num_sequences)))


def load_budget(name: str) -> Budget:
    """Budget by path, or by its name in `configs/benchmark/`.

    Raises:
        InputError: there is none; names the nearest. An unknown key.
    """
    return load_config(Budget, name, "benchmark")


def keep_budget(budget: Budget, out: Path) -> None:
    """Saves the budget in the folder of a benchmark, where all cells share it.

    Raises:
        InputError: the folder's cells were run under another one; names the first difference.
    """
    path = out / BUDGET_FILE
    if not path.is_file():
        write_json(path, budget.model_dump(mode="json"))
        return
    different = first_difference(completed(Budget, read_json(path)), budget.model_dump(mode="json"))
    if different:
        raise InputError(
            f"{path}: the cells here were run under another budget ('{different}' differs); choose another --out"
        )
