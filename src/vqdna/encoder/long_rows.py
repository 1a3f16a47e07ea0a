"""Rows of hundreds of thousands of bases in bounded memory: what is computed in pieces, and what is computed again.

Flow: codes [batch, token, level] -> chunks of tokens, each with all that its positions look at -> hidden states
[batch, position, width]. In training a chunk's inner values are computed again in the backward pass. So time grows
linearly with length, and of memory only codes and hidden states grow. Results and gradients are those of the whole rows
at once. It must not know encoders or heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

MAX_BASES = 450_000  # bases of the longest sequence that embedding, fine-tuning and prediction take

LONG_ROW_TOKENS = 16_384  # tokens beyond which a row goes through the encoder in chunks

CHUNK_TOKENS = 32_768  # tokens of a chunk, besides those that its positions look at

RECOMPUTED_POSITIONS = 16_384
"""Positions of a row beyond which layers that look at all of it keep only their input for the backward pass."""

Codes = Int[Tensor, "batch token level"]
TokenMask = Bool[Tensor, "batch token"]
States = tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position"]]


def reach_of_layers(backbone: PreTrainedConfig) -> int | None:
    """Positions on either side that can change a hidden state; None where a layer looks at the whole row."""
    kinds = getattr(backbone, "layer_types", None)
    if not kinds or set(kinds) != {"sliding_attention"}:
        return None
    return len(kinds) * int(backbone.sliding_window)


def in_chunks(
    # tokens of some rows to states and mask of their positions
    encode: Callable[[Codes, TokenMask, TokenMask | None], States],
    codes: Codes,
    token_mask: TokenMask,
    hidden_tokens: TokenMask | None,  # tokens that the encoder is not to see
    *,
    merge: int,  # tokens in a position
    reach: int,  # tokens on either side of a position's own that can change its state
) -> States:
    """What `encode` gives for the whole rows, worked out a chunk of one row at a time where rows are long."""
    if token_mask.shape[1] <= LONG_ROW_TOKENS:
        return encode(codes, token_mask, hidden_tokens)
    tokens = (codes, token_mask, hidden_tokens)
    # Row by row, for the memory of a chunk is what bounds the whole; rows of a batch would multiply it.
    rows = [
        _row_in_chunks(encode, [None if part is None else part[row : row + 1] for part in tokens], merge, reach)
        for row in range(len(codes))
    ]
    states, mask = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return states, mask


def _row_in_chunks(encode: Callable[..., States], tokens: list[Tensor | None], merge: int, reach: int) -> States:
    num_tokens = next(part.shape[1] for part in tokens if part is not None)
    # Chunks and margins are whole positions: a chunk that began inside a position would merge other tokens than the
    # whole row does.
    size, margin = (-(-length // merge) * merge for length in (CHUNK_TOKENS, reach))
    chunks = []
    for start in range(0, num_tokens, size):
        first, end = max(0, start - margin), min(start + size, num_tokens)
        # A chunk is given all that its own positions look at. The margins' states are wrong, for they lack their own
        # surroundings, and are cut off again.
        given = [None if part is None else part[:, first : end + margin] for part in tokens]
        own = slice((start - first) // merge, -(-(end - first) // merge))
        chunks.append([part[:, own] for part in recomputed(encode, *given)])
    states, mask = (torch.cat(parts, dim=1) for parts in zip(*chunks, strict=True))
    return states, mask


def recomputed(function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`, of which nothing but the arguments is kept for the backward pass."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False)


@contextmanager
def recomputed_layers(backbone: nn.Module, num_positions: int) -> Iterator[None]:
    """Within, each layer of the backbone keeps only its input for the backward pass, if there are many positions.

    The rest is computed again, which costs a third of the time. Layers that a user made do so already are left alone.
    """
    layers = [layer for layer in backbone.modules() if isinstance(layer, GradientCheckpointingLayer)]
    changed = [layer for layer in layers if num_positions > RECOMPUTED_POSITIONS and not layer.gradient_checkpointing]
    for layer in changed:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer in changed:
            layer.gradient_checkpointing = False
