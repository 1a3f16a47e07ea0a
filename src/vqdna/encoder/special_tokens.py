"""Tokens that stand around a row for no bases, as [CLS] before and [SEP] behind it in published models.

Flow: embeddings [batch, token, width] of a row -> with the special tokens' around it -> backbone -> hidden states, of
which those of the row's own tokens are taken. Spans, masks and heads never see special tokens. It must not know
tokenizers or backbones.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vqdna.config import StrictModel


class SpecialTokens(StrictModel):
    """Codes of the tokens around each row.

    Attributes:
        first: before a row's first token.
        last: behind its last one, wherever padding begins.
    """

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()

    @property
    def parts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What stands before and what behind."""
        return self.first, self.last

    def __len__(self) -> int:
        """Positions that they take."""
        return len(self.first) + len(self.last)


def surrounded(
    embeddings: Float[Tensor, "batch token width"],
    token_mask: Bool[Tensor, "batch token"],
    first: Float[Tensor, "before width"],
    last: Float[Tensor, "after width"],
) -> tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position"]]:
    """Rows with the embeddings of the special tokens around them, and which positions hold any token."""
    batch, _, width = embeddings.shape
    lengths = token_mask.sum(dim=1, keepdim=True) + len(first)
    before, after = (part.to(embeddings.dtype).expand(batch, -1, -1) for part in (first, last))
    rows = torch.cat([before, embeddings, torch.zeros_like(after)], dim=1)
    places = lengths + torch.arange(len(last), device=lengths.device)
    rows = rows.scatter(1, places[..., None].expand(-1, -1, width), after)
    return rows, torch.arange(rows.shape[1], device=lengths.device) < lengths + len(last)
