"""Which positions of an encoder cover which bases.

Flow: marked bases [batch, base] + spans [batch, position, 2] -> marked positions [batch, position]. It must not know
why bases are marked.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

UNKNOWN_BASE = 4


def positions_touching(
    bases: Bool[Tensor, "batch base"], spans: Int[Tensor, "batch position 2"]
) -> Bool[Tensor, "batch position"]:
    """True for each position whose span holds at least one of the marked bases."""
    return num_held(bases, spans) > 0


def positions_over_unknown(
    base_ids: Shaped[Tensor, "batch base"], spans: Int[Tensor, "batch position 2"]
) -> Bool[Tensor, "batch position"]:
    """True for each position over an N."""
    return positions_touching(base_ids >= UNKNOWN_BASE, spans)


def num_held(
    bases: Bool[Tensor, "batch base"], spans: Int[Tensor, "batch position 2"]
) -> Int[Tensor, "batch position"]:
    """How many of the marked bases each position's span holds."""
    before = torch.nn.functional.pad(bases.long().cumsum(dim=1), (1, 0))
    return before.gather(1, spans[..., 1]) - before.gather(1, spans[..., 0])
