"""Hidden states of imported models against independent references, from text through the published tokenizers."""

from __future__ import annotations

import pytest
import torch
from published_folders import (
    HEADS,
    LAYERS,
    write_dnabert,
    write_dnabert_2,
    write_hyenadna,
    write_nucleotide_transformer,
    write_nucleotide_transformer_v2,
)
from safetensors.torch import load_file
from slow_twins import hyenadna, mosaic_bert, nucleotide_transformer_v2
from transformers import BertModel, BertTokenizer, EsmModel, EsmTokenizer, PreTrainedTokenizerFast

from vqdna.checkpoints import load_published
from vqdna.genome.bases import to_base_ids
from vqdna.pretrain.encoder import GenomeEncoder
from vqdna.tokenizers.padding import pad_rows

TEXTS = ("ACGTTGCATTGACCATGNACGTAGGTACA", "GATTACAGGA", "TTTNNAC", "CCGATAGGACTTACGATCAGGACTAGGCATTCGA")
TOLERANCE = 2e-5


def states(encoder: GenomeEncoder, texts: tuple[str, ...] = TEXTS) -> list[torch.Tensor]:
    """Hidden states of each text, out of one padded batch."""
    with torch.no_grad():
        output = encoder(*pad_rows([to_base_ids(text).base_ids for text in texts]))
    return [row[mask] for row, mask in zip(output.last_hidden_state, output.attention_mask, strict=True)]


def check(encoder: GenomeEncoder, expected: list[torch.Tensor]) -> None:
    for got, wanted in zip(states(encoder), expected, strict=True):
        assert got.shape == wanted.shape
        assert torch.allclose(got, wanted, atol=TOLERANCE)
    assert float(torch.cat(expected).std()) > 0.5, "states that are all alike would agree with anything"


@pytest.mark.parametrize("k", [3, 6])
def test_dnabert_is_the_bert_of_transformers_on_its_own_words(k, tmp_path):
    folder = write_dnabert(tmp_path, k)
    words = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    reference = BertModel.from_pretrained(folder).eval()
    expected = []
    for text in TEXTS:
        spaced = " ".join(text[start : start + k] for start in range(len(text) - k + 1))
        row = words(spaced, return_tensors="pt")
        assert row["input_ids"][0, 0] == 2
        assert row["input_ids"][0, -1] == 3
        with torch.no_grad():
            expected.append(reference(**row).last_hidden_state[0, 1:-1])
    check(load_published(folder), expected)


@pytest.mark.parametrize("token_dropout", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
def test_nucleotide_transformer_is_the_esm_of_transformers_on_its_own_words(token_dropout, normalized, tmp_path):
    folder = write_nucleotide_transformer(tmp_path, token_dropout=token_dropout, normalized=normalized)
    words = EsmTokenizer(str(folder / "vocab.txt"), eos_token=None)
    reference = EsmModel.from_pretrained(folder, add_pooling_layer=False).eval()
    rows = [words(text, return_tensors="pt") for text in TEXTS]
    assert all(row["input_ids"][0, 0] == 3 for row in rows)
    with torch.no_grad():
        check(load_published(folder), [reference(**row).last_hidden_state[0, 1:] for row in rows])


def test_nucleotide_transformer_v2_is_its_slow_twin(tmp_path):
    folder = write_nucleotide_transformer_v2(tmp_path)
    words = EsmTokenizer(str(folder / "vocab.txt"), eos_token=None)
    weights = load_file(folder / "model.safetensors")
    rows = [words(text)["input_ids"] for text in TEXTS]
    check(load_published(folder), [nucleotide_transformer_v2(weights, row, LAYERS, HEADS)[1:] for row in rows])


def test_dnabert_2_is_its_slow_twin(tmp_path):
    folder = write_dnabert_2(tmp_path)
    words = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), unk_token="[UNK]")
    weights = load_file(folder / "model.safetensors")
    rows = [words(text)["input_ids"] for text in TEXTS]
    assert all((row[0], row[-1]) == (1, 2) for row in rows)
    slopes = [1 / 16, 1 / 256, 1 / 4]  # three heads: those of two, then the first of four
    check(load_published(folder), [mosaic_bert(weights, row, LAYERS, slopes)[1:-1] for row in rows])


def test_hyenadna_is_its_slow_twin(tmp_path):
    folder = write_hyenadna(tmp_path)
    numbers = {"A": 7, "C": 8, "G": 9, "T": 10, "N": 11}
    weights = load_file(folder / "model.safetensors")
    rows = [[numbers[letter] for letter in text] + [1] for text in TEXTS]
    check(load_published(folder), [hyenadna(weights, row, LAYERS)[:-1] for row in rows])


def test_a_hidden_token_is_the_published_mask_token(tmp_path):
    folder = write_dnabert(tmp_path)
    encoder = load_published(folder)
    hidden = torch.zeros(1, len(TEXTS[0]) - 2, dtype=torch.bool)
    hidden[0, 4] = True
    words = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    row = words(" ".join(TEXTS[0][start : start + 3] for start in range(len(TEXTS[0]) - 2)), return_tensors="pt")
    row["input_ids"][0, 5] = 4
    with torch.no_grad():
        expected = BertModel.from_pretrained(folder).eval()(**row).last_hidden_state[0, 1:-1]
        tokens = encoder.tokenizer.encode(*pad_rows([to_base_ids(TEXTS[0]).base_ids]))
        got = encoder(codes=tokens.codes, position_mask=tokens.attention_mask, hidden_positions=hidden)
    assert torch.allclose(got.last_hidden_state[0], expected, atol=TOLERANCE)
