"""The best epoch so far, by dev metric: its trainable weights and score in one file, so that a resumed run keeps both.

Flow: (epoch, dev metrics, model) after each epoch -> best.safetensors, replaced only by a better one -> restore.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save

from vqdna.finetune.adapters import training_state
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.results import write_atomically
from vqdna.tasks.loading import Task
from vqdna.tasks.metrics import Metrics, metric_value, primary_metric


class BestEpoch:
    """Keeper of the best epoch: it goes on from an existing file, and the earlier epoch wins a tie."""

    def __init__(self, file: Path, task: Task) -> None:
        self.file, self.metric = file, primary_metric(task)
        self.epoch, self.score = 0, -math.inf
        if file.exists():
            with safe_open(file, framework="pt") as held:
                record = json.loads(held.metadata()["best"])
            self.epoch = record["epoch"]
            self.score = -math.inf if record["score"] is None else record["score"]

    def offer(self, epoch: int, metrics: Metrics, model: GenomeEncoderForSequenceClassification) -> None:
        """Keeps what training moved if this epoch is the best so far; 0 is a head that learned alone."""
        # The file decides, not memory: a run killed between two epochs finds its best one there when it resumes.
        score = metric_value(metrics, self.metric)
        if self.file.exists() and score <= self.score:
            return
        self.epoch, self.score = epoch, score
        record = {"epoch": epoch, "score": score if math.isfinite(score) else None}
        weights = {name: value.cpu().contiguous() for name, value in training_state(model).items()}
        write_atomically(self.file, save(weights, {"best": json.dumps(record)}))

    def restore(self, model: GenomeEncoderForSequenceClassification) -> None:
        weights = training_state(model)
        with safe_open(self.file, framework="pt") as held:
            for name in held.keys():  # noqa: SIM118 (no mapping, it has no iterator)
                weights[name].copy_(held.get_tensor(name))
