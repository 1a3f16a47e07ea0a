"""The best epoch so far, by dev metric: its trainable weights and score in one file, so that a resumed run keeps both.

Flow: (epoch, dev metrics, model) after each epoch -> best.safetensors, replaced only by a better one -> restore.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from vqdna.finetune.adapters import trainable_weights
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.results import write_atomically
from vqdna.tasks.loading import Task
from vqdna.tasks.metrics import Metrics, metric_value, primary_metric


class BestEpoch:
    """Keeper of the best epoch's trainable weights.

    Args:
        file: where they are kept; an existing file is gone on from.
        task: whose primary metric decides; the earlier epoch wins a tie.
    """

    def __init__(self, file: Path, task: Task) -> None:
        self.file, self.metric = file, primary_metric(task)
        self.epoch, self.score = 0, -math.inf
        if file.exists():
            with safe_open(file, framework="pt") as held:
                record = json.loads(held.metadata()["best"])
            self.epoch = record["epoch"]
            self.score = -math.inf if record["score"] is None else record["score"]

    def offer(self, epoch: int, metrics: Metrics, model: GenomeEncoderForSequenceClassification) -> None:
        """Keeps the model's trainable weights if this epoch is the best so far; 0 is a head that learned alone."""
        # The file decides, not memory: a run killed between two epochs finds its best one there when it resumes.
        score = metric_value(metrics, self.metric)
        if self.file.exists() and score <= self.score:
            return
        self.epoch, self.score = epoch, score
        record = {"epoch": epoch, "score": score if math.isfinite(score) else None}
        weights = {name: value.cpu().contiguous() for name, value in _state(model).items()}
        write_atomically(self.file, save(weights, {"best": json.dumps(record)}))

    def restore(self, model: GenomeEncoderForSequenceClassification) -> None:
        """Gives the model the best epoch's weights."""
        weights = _state(model)
        with safe_open(self.file, framework="pt") as held:
            for name in held.keys():  # noqa: SIM118 (no mapping, it has no iterator)
                weights[name].copy_(held.get_tensor(name))


def _state(model: GenomeEncoderForSequenceClassification) -> dict[str, Tensor]:
    """What differs from epoch to epoch: the weights that learn, and the statistics of batch normalization."""
    norms = [(name, part) for name, part in model.named_modules() if isinstance(part, _BatchNorm)]
    # No gradient moves the statistics, but every training step does: those of a later epoch do not fit these weights,
    # and cost a network of convolutions up to ten points of MCC.
    statistics = {f"{name}.{key}": buffer for name, part in norms for key, buffer in part.named_buffers()}
    return {**trainable_weights(model), **statistics}
