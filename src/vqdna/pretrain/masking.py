"""What is hidden from the genome encoder: spans of bases, and the positions that stand for them.

Flow: (seed, window number) -> masked bases [batch, base] -> masked positions [batch, position]. A learned code is a
function of bases around its own span, its field, so hiding positions alone leaves the answer in the neighbors' codes;
with `unit: bases` the vocabulary itself sees N there, with `unit: fields` every position is hidden whose field touches
a masked base. It must not know models. Paper: section 3.4 (25 %); how positions are hidden is not stated there, see
docs/paper.md and docs/decisions/0003-masking.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from pydantic import Field
from torch import Tensor

from vqdna.config import StrictModel
from vqdna.encoder.genome_encoder import UNKNOWN_BASE


class MaskingSettings(StrictModel):
    """How much is hidden, in what pieces, and from whom."""

    fraction: float = Field(default=0.25, gt=0, lt=1)  # share of the bases that is masked
    # "bases" hides spans from the vocabulary and from the encoder (no leak); "fields" hides them from the encoder along
    # with every position whose code looks at them (no leak, and no N in any code); "spans" hides the bases from the
    # encoder only; "codes" hides single positions from the encoder only
    unit: Literal["bases", "fields", "spans", "codes"] = "bases"
    span: int = Field(default=12, ge=1)  # bases of a span, for all units but "codes"


def draw_masked_bases(
    settings: MaskingSettings, seed: int, numbers: Sequence[int], num_bases: int, bases_per_position: int
) -> Bool[np.ndarray, "batch base"]:
    """Masked bases of windows; each row is a pure function of (seed, its number).

    Spans do not overlap and start at multiples of `bases_per_position`. They are laid on a circle, so one may run over
    the window's end and on at its start; every base is masked with probability `fraction` (the number of spans is
    rounded up or down at random).
    """
    num_units = -(-num_bases // bases_per_position)
    size = 1 if settings.unit == "codes" else min(num_units, max(1, round(settings.span / bases_per_position)))
    masks = np.zeros((len(numbers), num_units), dtype=bool)
    for row, number in enumerate(numbers):
        generator = np.random.default_rng((seed, number))
        count = min(int(settings.fraction * num_units / size + generator.random()), num_units // size)
        # Each span shrunk to one unit leaves `slots` units; any choice among them, spread out again, cannot overlap,
        # and all arrangements are equally likely.
        slots = num_units - count * (size - 1)
        starts = np.sort(generator.choice(slots, count, replace=False)) + np.arange(count) * (size - 1)
        for start in starts:
            masks[row, start : start + size] = True
        # Turned by a random offset, for without it the ends of a window would be masked less often than its middle.
        masks[row] = np.roll(masks[row], generator.integers(num_units))
    return np.repeat(masks, bases_per_position, axis=1)[:, :num_bases]


def hide_bases(
    base_ids: UInt8[Tensor, "batch base"], masked_bases: Bool[Tensor, "batch base"]
) -> UInt8[Tensor, "batch base"]:
    """The bases with N in place of the masked ones."""
    return base_ids.masked_fill(masked_bases, UNKNOWN_BASE)


def widened(marked: Bool[Tensor, "batch base"], reach: int) -> Bool[Tensor, "batch base"]:
    """True for each base with a marked one within `reach` bases."""
    if not reach:
        return marked
    return torch.nn.functional.max_pool1d(marked.float(), 2 * reach + 1, stride=1, padding=reach) > 0


def distance_to_visible(
    masked_positions: Bool[Tensor, "batch position"], attention_mask: Bool[Tensor, "batch position"]
) -> Int[Tensor, "batch position"]:
    """Positions from each masked position to the nearest seen one; 0 where it was seen itself, -1 where none was."""
    num_positions = masked_positions.shape[1]
    visible = attention_mask & ~masked_positions
    index = torch.arange(num_positions, device=visible.device).expand_as(visible)
    far = 2 * num_positions
    left = torch.where(visible, index, -far).cummax(dim=1).values
    right = torch.where(visible, index, far).flip(1).cummin(dim=1).values.flip(1)
    distance = torch.minimum(index - left, right - index)
    return torch.where(visible.any(dim=1, keepdim=True), distance, -1)
