from __future__ import annotations

import numpy as np
import pytest
import torch

from vqdna.errors import InputError
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.padding import pad_rows

BASES = "ACGTN"


def encode_text(tokenizer: KmerTokenizer, text: str) -> list[tuple[int, int, int]]:
    """(code, start, end) of each token of one sequence."""
    base_ids = torch.tensor([[BASES.index(letter) for letter in text]], dtype=torch.uint8).reshape(1, -1)
    tokens = tokenizer.encode(base_ids)
    assert tokens.attention_mask.all()
    return [(code, start, end) for (code,), (start, end) in zip(tokens.codes[0].tolist(), tokens.spans[0].tolist())]


def slow_tokens(text: str, k: int, stride: int) -> list[tuple[int, int, int]]:
    """Twin: the definition, one word at a time."""
    words = []
    end = 0
    for start in range(0, len(text) - k + 1, stride):
        end = start + k
        words.append((start, end))
    words += [(base, base + 1) for base in range(end, len(text))]
    tokens = []
    for start, end in words:
        word = text[start:end]
        if "N" in word:
            code = 4**k + 4
        else:
            value = int(word.translate(str.maketrans("ACGT", "0123")), 4)
            code = value if end - start == k else 4**k + value
        tokens.append((code, start, end))
    return tokens


def test_overlapping_words_by_hand():
    # ACG = 0*16 + 1*4 + 2, CGT = 1*16 + 2*4 + 3
    assert encode_text(KmerTokenizer(3), "ACGT") == [(6, 0, 3), (27, 1, 4)]


def test_words_side_by_side_end_in_single_bases():
    assert encode_text(KmerTokenizer(3, 3), "ACGTTTCA") == [(6, 0, 3), (63, 3, 6), (64 + 1, 6, 7), (64 + 0, 7, 8)]


def test_a_word_with_n_is_unknown():
    tokenizer = KmerTokenizer(2)
    assert encode_text(tokenizer, "ANAC") == [(20, 0, 2), (20, 1, 3), (1, 2, 4)]
    assert tokenizer.unknown_code == 20
    assert encode_text(KmerTokenizer(2, 2), "ACN") == [(1, 0, 2), (20, 2, 3)]


def test_shorter_than_a_word_becomes_single_bases():
    assert encode_text(KmerTokenizer(6), "ACGTN") == [(4096 + base, base, base + 1) for base in range(5)]


def test_an_empty_sequence_has_no_tokens():
    assert encode_text(KmerTokenizer(3), "") == []
    assert KmerTokenizer(3).encode(torch.zeros(0, 7, dtype=torch.uint8)).codes.shape[0] == 0


@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (6, 1), (6, 6), (5, 2), (4, 3), (12, 12)])
def test_batches_agree_with_the_slow_definition(k: int, stride: int):
    random = np.random.default_rng(k * 100 + stride)
    rows = [random.choice(5, size=length, p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8) for length in range(40)]
    tokenizer = KmerTokenizer(k, stride)
    tokens = tokenizer.encode(*pad_rows(rows))
    for row, codes, spans, kept in zip(rows, tokens.codes, tokens.spans, tokens.attention_mask):
        expected = slow_tokens("".join(BASES[base] for base in row), k, stride)
        number = len(expected)
        assert kept.tolist() == [position < number for position in range(len(kept))]
        assert [(code, *span) for (code,), span in zip(codes[:number].tolist(), spans[:number].tolist())] == expected
        assert not codes[number:].any()
        assert not spans[number:].any()
    assert int(tokens.codes.min()) >= 0
    assert int(tokens.codes.max()) < tokenizer.level_sizes[0]


@pytest.mark.parametrize("stride", [1, 4])
def test_what_stands_in_the_padding_changes_nothing(stride: int):
    random = np.random.default_rng(1)
    row = random.integers(0, 4, size=21, dtype=np.uint8)
    padded = np.concatenate([row, random.integers(0, 5, size=13, dtype=np.uint8)])
    mask = torch.arange(34)[None] < 21
    tokenizer = KmerTokenizer(4, stride)
    alone = tokenizer.encode(torch.from_numpy(row)[None])
    within = tokenizer.encode(torch.from_numpy(padded)[None], mask)
    assert torch.equal(alone.codes, within.codes)
    assert torch.equal(alone.spans, within.spans)
    assert torch.equal(alone.attention_mask, within.attention_mask)


def test_words_side_by_side_join_back_to_the_sequence():
    random = np.random.default_rng(2)
    for length in range(30):
        text = "".join(BASES[base] for base in random.integers(0, 4, size=length))
        words = encode_text(KmerTokenizer(6, 6), text)
        decoded = [
            np.base_repr(code + 4**6, 4)[1:] if end - start == 6 else str(code - 4**6) for code, start, end in words
        ]
        assert "".join(decoded).translate(str.maketrans("0123", "ACGT")) == text


@pytest.mark.parametrize("arguments", [(0,), (13,), (3, 0), (3, 4)])
def test_impossible_words_are_refused(arguments: tuple[int, ...]):
    with pytest.raises(InputError, match="expected 1 to"):
        KmerTokenizer(*arguments)


def test_sizes():
    assert KmerTokenizer(6, 6).level_sizes == (4096 + 5,)
    assert KmerTokenizer(6, 6).bases_per_position == 6.0
    assert KmerTokenizer(6).bases_per_position == 1.0
