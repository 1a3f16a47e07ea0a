"""The shares of unequal passes make stage 3's loss that of the joint batch; whole runs are in test_distributed.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from example_tasks import tiny_encoder

from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.training.gradient_accumulation import share_losses

LABELS = {
    "classification": torch.tensor([0, 2, 1, 2, 2]),
    "multilabel": torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]]),
    "regression": torch.tensor([0.5, -3.0, 2.0, 8.0, 1.0]),
}


@pytest.mark.parametrize(
    ("task", "class_weights"),
    [
        ("classification", None),
        ("classification", [5.0, 1.0, 0.5]),
        ("multilabel", [3.0, 1.0, 2.0]),
        ("regression", None),
    ],
)
def test_passes_of_unequal_size_have_the_loss_of_the_joint_batch(task: str, class_weights: list[float] | None) -> None:
    settings: dict[str, Any] = {"task": task, "class_names": ("a", "b", "c"), "class_weights": class_weights}
    model = GenomeEncoderForSequenceClassification.from_encoder(tiny_encoder(), **settings).eval()
    torch.nn.init.normal_(model.head.output.weight)
    batch = {"base_ids": torch.randint(0, 4, (5, 40), dtype=torch.uint8), "labels": LABELS[task]}
    cuts = [1, 3, 1]
    parts = [dict(zip(batch, part, strict=True)) for part in zip(*(rows.split(cuts) for rows in batch.values()))]
    filled = [*parts, parts[0]]
    shared = share_losses(model, filled, torch.device("cpu"), counted=[True, True, True, False])
    found = sum(model(**part).loss for part in shared) / len(filled)
    assert found.item() == pytest.approx(model(**batch).loss.item(), rel=1e-5)
    assert found.item() != pytest.approx(sum(model(**part).loss for part in parts).item() / len(parts), rel=1e-3)
