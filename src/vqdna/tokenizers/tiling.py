"""Whole sequences to codes in tiles with enough context that every code is that of the untiled sequence.

Flow: one sequence [base] -> tiles [batch, base] with `context_bases` on either side -> codes [position, level] and
spans [position, 2]. Memory does not grow with the sequence, but for the codes themselves. It must not know files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Int, UInt8

from vqdna.tokenizers.contract import Tokenizer

TILE_BASES = 8192
TILES_AT_A_TIME = 8


def encode_sequence(
    tokenizer: Tokenizer, base_ids: UInt8[np.ndarray, "base"], *, tile_bases: int | None = None
) -> tuple[Int[np.ndarray, "position level"], Int[np.ndarray, "position 2"]]:
    """Codes and base spans of a whole sequence.

    Args:
        tokenizer: a learned tokenizer, whose `bases_per_position` is a whole number.
        base_ids: the sequence.
        tile_bases: bases encoded at a time, besides the context on either side; changes memory, not codes. None takes
            `TILE_BASES`.
    """
    stride = int(tokenizer.bases_per_position)
    tile_bases = max(1, (tile_bases or TILE_BASES) // stride) * stride
    margin = -(-tokenizer.context_bases // stride) * stride
    codes = [
        tile
        for batch in _in_batches(_tiles(base_ids, tile_bases, margin), TILES_AT_A_TIME)
        for tile in _encode_tiles(tokenizer, batch, stride)
    ]
    joined = np.concatenate(codes) if codes else np.zeros((0, len(tokenizer.level_sizes)), dtype=np.int64)
    return joined, _strides(len(base_ids), stride)


def token_spans(tokenizer: Tokenizer, base_ids: UInt8[np.ndarray, "base"]) -> Int[np.ndarray, "position 2"]:
    """First base and end of each token of a sequence, whatever its tokenizer."""
    if tokenizer.vector_size is not None:
        return _strides(len(base_ids), int(tokenizer.bases_per_position))
    spans: Int[np.ndarray, "position 2"] = tokenizer.encode(torch.from_numpy(base_ids)[None]).spans[0].cpu().numpy()
    return spans


def _strides(num_bases: int, stride: int) -> Int[np.ndarray, "position 2"]:
    starts = np.arange(0, num_bases, stride, dtype=np.int64)
    return np.stack([starts, np.minimum(starts + stride, num_bases)], axis=1)


Tile = tuple[UInt8[np.ndarray, "base"], int, int]


def _tiles(base_ids: UInt8[np.ndarray, "base"], tile_bases: int, margin: int) -> Iterator[Tile]:
    """Slices with their context, each with the number of context bases before it and of its own bases."""
    for start in range(0, len(base_ids), tile_bases):
        end = min(start + tile_bases, len(base_ids))
        first = max(0, start - margin)
        yield base_ids[first : end + margin], start - first, end - start


def _in_batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    """Runs of at most `size` tiles of equal length, so that no padding is needed."""
    batch: list[Tile] = []
    for tile in tiles:
        if batch and (len(batch) == size or len(tile[0]) != len(batch[0][0])):
            yield batch
            batch = []
        batch.append(tile)
    if batch:
        yield batch


def _encode_tiles(tokenizer: Tokenizer, tiles: list[Tile], stride: int) -> Iterator[Int[np.ndarray, "position level"]]:
    device = next(tokenizer.parameters()).device
    stacked = torch.from_numpy(np.stack([bases for bases, _, _ in tiles])).to(device)
    codes = tokenizer.encode(stacked).codes.cpu().numpy()
    for row, (_, before, length) in zip(codes, tiles, strict=True):
        yield row[before // stride : before // stride + -(-length // stride)]
