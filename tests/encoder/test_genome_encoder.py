import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.errors import InputError
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig

BACKBONE = {"model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
BACKBONE |= {"intermediate_size": 24}


def bases(rows=2, length=40):
    return torch.randint(0, 4, (rows, length), dtype=torch.uint8)


@pytest.fixture
def tokenizer():
    vocabulary = VQVAE(VQVAEConfig(width=12, stem_width=8, level_sizes=(4, 8), num_blocks=2))
    vocabulary(bases(8, 64))
    return VqTokenizer(vocabulary)


@pytest.mark.parametrize("kind", ["vectors", "table", "both"])
def test_each_way_from_codes_to_embeddings_saves_and_loads(kind, tokenizer, tmp_path):
    encoder = GenomeEncoder.from_tokenizer(tokenizer, BACKBONE, kind).eval()
    encoder.save_pretrained(tmp_path)
    loaded = GenomeEncoder.from_pretrained(tmp_path).eval()
    base_ids = bases()
    assert torch.equal(loaded(base_ids).last_hidden_state, encoder(base_ids).last_hidden_state)


def test_both_is_the_sum_of_the_two(tokenizer):
    encoder = GenomeEncoder.from_tokenizer(tokenizer, BACKBONE, "both")
    codes = tokenizer.encode(bases()).codes
    embedding = encoder.embedding
    vectors = embedding.projection(embedding.norm(tokenizer.code_vectors(codes)))
    tables = embedding.tables[0](codes[..., 0]) + embedding.tables[1](codes[..., 1])
    assert torch.allclose(embedding(codes, tokenizer), vectors + tables, atol=1e-6)


def test_with_a_table_no_code_vector_is_read(tokenizer):
    encoder = GenomeEncoder.from_tokenizer(tokenizer, BACKBONE, "table")
    names = {name for name, _ in encoder.embedding.named_parameters()}
    assert names == {"tables.0.weight", "tables.1.weight", "mask_vector"}


def test_an_unknown_way_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'table'"):
        GenomeEncoderConfig({"kind": "nucleotide"}, BACKBONE, "tables")


def test_hand_made_tokens_always_have_a_table():
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("kmer:3"), BACKBONE)
    assert encoder.embedding.tables[0].num_embeddings == 4**3 + 5


def test_codes_computed_before_give_the_same_hidden_states(tokenizer):
    encoder = GenomeEncoder.from_tokenizer(tokenizer, BACKBONE).eval()
    base_ids = bases()
    tokens = tokenizer.encode(base_ids)
    from_codes = encoder(codes=tokens.codes, position_mask=tokens.attention_mask)
    assert torch.equal(from_codes.last_hidden_state, encoder(base_ids).last_hidden_state)
