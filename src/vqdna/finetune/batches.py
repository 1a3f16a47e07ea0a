"""The training sequences in the order of an epoch: shuffled, rows of similar length together, each from one strand.

Flow: EncodedSequences + labels -> item i of epoch e (a pure function of (seed, e, i)) -> collate -> codes
[batch, position, level], position_mask [batch, position], labels. It must not know models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from numpy import ndarray
from torch import Tensor
from torch.utils.data import Dataset

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.tokenizers.padding import CodeRows, pad_codes

BATCHES_PER_POOL = 32
"""Batches whose rows are sorted by length together: enough to save padding, few enough to stay shuffled."""

Item = tuple[CodeRows, Any]  # codes of a record, of one strand or of both, and its class id, score or row of 0/1


class EpochDataset(Dataset[Item]):
    """Codes and labels in the order of the current epoch."""

    def __init__(
        self,
        encoded: EncodedSequences,  # with both strands where `augment` or `pairs`
        labels: ndarray,  # class ids, 0/1 sets or scores, a row each
        *,
        batch_size: int,  # rows of a batch, which order keeps together
        seed: int,
        augment: bool = False,  # each epoch draws the strand of each row
        pairs: bool = False,  # items have both strands
    ) -> None:
        self.encoded, self.labels = encoded, labels
        self.batch_size, self.seed, self.augment, self.pairs = batch_size, seed, augment, pairs
        self.lengths = np.array([len(row) for row in encoded.codes])
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Order and strands of the epoch, counted from 0; transformers' Trainer calls it, also when it resumes."""
        random = np.random.default_rng([self.seed, epoch])
        self.order = shuffled_by_length(self.lengths, self.batch_size, random)
        self.reversed = random.random(len(self)) < 0.5 if self.augment else np.zeros(len(self), dtype=bool)

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> Item:
        row = int(self.order[index])
        reverse = self.encoded.reverse_codes
        if reverse is not None and self.reversed[row]:
            return [reverse[row]], self.labels[row]
        return self.encoded.rows([row], pairs=self.pairs), self.labels[row]


def shuffled_by_length(
    lengths: Int[ndarray, "row"], batch_size: int, random: np.random.Generator
) -> Int[ndarray, "row"]:
    """Row numbers such that consecutive batches hold rows of similar length, and are in random order themselves."""
    # Sorting all rows would show the model the short sequences first. So rows are shuffled, sorted by length within
    # pools of 32 batches, and the batches shuffled again; the last, smaller batch stays last.
    order = random.permutation(len(lengths))
    pools = np.arange(len(order)) // (batch_size * BATCHES_PER_POOL)
    order = order[np.lexsort((lengths[order], pools))]
    whole = len(order) // batch_size * batch_size
    batches = random.permutation(order[:whole].reshape(-1, batch_size))
    return np.concatenate([batches.reshape(-1), order[whole:]])


def collate(items: Sequence[Item]) -> dict[str, Any]:
    """Batch of a classifier's forward; where items have both strands, the reverse complements behind all others."""
    strands = zip(*(rows for rows, _ in items), strict=True)
    codes, position_mask = pad_codes([row for strand in strands for row in strand])
    return {"codes": codes, "position_mask": position_mask, "labels": label_tensor([label for _, label in items])}


def label_tensor(labels: Sequence[Any]) -> Shaped[Tensor, "batch ..."]:
    stacked = np.stack(labels)
    is_class_id = stacked.ndim == 1 and np.issubdtype(stacked.dtype, np.integer)
    return torch.from_numpy(stacked.astype(np.int64 if is_class_id else np.float32))
