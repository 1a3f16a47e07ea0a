from __future__ import annotations

import numpy as np
import pytest
import torch
from example_tokenizer import TwoLevelTokenizer, planted
from scipy.sparse import csr_matrix

from vqdna.baselines.code_features import code_histogram, extract_features, histograms_of, mean_code_vector
from vqdna.tokenizers import load_tokenizer


def test_histogram_by_hand():
    base_ids = torch.tensor([[0, 0, 1, 3], [2, 4, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    tokens = TwoLevelTokenizer().encode(base_ids, mask)
    histogram = code_histogram(tokens.codes, tokens.attention_mask, (2, 5)).toarray()
    assert histogram.tolist() == [[0.5, 0.5, 0.5, 0.25, 0, 0.25, 0], [1, 0, 0, 0, 0.5, 0, 0.5]]


def test_several_levels_also_give_the_coarse_ones_and_the_finest_alone():
    counts = csr_matrix(np.arange(18, dtype=float).reshape(2, 9))
    found = histograms_of(counts, (2, 3, 4))
    assert list(found) == ["histogram", "coarse", "fine"]
    assert found["coarse"].toarray().tolist() == [[0, 1, 2, 3, 4], [9, 10, 11, 12, 13]]
    assert found["fine"].toarray().tolist() == [[5, 6, 7, 8], [14, 15, 16, 17]]
    assert (found["histogram"] != counts).nnz == 0
    assert list(histograms_of(counts, (9,))) == ["histogram"]


def test_a_tokenizer_of_two_levels_has_its_representations_in_this_order():
    rows = planted(20, seed=0).base_ids
    features = extract_features(TwoLevelTokenizer(), rows)
    assert {name: one.shape for name, one in features.items()} == {
        "mean": (20, 5), "histogram": (20, 7), "coarse": (20, 2), "fine": (20, 5),
    }  # fmt: skip
    assert features["coarse"].sum() == pytest.approx(20)
    np.testing.assert_allclose(features["fine"].toarray(), features["mean"], atol=1e-12)
    assert list(extract_features(load_tokenizer("kmer:3"), rows)) == ["histogram"]


def test_mean_vector_leaves_out_padding():
    base_ids = torch.tensor([[0, 1, 1, 1], [2, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    tokenizer = TwoLevelTokenizer()
    means = mean_code_vector(tokenizer, tokenizer.encode(base_ids, mask).codes, mask)
    assert means.tolist() == [[0.25, 0.75, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("bases_per_batch", [1, 100, 333])
def test_features_do_not_depend_on_the_batch_size(bases_per_batch: int):
    rows = [*planted(40, seed=0).base_ids, np.array([], np.uint8), np.array([1], np.uint8)]
    for tokenizer in (TwoLevelTokenizer(), load_tokenizer("kmer:3"), load_tokenizer("kmer:4:4")):
        whole = extract_features(tokenizer, rows, bases_per_batch=10**6)
        parts = extract_features(tokenizer, rows, bases_per_batch=bases_per_batch)
        assert list(whole) == list(parts)
        for name in set(whole) - {"mean"}:
            assert np.array_equal(whole[name].toarray(), parts[name].toarray())
        if "mean" in whole:
            np.testing.assert_allclose(whole["mean"], parts["mean"], rtol=0, atol=1e-12)


def test_features_stand_in_the_order_of_the_rows():
    rows = [np.full(length, base, np.uint8) for length, base in ((9, 3), (2, 0), (5, 2))]
    features = extract_features(load_tokenizer("nucleotide"), rows)["histogram"].toarray()
    assert features.argmax(axis=1).tolist() == [3, 0, 2]
