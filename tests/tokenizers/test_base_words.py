from __future__ import annotations

import pytest
import torch

from vqdna.genome.bases import to_base_ids
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_from_settings, tokenizer_name
from vqdna.tokenizers.base_words import BaseWordTokenizer, levels_of_few_codes, words_at_bases
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.padding import pad_rows


def rows_of(*texts: str):
    return pad_rows([to_base_ids(text).base_ids for text in texts])


def code_of(tokenizer: Tokenizer, word: str) -> int:
    return int(tokenizer.encode(*rows_of(word)).codes[0, 0, 0])


@pytest.mark.parametrize(
    ("tokenizer", "text", "expected"),
    [
        ("kmer:2", "ACGT", ["AC", "CG", "GT", "GT"]),
        ("kmer:2:2", "ACGT", ["AC", "AC", "GT", "GT"]),
        ("kmer:3:3", "ACGTAC", ["ACG", "ACG", "ACG", "TAC", "TAC", "TAC"]),
    ],
)
def test_a_base_has_the_word_that_starts_last_and_covers_it(tokenizer, text, expected):
    kmers = load_tokenizer(tokenizer)
    words = words_at_bases(kmers, *rows_of(text))[0, :, 0].tolist()
    assert words == [code_of(kmers, word) for word in expected]


def test_padding_has_no_word():
    kmers = load_tokenizer("kmer:2")
    words = words_at_bases(kmers, *rows_of("ACGTACGT", "ACG"))[1, :, 0].tolist()
    assert words[3:] == [kmers.level_sizes[0]] * 5
    assert max(words[:3]) < kmers.level_sizes[0]


def test_every_base_is_a_token_beside_its_word():
    kmers = load_tokenizer("kmer:2:2")
    tokens = BaseWordTokenizer(kmers).encode(*rows_of("ACGTN", "TGA"))
    words = [code_of(kmers, word) for word in ("AC", "AC", "GT", "GT")]
    assert tokens.codes[0, :4].tolist() == [list(pair) for pair in zip(range(4), words, strict=True)]
    assert tokens.codes[0, 4, 0] == 4
    assert tokens.attention_mask.sum(dim=1).tolist() == [5, 3]
    assert tokens.codes[1, 3:].tolist() == [[0, 0], [0, 0]], "no token on padding"
    assert tokens.spans[1].tolist() == [[0, 1], [1, 2], [2, 3], [0, 0], [0, 0]]


def test_a_change_beyond_the_context_changes_no_code():
    tokenizer = BaseWordTokenizer(load_tokenizer("kmer:3"))
    assert tokenizer.context_bases == 2
    text = "ACGTACGTACGT"
    before, after = (tokenizer.encode(*rows_of(row)).codes[0] for row in (text, text[:6] + "A" + text[7:]))
    changed = (before != after).any(dim=1).nonzero()[:, 0].tolist()
    assert changed == [4, 5, 6]


def test_settings_and_weights_make_the_same_tokenizer():
    torch.manual_seed(0)
    tokenizer = BaseWordTokenizer(load_tokenizer("kmer:4"))
    twin = tokenizer_from_settings(tokenizer.settings())
    assert isinstance(twin, BaseWordTokenizer)
    rows = rows_of("ACGTTGCATT", "GGA")
    assert torch.equal(twin.encode(*rows).codes, tokenizer.encode(*rows).codes)
    assert tokenizer_name(twin) == "nucleotide+kmer:4"


def test_levels_of_too_many_codes_are_left_out():
    class Large(NucleotideTokenizer):
        def __init__(self, level_sizes: tuple[int, ...]) -> None:
            super().__init__()
            self.level_sizes = level_sizes

        def with_levels(self, num_levels: int) -> Large:
            return Large(self.level_sizes[:num_levels])

    assert levels_of_few_codes(Large((512, 64, 4096))).level_sizes == (512, 64)
    assert levels_of_few_codes(Large((1024, 2048))).level_sizes == (1024, 2048)
    assert levels_of_few_codes(Large((8192, 64))).level_sizes == (8192,)
    assert levels_of_few_codes(load_tokenizer("kmer:6")).level_sizes == load_tokenizer("kmer:6").level_sizes
