"""Both strands of a sequence at once, where a label holds for both: one answer, whichever strand is given.

Flow: base_ids [batch, base] -> the rows and behind them their reverse complements [2 * batch, base] -> (encoder,
pooling) -> pooled [2 * batch, feature] -> maximum and mean over the strands [batch, 2 * feature]. Averaged predictions
leave it to each strand alone to see a motif; here one that stands on either is seen. It must not know models.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Shaped, UInt8
from torch import Tensor

from vqdna.genome.bases import N


def strand_pairs(
    base_ids: Shaped[Tensor, "batch base"], attention_mask: Shaped[Tensor, "batch base"] | None = None
) -> tuple[UInt8[Tensor, "pair base"], Bool[Tensor, "pair base"]]:
    """Rows, behind them their reverse complements, and the mask of both; padding stays behind each row.

    Args:
        base_ids: of the strand given; N stays N.
        attention_mask: False on padding at the row's end; None where there is none.
    """
    bases = base_ids.to(torch.uint8)
    mask = torch.ones_like(bases, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    positions = torch.arange(bases.shape[1], device=bases.device)
    lengths = mask.sum(dim=1, keepdim=True)
    backwards = torch.where(positions < lengths, lengths - 1 - positions, positions)
    turned = bases.gather(1, backwards)
    complement = torch.where(turned < N, N - 1 - turned, turned)
    return torch.cat([bases, complement]), torch.cat([mask, mask])


def joined_strands(pooled: Float[Tensor, "pair feature"]) -> Float[Tensor, "batch joined"]:
    """Maximum and mean over the two strands of each sequence, the strands given in the first half of the rows."""
    given, reverse = pooled.chunk(2)
    return torch.cat([torch.maximum(given, reverse), (given + reverse) / 2], dim=1)
