"""One vector for a row of positions: what heads read, and what stretches are compared by.

Flow: hidden states [batch, position, width] + which positions hold tokens -> [batch, pooled]. It must not know heads.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

POOLINGS = ("mean", "mean+max")


def pool_positions(
    hidden: Float[Tensor, "batch position width"], attention_mask: Bool[Tensor, "batch position"], pooling: str
) -> Float[Tensor, "batch pooled"]:
    """Mean (and with "mean+max" also the maximum) over each row's positions that hold a token, in float32."""
    padding = ~attention_mask[..., None]
    hidden = hidden.float()
    mean = hidden.masked_fill(padding, 0.0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
    if pooling == "mean":
        return mean
    return torch.cat([mean, hidden.masked_fill(padding, -torch.inf).amax(dim=1)], dim=1)
