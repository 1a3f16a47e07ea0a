"""The model that ships, as it lies in the package."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, pipeline

import vqdna
from vqdna.genome.bases import reverse_complement, to_base_ids
from vqdna.tokenizers import load_tokenizer
from vqdna.weights import built_in_folder

MAX_BYTES = 25_000_000
DNA = "ACGTTGCATATAAAGGCCGGCATGACGTACGTTTAACCGGATCGATCGGCTAAAGCTNNACGT"


@pytest.fixture(scope="module")
def encoder():
    return vqdna.load("small")


def base_ids(text):
    return torch.from_numpy(to_base_ids(text).base_ids.copy())[None]


def test_it_is_small_enough_and_has_a_card():
    folder = built_in_folder("small", "encoder").parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= MAX_BYTES
    card = (folder / "README.md").read_text()
    for part in ("## Training", "## Limits", "nats per masked base", "bases seen"):
        assert part in card


def test_states_differ_by_sequence_and_come_in_full_precision(encoder):
    states = encoder(base_ids(DNA)).last_hidden_state
    assert (states.dtype, states.shape) == (torch.float32, (1, 16, encoder.config.hidden_size))
    other = encoder(base_ids(DNA[::-1])).last_hidden_state
    assert (states - other).abs().mean() > 0.05


def test_its_vocabulary_is_the_one_that_ships_beside_it(encoder):
    whole = load_tokenizer(f"vq:{built_in_folder('small', 'vocabulary')}")
    few = encoder.tokenizer
    codes = whole.encode(base_ids(DNA)).codes
    assert torch.equal(few.encode(base_ids(DNA)).codes, codes[..., : len(few.level_sizes)])
    assert len(np.unique(codes.reshape(-1, codes.shape[-1]), axis=0)) > 40


def test_the_levels_that_share_strands_give_both_strands_the_same_codes(encoder):
    forward = to_base_ids(DNA.replace("N", "A")).base_ids
    codes = encoder.tokenizer.encode(torch.from_numpy(forward.copy())[None]).codes[0]
    backward = encoder.tokenizer.encode(torch.from_numpy(reverse_complement(forward).copy())[None]).codes[0]
    inner = slice(6, -6)
    assert torch.equal(codes[inner, :4], backward.flip(0)[inner, :4])
    assert not torch.equal(codes[inner, 4], backward.flip(0)[inner, 4])


def test_transformers_opens_it_and_takes_text(encoder):
    folder = str(built_in_folder("small", "encoder"))
    model, text = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    inputs = text([DNA, DNA[:20].lower()], padding=True, return_tensors="pt")
    states = model.eval()(**inputs).last_hidden_state
    torch.testing.assert_close(states[:1], encoder(base_ids(DNA)).last_hidden_state, atol=1e-4, rtol=1e-4)
    features = pipeline("feature-extraction", model=folder, tokenizer=folder)(DNA)
    torch.testing.assert_close(torch.tensor(features), states[:1], atol=1e-4, rtol=1e-4)
