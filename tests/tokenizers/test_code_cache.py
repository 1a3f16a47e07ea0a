import numpy as np
import pytest
import torch

from vqdna.genome.cache import cache_folder
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.encoding import cached_codes
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

ROWS = [np.array([0, 1, 2], dtype=np.uint8), np.array([3], dtype=np.uint8)]
CODES = [np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int32), np.array([[7, 8]], dtype=np.int32)]


@pytest.fixture
def tokenizer(monkeypatch, tmp_path):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path))
    vocabulary = VQVAE(VQVAEConfig(width=12, stem_width=8, level_sizes=(4, 8), num_blocks=2))
    vocabulary(torch.zeros(2, 32, dtype=torch.uint8))
    return VqTokenizer(vocabulary)


def never():
    pytest.fail("computed again")


def test_codes_are_computed_once(tokenizer):
    cached_codes(tokenizer, ROWS, lambda: CODES)
    again = cached_codes(tokenizer, ROWS, never)
    assert all(np.array_equal(one, other) for one, other in zip(again, CODES, strict=True))


def test_other_bases_or_other_weights_are_not_found(tokenizer):
    cached_codes(tokenizer, ROWS, lambda: CODES)
    asked = []
    cached_codes(tokenizer, [ROWS[1], ROWS[0]], lambda: asked.append("bases") or CODES)
    tokenizer.latent_encoder.stem.weight.data += 1
    cached_codes(tokenizer, ROWS, lambda: asked.append("weights") or CODES)
    assert asked == ["bases", "weights"]


def test_a_damaged_entry_is_written_anew(tokenizer):
    cached_codes(tokenizer, ROWS, lambda: CODES)
    (entry,) = cache_folder("codes").iterdir()
    entry.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(pytest.fail.Exception):
        cached_codes(tokenizer, ROWS, never)
    cached_codes(tokenizer, ROWS, lambda: CODES)
    cached_codes(tokenizer, ROWS, never)


def test_hand_made_tokenizers_are_not_cached(tokenizer):
    cached_codes(load_tokenizer("kmer:3"), ROWS, lambda: CODES)
    assert not cache_folder("codes").exists()
