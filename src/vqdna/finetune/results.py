"""The record of a fine-tuning, as `results.json` of its run folder holds it, for reports, studies and users alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vqdna.tasks.loading import Task
from vqdna.tasks.metrics import Metrics


class FinetuneResults(BaseModel):
    """Scores of one fine-tuning, those of the saved `model/`, and what it took."""

    model_config = ConfigDict(extra="allow", frozen=True)

    stage: Literal["finetune"] = "finetune"
    system: str  # name of the tokenizer
    dataset: str | None = None  # name under which reports list the scores, or None
    command: str
    seed: int
    seconds: float  # of the call that ended the run
    method: str
    task: Task
    num_classes: int
    best_epoch: int  # the one kept, counted from 1; 0 is the head that was probed before anything else learned
    epochs: int
    parameters: dict[str, int]  # `total` and `trainable`
    sequences: dict[str, int]  # of `train`, `dev` and `test`
    dev: Metrics  # scores on the split that chose the epoch
    test: Metrics | None = None  # scores on the split scored once; None where there is none
    folder: Path | None = Field(default=None, exclude=True)  # the run folder with `model/`; not written

    def to_json(self) -> dict[str, Any]:
        """The JSON object of `results.json`; a run on data without a name has no key `dataset`."""
        return self.model_dump(mode="json", exclude={"dataset"} if self.dataset is None else None)
