"""Rows of unequal length in one batch: base ids padded to the right, the rows' lengths, and batches of similar length.

Flow: base id rows -> length_buckets -> pad_rows -> (base_ids [batch, base], attention_mask [batch, base]) ->
row_lengths [batch] -> leading_mask [batch, position]. It must not know any tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray
from torch import Tensor

from vqdna.genome.bases import N

CodeRows: TypeAlias = list[Int[ndarray, "_ level"]]
"""Codes of some records, without padding."""


def row_lengths(
    base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None
) -> Int[Tensor, "batch"]:
    """Number of bases of each row, all of them where there is no `attention_mask`.

    Raises:
        ValueError: a kept base follows a padded one.
    """
    batch, num_bases = base_ids.shape
    if attention_mask is None:
        return torch.full((batch,), num_bases, dtype=torch.int64, device=base_ids.device)
    if bool((attention_mask[:, 1:] & ~attention_mask[:, :-1]).any()):
        raise ValueError("attention_mask keeps a base after a padded one; padding belongs at the end of each row")
    return attention_mask.sum(dim=1)


def leading_mask(lengths: Int[Tensor, "batch"], width: int) -> Bool[Tensor, "batch position"]:
    """True at the first `lengths` positions of each row."""
    return torch.arange(width, device=lengths.device) < lengths[:, None]


def pad_rows(
    rows: Sequence[UInt8[ndarray, "_"]],
) -> tuple[UInt8[Tensor, "batch base"], Bool[Tensor, "batch base"]]:
    """Base ids of all rows, padded to the longest, and the mask that keeps their own bases."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    # N is an id that every tokenizer can read, though no code may depend on padding.
    base_ids = np.full((len(rows), max(map(len, rows), default=0)), N, dtype=np.uint8)
    for number, row in enumerate(rows):
        base_ids[number, : len(row)] = row
    return torch.from_numpy(base_ids), leading_mask(lengths, base_ids.shape[1])


def length_buckets(
    lengths: Sequence[int] | Int[ndarray, "row"], bases_per_batch: int, most_rows: int | None = None
) -> Iterator[Int[ndarray, "_"]]:
    """Row numbers of each batch, shortest rows first, so that a padded batch holds at most `bases_per_batch` bases.

    A row longer than that is a batch by itself.
    """
    order = np.argsort(np.asarray(lengths), kind="stable")
    start = 0
    for end in range(1, len(order) + 1):
        # In ascending order the next row would be the longest, to which all of the batch would be padded.
        is_full = end - start == most_rows
        if end == len(order) or is_full or (end + 1 - start) * int(lengths[order[end]]) > bases_per_batch:
            yield order[start:end]
            start = end


def pad_codes(rows: CodeRows) -> tuple[Int[Tensor, "batch position level"], Bool[Tensor, "batch position"]]:
    """Codes of some records padded with 0 to the longest, and the mask of the positions that hold a token."""
    lengths = np.array([len(row) for row in rows])
    codes = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), dtype=np.int64)
    for number, row in enumerate(rows):
        codes[number, : len(row)] = row
    return torch.from_numpy(codes), torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])


BATCH_SIZE = 64

TOKENS_PER_BATCH = 32_768
"""Padded tokens that the encoder sees at once, however large the batch size; a longer row goes alone."""


def similar_batches(
    lengths: Sequence[int], batch_size: int, most_tokens: int = TOKENS_PER_BATCH
) -> Iterator[Int[ndarray, "_"]]:
    """Row numbers of each batch, shortest rows first: at most `batch_size` rows, `most_tokens` padded tokens."""
    return length_buckets(lengths, most_tokens, batch_size)
