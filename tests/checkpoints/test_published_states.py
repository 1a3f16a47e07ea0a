"""States and logits of imported models against independent references, from text through published tokenizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
from slow_twins import bert_head, esm_head, hyenadna, mosaic_bert, nucleotide_transformer_v2
from transformers import (
    BertForMaskedLM,
    BertModel,
    BertTokenizer,
    EsmForMaskedLM,
    EsmModel,
    EsmTokenizer,
    PreTrainedTokenizerFast,
)

from vqdna.checkpoints import load_published, load_published_causal_model, load_published_masked_model
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.genome.bases import to_base_ids
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


HIDDEN = slice(2, 5)
"""Bases of each text that are hidden."""

Reference = Callable[[list[int]], torch.Tensor]


def check_logits(folder: Path, rows: list[list[int]], mask: int, before: int, reference: Reference) -> None:
    """Logits of hidden words against those that `reference` gives for the numbers of a whole row.

    Args:
        folder: the published model.
        rows: published numbers of each text, special tokens with them.
        mask: number of the word that stands for a hidden one.
        before: special tokens that a row opens with.
        reference: logits of every word of a row.
    """
    model = load_published_masked_model(folder)
    found = 0
    for text, row in zip(TEXTS, rows, strict=True):
        bases = torch.from_numpy(to_base_ids(text).base_ids)[None]
        hidden_bases = torch.zeros_like(bases, dtype=torch.bool)
        hidden_bases[0, HIDDEN] = True
        with torch.no_grad():
            output = model(bases, hidden_bases)
            hidden = [before + place for place in output.hidden_positions[0].nonzero()[:, 0].tolist()]
            wanted = reference([mask if place in hidden else number for place, number in enumerate(row)])
        asked = [before + place for place in output.masked_positions[0].nonzero()[:, 0].tolist()]
        assert torch.allclose(output.logits[0], wanted[asked], atol=1e-4)
        found += len(asked)
    assert found >= 4
    assert wanted.std() > 0.5, "logits that are all alike would agree with anything"


@pytest.mark.parametrize("k", [3, 6])
def test_dnabert_is_the_bert_of_transformers_on_its_own_words(k, tmp_path):
    folder = write_dnabert(tmp_path, k)
    words = BertTokenizer(str(folder / "vocab.txt"), do_lower_case=False)
    reference = BertModel.from_pretrained(folder).eval()
    expected, rows = [], []
    for text in TEXTS:
        spaced = " ".join(text[start : start + k] for start in range(len(text) - k + 1))
        row = words(spaced, return_tensors="pt")
        rows.append(row["input_ids"][0].tolist())
        assert (rows[-1][0], rows[-1][-1]) == (2, 3)
        with torch.no_grad():
            expected.append(reference(**row).last_hidden_state[0, 1:-1])
    check(load_published(folder), expected)
    headed = BertForMaskedLM.from_pretrained(folder).eval()
    check_logits(folder, rows, 4, 1, lambda row: headed(torch.tensor([row])).logits[0])


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
    if token_dropout:
        with pytest.raises(InputError, match="nucleotide_transformer, which was trained with word dropout"):
            load_published_masked_model(folder)
        return
    headed = EsmForMaskedLM.from_pretrained(folder).eval()
    numbers = [row["input_ids"][0].tolist() for row in rows]
    check_logits(folder, numbers, 2, 1, lambda row: headed(torch.tensor([row])).logits[0])


def test_nucleotide_transformer_v2_is_its_slow_twin(tmp_path):
    folder = write_nucleotide_transformer_v2(tmp_path)
    words = EsmTokenizer(str(folder / "vocab.txt"), eos_token=None)
    weights = load_file(folder / "model.safetensors")
    rows = [words(text)["input_ids"] for text in TEXTS]
    check(load_published(folder), [nucleotide_transformer_v2(weights, row, LAYERS, HEADS)[1:] for row in rows])
    check_logits(
        folder, rows, 2, 1, lambda row: esm_head(weights, nucleotide_transformer_v2(weights, row, LAYERS, HEADS))
    )


def test_dnabert_2_is_its_slow_twin(tmp_path):
    folder = write_dnabert_2(tmp_path)
    words = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), unk_token="[UNK]")
    weights = load_file(folder / "model.safetensors")
    rows = [words(text)["input_ids"] for text in TEXTS]
    assert all((row[0], row[-1]) == (1, 2) for row in rows)
    slopes = [1 / 16, 1 / 256, 1 / 4]  # three heads: those of two, then the first of four
    check(load_published(folder), [mosaic_bert(weights, row, LAYERS, slopes)[1:-1] for row in rows])
    check_logits(folder, rows, 4, 1, lambda row: bert_head(weights, mosaic_bert(weights, row, LAYERS, slopes)))


def test_hyenadna_is_its_slow_twin(tmp_path):
    folder = write_hyenadna(tmp_path)
    numbers = {"A": 7, "C": 8, "G": 9, "T": 10, "N": 11}
    weights = load_file(folder / "model.safetensors")
    rows = [[numbers[letter] for letter in text] + [1] for text in TEXTS]
    check(load_published(folder), [hyenadna(weights, row, LAYERS)[:-1] for row in rows])
    with pytest.raises(InputError, match="hyenadna, which predicts what follows"):
        load_published_masked_model(folder)
    model = load_published_causal_model(folder)
    with torch.no_grad():
        output = model(*pad_rows([to_base_ids(text).base_ids for text in TEXTS]))
    for row, numbers_of_row in enumerate(rows):
        states_of_row = hyenadna(weights, numbers_of_row, LAYERS)
        wanted = (states_of_row @ weights["lm_head.weight"].T)[:-1, : len(model.encoder.tokenizer.words)]
        assert torch.allclose(output.logits[row, : len(wanted)], wanted, atol=1e-4)
    assert wanted.std() > 0.5, "logits that are all alike would agree with anything"


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
