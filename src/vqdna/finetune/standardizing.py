"""Pooled features standardized by what the training sequences give before anything has learned.

A pre-trained encoder's pooled states lie close together, far from the origin; a fresh head sees nearly the same vector
for every sequence and needs many steps to find what differs. Mean and deviation are measured once and kept, so that no
score depends on what else is in a batch. It must not know training.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

SMALLEST_DEVIATION = 1e-3
"""Of a feature, as a share of the mean deviation: smaller ones would only blow up noise."""


class Standardizer(nn.Module):
    """Features less their mean, over their deviation; as they are until `fit`."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    @torch.no_grad()
    def fit(self, features: Float[Tensor, "row feature"]) -> None:
        """Takes mean and deviation of the rows."""
        deviation = features.std(dim=0, correction=0)
        least = SMALLEST_DEVIATION * deviation.mean()
        self.mean.copy_(features.mean(dim=0))
        self.deviation.copy_(deviation.clamp_min(least) if least > 0 else torch.ones_like(deviation))

    def forward(self, features: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
        """Standardized features."""
        return (features - self.mean) / self.deviation
