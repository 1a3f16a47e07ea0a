from __future__ import annotations

import pytest
import torch

from vqdna.encoder.code_embedding import OneHotEmbedding, code_embedding
from vqdna.errors import InputError
from vqdna.tokenizers.base_words import BaseWordTokenizer
from vqdna.tokenizers.kmer import KmerTokenizer
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

WORDS = BaseWordTokenizer(KmerTokenizer(2))
CODES = torch.tensor([[[0, 3], [3, 9], [4, 20]]])


def embedding(width: int = 12, dropout: float = 0.5) -> OneHotEmbedding:
    torch.manual_seed(0)
    made = code_embedding(WORDS, width, "one-hot", dropout)
    assert isinstance(made, OneHotEmbedding)
    made.reset_parameters()
    return made


def test_bases_have_a_channel_each_and_unknown_ones_none():
    made = embedding().eval()
    embedded = made(CODES, WORDS)[0]
    assert embedded[:, :4].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert torch.equal(embedded[:, 4:], made.tables[0](CODES[0, :, 1]))


def test_fresh_vectors_are_small_beside_the_channels():
    assert embedding(40).tables[0].weight.std().item() == pytest.approx(0.01, rel=0.1)


def test_training_hides_the_words_of_whole_positions_and_no_base():
    made = embedding().train()
    codes = CODES[:, :2].repeat(1, 500, 1)
    embedded = made(codes, WORDS)[0]
    hidden = (embedded[:, 4:] == 0).all(dim=1)
    assert hidden.float().mean().item() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(embedded[~hidden, 4:], 2 * made.tables[0](codes[0, ~hidden, 1])), "as any dropout scales them"
    assert torch.equal(embedded[:, :4].sum(dim=1), torch.ones(1000))


def test_bases_alone_are_their_channels():
    tokenizer = NucleotideTokenizer()
    made = code_embedding(tokenizer, 4, "one-hot", 0.5).train()
    assert made(torch.tensor([[[2], [4]]]), tokenizer)[0].tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]


def test_a_hidden_position_has_the_mask_embedding():
    made = embedding().eval()
    hidden = torch.tensor([[False, True, False]])
    embedded = made(CODES, WORDS, hidden)[0]
    assert torch.equal(embedded[1], made.mask_vector)
    assert torch.equal(embedded[0], made(CODES, WORDS)[0, 0])


@pytest.mark.parametrize(
    ("tokenizer", "width", "expected"),
    [(WORDS, 4, "5 or more"), (NucleotideTokenizer(), 8, "4 for"), (KmerTokenizer(2), 8, "20 for")],
)
def test_a_width_without_room_for_the_channels_is_refused(tokenizer, width, expected):
    with pytest.raises(InputError, match=f"embedding_size: got {width}, expected {expected}"):
        code_embedding(tokenizer, width, "one-hot", 0.0)
