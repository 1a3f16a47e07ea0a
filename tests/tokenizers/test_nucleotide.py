from __future__ import annotations

import torch

from vqdna.tokenizers.nucleotide import NucleotideTokenizer


def test_each_base_is_its_own_code_and_span():
    base_ids = torch.tensor([[0, 3, 4], [2, 1, 1]], dtype=torch.uint8)
    tokens = NucleotideTokenizer().encode(base_ids, torch.tensor([[True, True, True], [True, False, False]]))
    assert tokens.codes[..., 0].tolist() == [[0, 3, 4], [2, 0, 0]]
    assert tokens.codes.dtype == torch.int64
    assert tokens.spans.tolist() == [[[0, 1], [1, 2], [2, 3]], [[0, 1], [0, 0], [0, 0]]]
    assert tokens.attention_mask.tolist() == [[True, True, True], [True, False, False]]


def test_sizes():
    tokenizer = NucleotideTokenizer()
    assert tokenizer.level_sizes == (5,)
    assert tokenizer.bases_per_position == 1.0
    assert tokenizer.vector_size is None
    assert tokenizer.context_bases == 0
