"""Codes and spans of tiles and batches against each sequence read whole, for every tokenizer there is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_tasks import tiny_vocabulary

from vqdna.tokenizers import Tokenizer, Tokens, load_tokenizer
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.encoding import encode_rows, encode_rows_with_spans, encode_sequence
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.published_words import PublishedWordTokenizer


def random_bases(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice(5, length, p=[0.24] * 4 + [0.04]).astype(np.uint8)


def whole(tokenizer: Tokenizer, base_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tokens = tokenizer.encode(torch.from_numpy(base_ids)[None])
    return tokens.codes[0].numpy(), tokens.spans[0].numpy()


TOKENIZERS = {
    "vq": tiny_vocabulary(),
    "nucleotide": load_tokenizer("nucleotide"),
    **{
        f"kmer:{k}:{stride}": KmerTokenizer(k, stride) for k, stride in ((1, 1), (3, 1), (6, 1), (6, 2), (5, 3), (4, 4))
    },
    "bpe": BpeTokenizer.learn(["ACGTTGCATGCAAATCG" * 9], 40),
    "dnabert": PublishedWordTokenizer("dnabert", 6),
    "nucleotide_transformer": PublishedWordTokenizer("nucleotide_transformer", 6),
    "hyenadna": PublishedWordTokenizer("hyenadna", 1),
    "bases and k-mers": BaseWordTokenizer(KmerTokenizer(5, 3)),
    "bases and learned words": BaseWordTokenizer(tiny_vocabulary()),
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("tile_bases", [1, 7, 24])
def test_codes_and_spans_in_tiles_are_those_of_the_whole(name, tile_bases):
    tokenizer = TOKENIZERS[name]
    for length in (0, 1, 2, 5, 6, 7, 8, 23, 24, 25, 26, 27, 28, 29, 30, 31, 50, 97):
        base_ids = random_bases(length)
        codes, spans = encode_sequence(tokenizer, base_ids, tile_bases=tile_bases)
        expected = (
            whole(tokenizer, base_ids) if length else (np.zeros((0, len(tokenizer.level_sizes))), np.zeros((0, 2)))
        )
        np.testing.assert_array_equal(codes, expected[0], err_msg=f"{length} bases")
        np.testing.assert_array_equal(spans, expected[1], err_msg=f"{length} bases")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_rows_in_batches_are_those_of_each_row_alone_in_the_order_given(name, monkeypatch):
    monkeypatch.setattr("vqdna.tokenizers.encoding.BASES_PER_BATCH", 60)
    monkeypatch.setattr("vqdna.tokenizers.encoding.TILE_BASES", 24)
    tokenizer, rows = TOKENIZERS[name], [random_bases(length, length) for length in (33, 7, 90, 33, 8, 52)]
    codes, spans = encode_rows_with_spans(tokenizer, rows)
    for row, coded, covered in zip(rows, codes, spans, strict=True):
        np.testing.assert_array_equal(coded, whole(tokenizer, row)[0])
        np.testing.assert_array_equal(covered, whole(tokenizer, row)[1])
    for one, other in zip(codes, encode_rows(tokenizer, rows, bases_per_batch=1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_rows_have_no_codes():
    assert encode_rows(load_tokenizer("kmer:3"), []) == []


def test_a_row_that_the_batch_padded_is_held_by_itself():
    codes = encode_rows(load_tokenizer("nucleotide"), [random_bases(2), random_bases(1000)])
    assert codes[0].base is None


@pytest.mark.parametrize("name", ["vq", "dnabert"])
def test_no_tile_is_longer_than_its_bases_and_context(name, monkeypatch):
    tokenizer, seen = TOKENIZERS[name], []
    encode = tokenizer.encode
    monkeypatch.setattr(
        tokenizer, "encode", lambda bases, *mask: (seen.append(bases.shape[1]), encode(bases, *mask))[1]
    )
    encode_sequence(tokenizer, random_bases(3000), tile_bases=60)
    assert max(seen) <= 60 + 2 * (tokenizer.context_bases + tokenizer.max_span)


def test_a_subclass_with_codes_of_its_own_gives_them_for_whole_rows_too():
    class Reversed(NucleotideTokenizer):
        def encode(self, base_ids, attention_mask=None):
            tokens = super().encode(base_ids, attention_mask)
            return Tokens(3 - tokens.codes, tokens.spans, tokens.attention_mask)

    assert encode_sequence(Reversed(), np.array([0, 1, 3], np.uint8))[0][:, 0].tolist() == [3, 2, 0]
