from __future__ import annotations

import numpy as np
import pytest
import torch
from example_tasks import BERT, tiny_encoder, tiny_vocabulary

from vqdna.encoder import encoded_sequences
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.errors import InputError
from vqdna.genome.bases import reverse_complement
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer
from vqdna.tokenizers.padding import pad_codes


def random_rows(*lengths: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 5, length).astype(np.uint8) for length in lengths]


def place(row: int) -> str:
    return f"table.csv: record {row + 1}"


@pytest.mark.parametrize("tokenizer", [NucleotideTokenizer(), KmerTokenizer(6, 6), tiny_vocabulary()])
def test_codes_are_those_of_each_record_alone_in_the_order_given(tokenizer):
    rows = random_rows(33, 7, 90, 33, 52)
    encoded = encode_sequences(tiny_encoder(tokenizer), rows, place, both_strands=True)
    for strand, given in ((encoded.codes, rows), (encoded.reverse_codes, [reverse_complement(row) for row in rows])):
        for codes, bases in zip(strand, given, strict=True):
            assert np.array_equal(codes, tokenizer.encode(torch.from_numpy(bases.copy())[None]).codes[0])


def test_one_strand_unless_asked():
    assert encode_sequences(tiny_encoder(), random_rows(10), place).reverse_codes is None


def test_pad_codes_fills_with_zeros_that_the_mask_leaves_out():
    codes, mask = pad_codes([np.array([[3, 1]]), np.array([[5, 2], [6, 4]])])
    assert codes.tolist() == [[[3, 1], [0, 0]], [[5, 2], [6, 4]]]
    assert mask.tolist() == [[True, False], [True, True]]


def test_bert_has_a_last_position_and_modernbert_none():
    assert tiny_encoder(backbone=BERT).max_positions == 80
    assert tiny_encoder().max_positions is None


def test_a_sequence_too_long_for_the_backbone_is_named():
    encoder = tiny_encoder(NucleotideTokenizer(), BERT)
    assert len(encode_sequences(encoder, random_rows(80), place)) == 1
    message = (
        r"^table.csv: record 2: its 81 bases make 81 tokens, and the bert backbone holds at most 80; cut the sequence$"
    )
    with pytest.raises(InputError, match=message):
        encode_sequences(encoder, random_rows(10, 81), place)


def test_a_sequence_without_token_is_named():
    with pytest.raises(InputError, match="record 1: its 0 bases make no token"):
        encode_sequences(tiny_encoder(), random_rows(0, 4), place)


def test_more_bases_than_one_row_may_have_are_refused_before_any_work(monkeypatch):
    monkeypatch.setattr(encoded_sequences, "MAX_BASES", 90)
    encoder = tiny_encoder(NucleotideTokenizer())
    assert len(encode_sequences(encoder, random_rows(90), place)) == 1
    monkeypatch.setattr(encoded_sequences, "encode_rows", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(InputError, match=r"^table.csv: record 2: got 91 bases, expected at most 90; cut the sequence"):
        encode_sequences(encoder, random_rows(5, 91), place)


def test_a_stem_gives_a_backbone_room_for_as_many_more_tokens():
    encoder = tiny_encoder(NucleotideTokenizer(), BERT)
    encoder.merge = 4
    assert len(encode_sequences(encoder, random_rows(320), place)) == 1
    with pytest.raises(InputError, match="321 tokens, and the bert backbone holds at most 320"):
        encode_sequences(encoder, random_rows(321), place)


def test_long_rows_of_a_learned_tokenizer_go_through_in_tiles(monkeypatch):
    tokenizer, rows = tiny_vocabulary(), random_rows(700, 80)
    monkeypatch.setattr("vqdna.tokenizers.encoding.BASES_PER_BATCH", 100)
    monkeypatch.setattr("vqdna.tokenizers.encoding.TILE_BASES", 64)
    seen, encode = [], tokenizer.encode
    encoder = tiny_encoder(tokenizer)
    monkeypatch.setattr(
        encoder.tokenizer, "encode", lambda bases, *mask: (seen.append(bases.shape[1]), encode(bases, *mask))[1]
    )
    encoded = encode_sequences(encoder, rows, place)
    for codes, bases in zip(encoded.codes, rows, strict=True):
        assert np.array_equal(codes, encode(torch.from_numpy(bases)[None]).codes[0])
    assert max(seen) < 700


def test_codes_are_held_in_as_few_bytes_as_they_need():
    assert encode_sequences(tiny_encoder(KmerTokenizer(3)), random_rows(9), place).codes[0].dtype == np.int16
    assert encode_sequences(tiny_encoder(KmerTokenizer(8)), random_rows(9), place).codes[0].dtype == np.int32
