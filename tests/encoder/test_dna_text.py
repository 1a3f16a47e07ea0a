from __future__ import annotations

import random

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerFast, pipeline

from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.encoder.saved_models import DnaText, dna_text
from vqdna.errors import InputError
from vqdna.genome.bases import BASES, IUPAC_CODES, to_base_ids
from vqdna.tokenizers.kmer import KmerTokenizer

BACKBONE = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
BACKBONE |= {"intermediate_size": 24}
STEM = {"width": 12, "kernel_size": 3, "merge": 4}
LETTERS = BASES + "UN" + IUPAC_CODES
TEXTS = ["ACGTTGCANNacgtRYacgugattaca", "GATTACA", "nnnnacgtacgtacgt"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Saved encoder over 3-mers, four of which make a position."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("encoder")
    GenomeEncoder.from_tokenizer(KmerTokenizer(3), BACKBONE, stem=STEM).save_pretrained(path)
    return path


def test_every_letter_means_what_it_means_in_a_file():
    random.seed(1)
    for length in (0, 1, 200):
        text = "".join(random.choice(LETTERS + LETTERS.lower()) for _ in range(length))
        encoding = dna_text()(text, return_offsets_mapping=True)
        assert encoding["input_ids"] == to_base_ids(text).base_ids.tolist()
        assert encoding["attention_mask"] == [1] * length
        assert encoding["offset_mapping"] == [(place, place + 1) for place in range(length)]


def test_shorter_texts_are_padded_on_the_right_and_masked():
    batch = dna_text()(["ACG", "t"], padding=True, return_tensors="pt")
    assert batch["input_ids"].tolist() == [[0, 1, 2], [3, 4, 4]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert set(batch) == {"input_ids", "attention_mask"}


def test_base_ids_are_text_again():
    assert dna_text().decode([0, 1, 2, 3, 4, 0]) == "ACGTNA"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("ACX", "text 0 .*'X' at offset 2 is no base"),
        (["A", "AC G"], "text 1 .*' ' at offset 2"),
        ("AC-G", "gaps are an error"),
    ],
)
def test_what_is_no_base_is_refused_with_its_place(texts, message):
    with pytest.raises(InputError, match=message):
        dna_text()(texts)


def test_auto_tokenizer_opens_it_beside_the_model(folder):
    text = AutoTokenizer.from_pretrained(folder)
    assert isinstance(text, DnaText)
    assert text(TEXTS)["input_ids"] == [to_base_ids(line).base_ids.tolist() for line in TEXTS]


def test_the_file_reads_the_same_letters_without_this_package(folder):
    text = PreTrainedTokenizerFast.from_pretrained(folder)
    assert type(text) is not DnaText
    assert text(TEXTS)["input_ids"] == dna_text()(TEXTS)["input_ids"]
    with pytest.raises(Exception, match="Missing"):
        text("ACX")


@pytest.mark.parametrize("batch_size", [1, 3])
def test_states_of_text_are_those_of_its_bases(folder, batch_size):
    encoder = GenomeEncoder.from_pretrained(folder)
    states = pipeline("feature-extraction", model=str(folder))(TEXTS, batch_size=batch_size)
    for text, rows in zip(TEXTS, states, strict=True):
        base_ids = torch.from_numpy(to_base_ids(text).base_ids)[None]
        expected = encoder(base_ids).last_hidden_state[0]
        assert torch.allclose(torch.tensor(rows[0])[: len(expected)], expected, atol=1e-5)


def test_padding_that_is_masked_changes_nothing(folder):
    encoder = GenomeEncoder.from_pretrained(folder)
    batch = dna_text()(TEXTS, padding=True, return_tensors="pt")
    output = encoder(**batch)
    for row, text in enumerate(TEXTS):
        alone = encoder(**dna_text()(text, return_tensors="pt")).last_hidden_state[0]
        assert output.attention_mask[row].sum() == len(alone)
        assert torch.allclose(output.last_hidden_state[row, : len(alone)], alone, atol=1e-5)
