from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.tokenizers import Tokenizer, load_tokenizer, tokenizer_from_settings, tokenizer_name
from vqdna.tokenizers.bpe import BpeTokenizer
from vqdna.tokenizers.padding import pad_rows


@pytest.mark.parametrize(
    ("spec", "saved", "name"),
    [
        ("nucleotide", {"kind": "nucleotide"}, "nucleotide"),
        ("kmer:6", {"kind": "kmer", "k": 6, "stride": 1}, "kmer:6"),
        ("kmer:6:6", {"kind": "kmer", "k": 6, "stride": 6}, "kmer:6:6"),
        ("kmer:3:2", {"kind": "kmer", "k": 3, "stride": 2}, "kmer:3:2"),
    ],
)
def test_hand_made_specs(spec: str, saved: dict, name: str):
    tokenizer = load_tokenizer(spec)
    assert tokenizer.settings() == saved
    assert tokenizer_name(tokenizer) == name
    again = tokenizer_from_settings(json.loads(json.dumps(saved)))
    assert type(again) is type(tokenizer)
    assert again.settings() == saved


@pytest.mark.parametrize("spec", ["small", "vq:small"])
def test_a_built_in_vocabulary_is_loaded_by_its_name(spec: str, tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)  # where a folder of that name lies in the way
    tokenizer = load_tokenizer(spec)
    assert tokenizer.kind == "vq"
    assert len(tokenizer.level_sizes) > 1
    with pytest.raises(InputError, match="no vocabulary here"):
        load_tokenizer("./small")


def test_bpe_directories_are_found_with_and_without_prefix(tmp_path):
    learned = BpeTokenizer.learn(["ACGTACGTTTACG" * 5], vocabulary_size=12)
    learned.save(tmp_path)
    for spec in (f"bpe:{tmp_path}", str(tmp_path)):
        assert load_tokenizer(spec).settings() == learned.settings()
    assert tokenizer_from_settings(learned.settings()).settings() == learned.settings()
    assert tokenizer_name(learned) == "bpe"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smal", "did you mean 'small'"),
        ("nucleotid", "did you mean 'nucleotide'"),
        ("kmr:6", "did you mean 'kmer'"),
        ("kmer", "expected kmer:K"),
        ("kmer:six", "expected kmer:K"),
        ("kmer:-3", "expected kmer:K"),
        ("kmer:3:1:1", "expected kmer:K"),
        ("kmer:40", "got k = 40, expected 1 to 12"),
        ("kmer:3:5", "got stride 5"),
        ("bpe:/no/such/folder", "'/no/such/folder' is no directory"),
        ("vq:", "is no directory"),
        ("/no/such/folder", "no such kind or directory"),
        ("", "no such kind or directory"),
    ],
)
def test_bad_specs_say_what_was_wanted(spec: str, message: str):
    with pytest.raises(InputError, match=message) as error:
        load_tokenizer(spec)
    assert "\n" not in str(error.value)


def test_settings_of_no_known_kind_are_refused():
    with pytest.raises(InputError, match="did you mean 'kmer'"):
        tokenizer_from_settings({"kind": "kmers"})
    with pytest.raises(InputError, match="got the kind 'None'"):
        tokenizer_from_settings({})
    with pytest.raises(InputError, match="lack 'stride'"):
        tokenizer_from_settings({"kind": "kmer", "k": 3})


def hand_made_tokenizers() -> list[Tokenizer]:
    bpe = BpeTokenizer.learn(["ACGTTTACGCCATATAAGC" * 10], vocabulary_size=24)
    return [load_tokenizer(spec) for spec in ("nucleotide", "kmer:3", "kmer:4:4", "kmer:5:3")] + [bpe]


TOKENIZERS = hand_made_tokenizers()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), max_size=25), min_size=1, max_size=5))
def test_tokens_cover_every_base_in_order(rows: list[list[int]]):
    base_ids, mask = pad_rows([np.array(row, dtype=np.uint8) for row in rows])
    for tokenizer in TOKENIZERS:
        tokens = tokenizer.encode(base_ids, mask)
        assert tokens.codes.shape == (*tokens.attention_mask.shape, 1)
        assert not tokens.codes[~tokens.attention_mask].any()
        assert not tokens.spans[~tokens.attention_mask].any()
        assert torch.all(tokens.codes < tokenizer.level_sizes[0])
        for row, spans, kept in zip(rows, tokens.spans, tokens.attention_mask):
            own = spans[kept].tolist()
            assert sorted({base for start, end in own for base in range(start, end)}) == list(range(len(row)))
            assert own == sorted(own)
