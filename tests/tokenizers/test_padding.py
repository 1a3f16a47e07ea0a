from __future__ import annotations

import numpy as np
import pytest
import torch

from vqdna.tokenizers.padding import leading_mask, length_buckets, pad_rows, row_lengths


def test_rows_are_padded_to_the_longest_and_masked():
    base_ids, mask = pad_rows([np.array([0, 1], np.uint8), np.array([], np.uint8), np.array([3, 2, 1], np.uint8)])
    assert base_ids.tolist() == [[0, 1, 4], [4, 4, 4], [3, 2, 1]]
    assert mask.tolist() == [[True, True, False], [False, False, False], [True, True, True]]
    assert row_lengths(base_ids, mask).tolist() == [2, 0, 3]
    assert row_lengths(base_ids, None).tolist() == [3, 3, 3]


def test_no_rows_make_an_empty_batch():
    base_ids, mask = pad_rows([])
    assert base_ids.shape == mask.shape == (0, 0)


def test_padding_before_a_base_is_refused():
    mask = torch.tensor([[True, True, True], [False, True, True]])
    with pytest.raises(ValueError, match="padding belongs at the end"):
        row_lengths(torch.zeros(2, 3, dtype=torch.uint8), mask)


def test_leading_mask_by_hand():
    assert leading_mask(torch.tensor([0, 2]), 3).tolist() == [[False, False, False], [True, True, False]]


def test_buckets_hold_every_row_once_and_keep_the_limit():
    lengths = np.random.default_rng(0).integers(0, 50, size=200)
    buckets = list(length_buckets(lengths, bases_per_batch=128))
    assert sorted(np.concatenate(buckets).tolist()) == list(range(200))
    assert all(len(bucket) * lengths[bucket].max() <= 128 for bucket in buckets)
    assert len(buckets) < 60


def test_a_row_above_the_limit_is_a_batch_by_itself():
    assert [bucket.tolist() for bucket in length_buckets([3, 100, 2], bases_per_batch=10)] == [[2, 0], [1]]
    assert list(length_buckets([], bases_per_batch=10)) == []
