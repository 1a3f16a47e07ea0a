"""Latents of chosen bases only: each level reads its own view, a fixed set of bases around the position.

Flow: base_ids [batch, base] -> the bases at a level's offsets, one-hot [batch, base, 4 x offset] -> two dense layers ->
latents [batch, position, width], one tensor per level, as the convolutional latent encoder gives one per tap. Position
is base: the stride is 1. It must not know codes or losses. The paper has no such encoder; docs/decisions/0005-views.md
says what it is for.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from vqdna.vocabulary.convolution import NUM_BASES, one_hot_bases


class ViewLayer(nn.Linear):
    """Dense layer of a view, started so that different words lie far apart and each finds a code of its own."""

    def spread(self) -> None:
        """Random weights that keep the spread of their input, and biases that bend each hidden unit elsewhere."""
        nn.init.normal_(self.weight, std=2 * self.in_features**-0.5)
        nn.init.normal_(self.bias, std=1.0)


class ViewEncoder(nn.Module):
    """Bases -> latents, one tensor per view; what is not in a level's view cannot change that level's code.

    Args:
        views: for each level the offsets of the bases that it reads, relative to the position, ascending.
        shared_strands: for each level whether a position and its place on the other strand have the same latent: the
            hidden layer is then summed over the view and its reverse complement.
        hidden_width: width of the hidden layer.
        width: length of the latents.
    """

    def __init__(
        self, *, views: Sequence[Sequence[int]], shared_strands: Sequence[bool], hidden_width: int, width: int
    ) -> None:
        super().__init__()
        self.views, self.shared_strands = [tuple(view) for view in views], tuple(shared_strands)
        self.reach = max(abs(offset) for view in self.views for offset in view)
        self.read = nn.ModuleList(ViewLayer(NUM_BASES * len(view), hidden_width) for view in self.views)
        self.write = nn.ModuleList(ViewLayer(hidden_width, width) for _ in self.views)

    def forward(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> list[Float[Tensor, "batch position width"]]:
        """Latents of every level; N, padding and what lies beyond the row's ends read as no base at all.

        In training a row is closed to a circle instead: no code is then spent on words that an edge cut off.
        """
        bases = one_hot_bases(base_ids, next(self.parameters()).dtype)
        if attention_mask is not None:
            bases = bases * attention_mask[..., None]
        if self.training:
            # Index -1 is the last base, index `num_bases` the first again.
            around = torch.arange(-self.reach, bases.shape[1] + self.reach, device=bases.device)
            padded = bases[:, around % bases.shape[1]]
        else:
            padded = nn.functional.pad(bases, (0, 0, self.reach, self.reach))
        return [self._at_offsets(level, padded, base_ids.shape[1]) for level in range(len(self.views))]

    def latents_at(
        self, level: int, padded: UInt8[Tensor, "batch padded"], num_bases: int
    ) -> Float[Tensor, "batch position width"]:
        """Latents of one level, of base ids that were padded by `reach` on either side; 4 is no base."""
        return self._at_offsets(level, one_hot_bases(padded, next(self.parameters()).dtype), num_bases)

    def latents_of_words(self, level: int, words: UInt8[Tensor, "word base"]) -> Float[Tensor, "word width"]:
        """Latents of words of a level's view, 4 being no base."""
        return self._from_view(level, one_hot_bases(words, next(self.parameters()).dtype).flatten(1))

    def _at_offsets(
        self, level: int, padded: Float[Tensor, "batch padded 4"], num_bases: int
    ) -> Float[Tensor, "batch position width"]:
        # A view is the row itself moved by each offset: slices side by side, where gathering would copy base by base.
        starts = [self.reach + offset for offset in self.views[level]]
        return self._from_view(level, torch.cat([padded[:, start : start + num_bases] for start in starts], dim=-1))

    def _from_view(self, level: int, view: Float[Tensor, "*place letters"]) -> Float[Tensor, "*place width"]:
        hidden = nn.functional.gelu(self.read[level](view))
        if self.shared_strands[level]:
            # Reversing offsets and letters at once is the reverse complement: A C G T lie mirrored in the one-hot.
            hidden = hidden + nn.functional.gelu(self.read[level](view.flip(-1)))
        latents: Tensor = self.write[level](hidden)
        return latents
