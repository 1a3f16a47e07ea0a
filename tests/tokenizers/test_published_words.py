from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.genome.bases import to_base_ids
from vqdna.tokenizers import tokenizer_from_settings, tokenizer_name
from vqdna.tokenizers.padding import pad_rows
from vqdna.tokenizers.published_words import PublishedWordTokenizer

DNA = st.text("ACGTN", max_size=40)


def tokens(tokenizer: PublishedWordTokenizer, *texts: str):
    return tokenizer.encode(*pad_rows([to_base_ids(text).base_ids for text in texts]))


def words(tokenizer: PublishedWordTokenizer, text: str) -> list[str]:
    return [tokenizer.words[code] for code in tokens(tokenizer, text).codes[0, :, 0]]


def slow_side_by_side(text: str, k: int) -> list[str]:
    """The Nucleotide Transformer's rule: cut at each N, then every k bases, and what is left base by base."""
    found: list[str] = []
    for number, part in enumerate(text.split("N")):
        whole = len(part) // k * k
        found += ["N"] * (number > 0) + [part[at : at + k] for at in range(0, whole, k)] + list(part[whole:])
    return found


def test_dnabert_numbers_are_those_of_its_published_list():
    tokenizer = PublishedWordTokenizer("dnabert", 3)
    numbers = {
        "[PAD]": 0,
        "[UNK]": 1,
        "[CLS]": 2,
        "[SEP]": 3,
        "[MASK]": 4,
        "AAA": 5,
        "AAT": 6,
        "AAC": 7,
        "AAG": 8,
        "ATA": 9,
    }
    assert {word: tokenizer.code_of(word) for word in numbers} == numbers
    assert (tokenizer.words[-1], tokenizer.level_sizes) == ("GGG", (69,))
    assert PublishedWordTokenizer("dnabert", 6).level_sizes == (4101,)


def test_nucleotide_transformer_numbers_are_those_of_its_published_list():
    tokenizer = PublishedWordTokenizer("nucleotide_transformer", 6, 4105)
    numbers = {"<unk>": 0, "<pad>": 1, "<mask>": 2, "<cls>": 3, "AAAAAA": 4, "AAAAAT": 5, "GGGGGG": 4099}
    numbers |= {"A": 4100, "T": 4101, "C": 4102, "G": 4103, "N": 4104}
    assert {word: tokenizer.code_of(word) for word in numbers} == numbers
    assert PublishedWordTokenizer("nucleotide_transformer", 6).level_sizes == (4107,)


def test_hyenadna_reads_bases_as_its_published_tokenizer():
    assert tokens(PublishedWordTokenizer("hyenadna", 1), "ACGTN").codes[0, :, 0].tolist() == [7, 8, 9, 10, 11]


def test_overlapping_words_and_their_spans_by_hand():
    tokenizer = PublishedWordTokenizer("dnabert", 3)
    got = tokens(tokenizer, "ACGTNA", "GG")
    assert words(tokenizer, "ACGTNA") == ["ACG", "CGT", "[UNK]", "[UNK]"]
    assert got.spans[0].tolist() == [[0, 3], [1, 4], [2, 5], [3, 6]]
    assert got.attention_mask.tolist() == [[True] * 4, [False] * 4], "a row shorter than k has no word"


def test_words_side_by_side_start_anew_behind_an_n():
    tokenizer = PublishedWordTokenizer("nucleotide_transformer", 3)
    assert words(tokenizer, "ACGTNNGGATTCA") == ["ACG", "T", "N", "N", "GGA", "TTC", "A"]
    spans = tokens(tokenizer, "ACGTNNGGATTCA").spans[0].tolist()
    assert spans == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 9], [9, 12], [12, 13]]


@settings(max_examples=60, deadline=None)
@given(st.lists(DNA, min_size=1, max_size=4), st.integers(2, 4))
def test_any_batch_is_cut_as_its_rows_are_by_the_plain_rule(texts, k):
    tokenizer = PublishedWordTokenizer("nucleotide_transformer", k)
    got = tokens(tokenizer, *texts)
    for row, text in enumerate(texts):
        kept = got.attention_mask[row]
        assert [tokenizer.words[code] for code in got.codes[row, kept, 0]] == slow_side_by_side(text, k)
        assert "".join(text[start:end] for start, end in got.spans[row, kept]) == text
    assert not got.codes[~got.attention_mask].any()
    assert not got.spans[~got.attention_mask].any()


@pytest.mark.parametrize("model", ["dnabert", "nucleotide_transformer"])
def test_settings_make_the_same_tokenizer(model):
    tokenizer = PublishedWordTokenizer(model, 3)
    again = tokenizer_from_settings(tokenizer.settings())
    assert torch.equal(tokens(again, "ACGTTNGCA").codes, tokens(tokenizer, "ACGTTNGCA").codes)
    assert tokenizer_name(again) == f"{model}:3"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("dnabrt", 3), "did you mean 'dnabert'"),
        (("dnabert", 0), "got k = 0, expected 2 to 12"),
        (("dnabert", 3, 70), "got 70 words of k = 3, expected 69"),
        (("nucleotide_transformer", 2, 24), "got 24 words of k = 2, expected 25 to 27"),
    ],
)
def test_lists_that_were_never_published_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        PublishedWordTokenizer(*arguments)
