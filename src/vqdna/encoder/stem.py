"""What stands between token embeddings and the backbone: the stem, and special tokens around a row.

Flow: token embeddings [batch, token, token_width] -> convolution over neighbors -> `merge` neighbors to one
[batch, position, width]; after the backbone [batch, position, width] -> [batch, token, token_width], for what is
asked of single tokens. A position then costs as much as `merge` tokens, which is what makes training on few cores
and rows of hundreds of thousands of bases affordable. The stem is ours, the paper has none. Special tokens stand around
a row for no bases, as [CLS] and [SEP] in published models; spans, masks and heads never see them. It must not know
tokenizers.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional

from vqdna.config import StrictModel

TokenStates = Float[Tensor, "batch token token_width"]
TokenMask = Bool[Tensor, "batch token"]
States = Float[Tensor, "batch position width"]
MergedStates = tuple[States, Bool[Tensor, "batch position"]]


class StemSettings(StrictModel):
    """Shape of a stem."""

    width: int = Field(default=128, ge=1)  # of a token's embedding, before tokens are merged
    kernel_size: int = Field(default=9, ge=1)  # tokens that the convolution sees, an odd number
    merge: int = Field(default=4, ge=1)  # neighboring tokens that make one position of the backbone

    @field_validator("kernel_size")
    @classmethod
    def _is_odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError("expected an odd number, so that a token has as many neighbors on either side")
        return size


class Stem(nn.Module):
    """A residual convolution over tokens, their merging, and its counterpart.

    The backbone reads embeddings of `width` and gives states of `state_width`.
    """

    def __init__(self, settings: StemSettings, width: int, state_width: int) -> None:
        super().__init__()
        self.settings, self.merge_size = settings, settings.merge
        self.norm = nn.LayerNorm(settings.width)
        self.convolution = nn.Conv1d(settings.width, settings.width, settings.kernel_size, padding="same")
        self.merging = nn.Linear(settings.merge * settings.width, width)
        self.splitting = nn.Linear(state_width, settings.merge * settings.width)

    def merge(self, embeddings: TokenStates, token_mask: Bool[Tensor, "batch token"]) -> MergedStates:
        """Embedding of each position, and which positions hold at least one token; padding changes nothing."""
        # Padding is zeroed before the convolution, which would carry it to its neighbors, and after it, for a position
        # may merge tokens with padding.
        kept = token_mask[..., None]
        seen = self.norm(embeddings).masked_fill(~kept, 0.0)
        states = (embeddings + functional.gelu(self._convolved(seen))).masked_fill(~kept, 0.0)
        missing = -states.shape[1] % self.merge_size
        states = functional.pad(states, (0, 0, 0, missing))
        mask = functional.pad(token_mask, (0, missing)).unflatten(1, (-1, self.merge_size)).any(dim=2)
        return self.merging(states.unflatten(1, (-1, self.merge_size)).flatten(2)), mask

    def split(self, hidden: States, num_tokens: int) -> TokenStates:
        states: Tensor = self.splitting(hidden).unflatten(2, (self.merge_size, self.settings.width)).flatten(1, 2)
        return states[:, :num_tokens]

    def _convolved(self, states: TokenStates) -> TokenStates:
        """The convolution of channel-last rows; as `conv2d` of height 1 it takes them as they lie, which is faster."""
        layer, half = self.convolution, self.settings.kernel_size // 2
        weight = layer.weight[:, :, None].contiguous(memory_format=torch.channels_last)
        rows = states[:, None].permute(0, 3, 1, 2)
        return functional.conv2d(rows, weight, layer.bias, padding=(0, half))[:, :, 0].transpose(1, 2)


class SpecialTokens(StrictModel):
    """Codes of the tokens before each row's first token, and behind its last one, wherever padding begins."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.first) + len(self.last)


def surrounded(
    embeddings: Float[Tensor, "batch token width"],
    token_mask: Bool[Tensor, "batch token"],
    first: Float[Tensor, "before width"],
    last: Float[Tensor, "after width"],
) -> MergedStates:
    """Rows with the embeddings of the special tokens around them, and which positions hold any token."""
    batch, _, width = embeddings.shape
    # A row's last special tokens stand where its padding begins, so at another place in every row: they are scattered.
    lengths = token_mask.sum(dim=1, keepdim=True) + len(first)
    before, after = (part.to(embeddings.dtype).expand(batch, -1, -1) for part in (first, last))
    rows = torch.cat([before, embeddings, torch.zeros_like(after)], dim=1)
    places = lengths + torch.arange(len(last), device=lengths.device)
    rows = rows.scatter(1, places[..., None].expand(-1, -1, width), after)
    return rows, torch.arange(rows.shape[1], device=lengths.device) < lengths + len(last)
