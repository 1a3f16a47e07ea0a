"""Codes by look-up are those of the latent encoder and the quantizer."""

import pytest
import torch

from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig
from vqdna.vocabulary.word_tables import WordTables, word_tables

SHAPE = {"quantizer": "product", "level_sizes": [40, 8], "width": 8, "stem_width": 16, "decoder": "pointwise"}
VIEWS = {"views": [[-2, -1, 0, 1, 2], [-3, 0, 3]], "shared_strands": [True, False]}


def trained(**options):
    """A small vocabulary that has seen one batch."""
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**{**SHAPE, **VIEWS, **options})).train()
    model(torch.randint(0, 4, (8, 120), dtype=torch.uint8))
    model.update_codebooks()
    return model.eval()


@pytest.mark.parametrize("length", [1, 3, 77])
def test_codes_are_those_of_the_model_also_at_edges_n_and_padding(length):
    model = trained()
    base_ids = torch.randint(0, 5, (6, length), dtype=torch.uint8)
    mask = torch.arange(length) < torch.tensor([[length], [length], [max(1, length // 2)], [1], [length], [length]])
    found = WordTables(model.latent_encoder, model.quantizer).encode(base_ids, mask)
    assert torch.equal(found, model.encode(base_ids, mask))


def test_the_tokenizer_gives_the_codes_of_the_vocabulary():
    model = trained()
    base_ids = torch.randint(0, 4, (3, 50), dtype=torch.uint8)
    assert torch.equal(VqTokenizer(model).encode(base_ids).codes, model.encode(base_ids))


def test_a_loaded_tokenizer_does_not_keep_the_tables_of_other_weights():
    first, second = VqTokenizer(trained()), trained(codebook_seed=3)
    base_ids = torch.randint(0, 4, (3, 50), dtype=torch.uint8)
    first.encode(base_ids)
    with torch.no_grad():
        for parameter in second.latent_encoder.parameters():
            parameter.add_(torch.randn_like(parameter))
    first.load_state_dict(VqTokenizer(second).state_dict())
    assert torch.equal(first.encode(base_ids).codes, second.encode(base_ids))


def test_long_views_go_through_the_latent_encoder():
    mixed = trained(views=[[-2, -1, 0, 1, 2], list(range(-4, 5))])
    tables = word_tables(mixed.latent_encoder, mixed.quantizer)
    assert list(tables.tables) == [0]
    base_ids = torch.randint(0, 5, (5, 60), dtype=torch.uint8)
    assert torch.equal(tables.encode(base_ids), mixed.encode(base_ids))


def test_where_no_view_is_short_or_nothing_was_learned_there_are_no_tables():
    long = trained(views=[list(range(-5, 6)), list(range(-4, 5))])
    assert word_tables(long.latent_encoder, long.quantizer) is None
    untrained = VQVAE(VQVAEConfig(**SHAPE, **VIEWS))
    assert word_tables(untrained.latent_encoder, untrained.quantizer) is None


def test_fixed_latents_stay_as_they_were_started_while_codes_and_decoder_learn():
    model = trained(fixed_latents=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randint(0, 4, (8, 120), dtype=torch.uint8)).loss.backward()
    optimizer.step()
    model.update_codebooks()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"base_decoder", "quantizer"}
