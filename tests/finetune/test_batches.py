from __future__ import annotations

import numpy as np
import torch

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.finetune.batches import EpochDataset, collate, shuffled_by_length

LENGTHS = np.random.default_rng(0).integers(1, 60, 1003)


def dataset(num_rows: int = 100, *, seed: int = 0, **strands: bool) -> EpochDataset:
    """Row i has the code i on the forward strand and 1000 + i on the other."""
    forward = [np.full((3, 1), row) for row in range(num_rows)]
    encoded = EncodedSequences(forward, [codes + 1000 for codes in forward])
    return EpochDataset(encoded, np.arange(num_rows), batch_size=8, seed=seed, **strands)


def codes_of(data: EpochDataset) -> list[int]:
    return [int(data[index][0][0][0, 0]) for index in range(len(data))]


def test_every_row_once_and_batches_of_similar_length():
    order = shuffled_by_length(LENGTHS, 16, np.random.default_rng(0))
    assert sorted(order) == list(range(1003))
    spreads = [np.ptp(LENGTHS[order[start : start + 16]]) for start in range(0, 992, 16)]
    assert np.mean(spreads) < 8


def test_batches_come_in_no_order_of_length():
    order = shuffled_by_length(LENGTHS, 16, np.random.default_rng(0))
    means = [LENGTHS[order[start : start + 16]].mean() for start in range(0, 512, 16)]
    assert abs(np.corrcoef(np.arange(32), means)[0, 1]) < 0.5


def test_order_is_a_function_of_seed_and_epoch():
    first, again, other = dataset(), dataset(), dataset(seed=1)
    epochs = []
    for epoch in range(3):
        first.set_epoch(epoch)
        epochs.append(codes_of(first))
    again.set_epoch(2)
    other.set_epoch(2)
    assert codes_of(again) == epochs[2]
    assert epochs[0] != epochs[1] != epochs[2] != codes_of(other)


def test_labels_stay_with_their_sequences():
    data = dataset(augment=True)
    assert all(int(rows[0][0, 0]) % 1000 == label for rows, label in (data[index] for index in range(len(data))))


def test_pairs_have_the_reverse_complements_behind_all_strands_given():
    data = dataset(pairs=True)
    batch = collate([data[index] for index in range(3)])
    codes = batch["codes"][:, 0, 0]
    assert torch.equal(codes[:3], batch["labels"])
    assert torch.equal(codes[3:], batch["labels"] + 1000)
    assert batch["position_mask"].shape == (6, 3)


def test_augmentation_draws_the_strand_of_each_row_anew_every_epoch():
    data = dataset(400, augment=True)
    reversed_rows = []
    for epoch in (0, 1):
        data.set_epoch(epoch)
        reversed_rows.append({code - 1000 for code in codes_of(data) if code >= 1000})
    assert all(150 < len(rows) < 250 for rows in reversed_rows)
    assert 60 < len(reversed_rows[0] & reversed_rows[1]) < 140
    assert max(codes_of(dataset(400))) < 1000


def test_collate_gives_labels_as_the_loss_takes_them():
    codes = [np.zeros((2, 1), dtype=np.int32)]
    assert collate([(codes, np.int64(1)), (codes, np.int64(0))])["labels"].dtype == torch.int64
    assert collate([(codes, np.float64(0.5))])["labels"].dtype == torch.float32
    sets = collate([(codes, np.array([1, 0])), (codes, np.array([1, 1]))])["labels"]
    assert sets.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert sets.dtype == torch.float32
