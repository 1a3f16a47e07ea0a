"""Local attention in blocks: an attention implementation of transformers whose time and memory grow with length.

Flow: query, key, value [batch, head, position, size] and which keys are tokens [batch, position] -> blocks as long as
half the window, each against the keys of its own and its two neighbors -> [batch, position, head, size]. Importing the
module registers it with transformers under the name `NAME`; it computes what `sdpa` computes there, but no
position x position mask is ever built. It is for encoders: attention looks both ways. It must not know models.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "blocked"  # value of `attn_implementation`

DENSE_BLOCKS = 4  # blocks up to which scores of all pairs cost less time than scores of blocks with their neighbors

EXPLICIT_KEYS = 1024
"""Keys per query up to which a processor's bfloat16 scores are kept for the backward pass, see `_attend`."""

Heads = Float[Tensor, "batch head position size"]
Attended = Float[Tensor, "batch position head size"]


def blocked_attention(
    module: nn.Module,
    query: Heads,
    key: Heads,
    value: Heads,
    # which positions are tokens, as `padding_mask` gave it; None where all are
    attention_mask: Bool[Tensor, "batch position"] | None,
    *,
    scaling: float | None = None,  # of the scores; None is one over the root of the vectors' size
    dropout: float = 0.0,
    sliding_window: int | None = None,  # one more than the positions seen on either side, as transformers counts it
    **unused: Any,
) -> tuple[Attended, None]:
    """Attention of every position to the tokens within its window, or to all where the layer has none."""
    del module, unused
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if sliding_window is None:
        bias = None if attention_mask is None else _bias(attention_mask[:, None, None], query.dtype)
        return _attend(query, key, value, bias, scale, dropout).transpose(1, 2), None
    reach, length = sliding_window - 1, query.shape[2]
    if length <= DENSE_BLOCKS * max(1, reach):
        bias = _band_bias(attention_mask, length, reach, query)
        return _attend(query, key, value, bias, scale, dropout).transpose(1, 2), None
    return _attend_in_blocks(query, key, value, attention_mask, max(1, reach), reach, scale, dropout), None


def padding_mask(
    *, attention_mask: Bool[Tensor, "batch position"] | None = None, **unused: Any
) -> Bool[Tensor, "batch position"] | None:
    """Which positions are tokens, None where all are: all that this implementation wants of a mask."""
    del unused
    return None if attention_mask is None or bool(attention_mask.all()) else attention_mask


def _band_bias(
    keep: Bool[Tensor, "batch position"] | None, length: int, reach: int, query: Heads
) -> Float[Tensor, "_ 1 position position"] | None:
    """Bias of all pairs of few positions: those beyond reach and those that hold no token weigh nothing."""
    if length <= reach + 1:
        return None if keep is None else _bias(keep[:, None, None].expand(-1, -1, length, -1), query.dtype)
    places = torch.arange(length, device=query.device)
    near = ((places[:, None] - places).abs() <= reach)[None, None]
    return _bias(near if keep is None else near & keep[:, None, None], query.dtype)


def _attend_in_blocks(
    query: Heads,
    key: Heads,
    value: Heads,
    keep: Bool[Tensor, "batch position"] | None,
    block: int,
    reach: int,
    scale: float,
    dropout: float,
) -> Attended:
    batch, _, length, _ = query.shape
    if keep is None:
        keep = torch.ones(batch, length, dtype=torch.bool, device=query.device)
    # A block is as long as the reach, so all that its queries may look at lies in it and in its two neighbors: scores
    # are [block, 3 * block] for each block, and their number grows with the length, not with its square.
    missing = -length % block
    padded = functional.pad(query, (0, 0, 0, missing)).transpose(1, 2)
    queries = padded.unflatten(1, (-1, block)).flatten(0, 1).transpose(1, 2)  # blocks become part of the batch
    keys, values = (_with_neighbors(part, block, missing) for part in (key, value))
    # The first block's left neighbor and the last block's right one lie beyond the row: padding, which is not kept.
    kept = functional.pad(keep, (block, block + missing)).unfold(1, 3 * block, block).flatten(0, 1)
    # Query i is key number i + block of the three blocks; most of the corners lie beyond its reach.
    own = torch.arange(block, device=query.device)[:, None] + block
    near = (torch.arange(3 * block, device=query.device) - own).abs() <= reach
    bias = _bias((near & kept[:, None])[:, None], query.dtype)
    attended = _attend(queries, keys, values, bias, scale, dropout).transpose(1, 2)
    return attended.reshape(batch, length + missing, *attended.shape[2:])[:, :length]


def _with_neighbors(heads: Heads, block: int, missing: int) -> Float[Tensor, "block head place size"]:
    """Blocks with the one before and the one after, zeros beyond the ends."""
    # Shifted views of the blocks side by side: block i - 1, block i, block i + 1.
    padded = functional.pad(heads.transpose(1, 2), (0, 0, 0, 0, block, block + missing)).unflatten(1, (-1, block))
    joined: Tensor = torch.cat([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], dim=2)
    return joined.flatten(0, 1).transpose(1, 2)


def _bias(keep: Bool[Tensor, "*shape"], dtype: torch.dtype) -> Float[Tensor, "*shape"]:
    """Zero where a key is kept, else so low that it weighs nothing; finite, lest a query without keys give NaN."""
    # Half of the smallest number: a bias added to a low score must not overflow to minus infinity.
    bias = torch.zeros(keep.shape, dtype=dtype, device=keep.device)
    return bias.masked_fill_(~keep, torch.finfo(dtype).min / 2)


def _attend(
    query: Float[Tensor, "batch head query size"],
    key: Float[Tensor, "batch head key size"],
    value: Float[Tensor, "batch head key size"],
    bias: Float[Tensor, "_ _ _ key"] | None,
    scale: float,
    dropout: float,
) -> Float[Tensor, "batch head query size"]:
    """Dense attention by the faster of two ways.

    On a processor the backward pass of torch's fused attention is several times slower in bfloat16 than products that
    are written out; everywhere else it is the faster one, and it keeps no scores.
    """
    if query.device.type != "cpu" or query.dtype == torch.float32 or key.shape[2] > EXPLICIT_KEYS:
        fused: Tensor = functional.scaled_dot_product_attention(query, key, value, bias, dropout, scale=scale)
        return fused
    scores = torch.matmul(query * scale, key.transpose(-1, -2))
    weights = torch.softmax(scores if bias is None else scores.add_(bias), dim=-1)
    attended: Tensor = torch.matmul(functional.dropout(weights, dropout) if dropout else weights, value)
    return attended


AttentionInterface.register(NAME, blocked_attention)
AttentionMaskInterface.register(NAME, padding_mask)
