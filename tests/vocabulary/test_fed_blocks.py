"""What the block behind a tap reads: continuous features, or the token of the levels so far."""

import pytest
import torch

from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig, quantize_bases

SHAPE = {"width": 16, "stem_width": 12, "level_sizes": (8, 16), "num_blocks": 4}


def bases(rows=2, length=40, seed=0):
    return torch.randint(0, 4, (rows, length), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def trained(**options):
    torch.manual_seed(0)
    model = VQVAE(VQVAEConfig(**{**SHAPE, **options})).train()
    model(bases(8, 96))
    model.update_codebooks()
    return model.eval()


def read_by(block, model, base_ids):
    """What a block of the latent encoder (from 1) is given, and the batch's codes."""
    seen = []
    hook = model.latent_encoder.blocks[block - 1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    codes = model(base_ids).codes
    hook.remove()
    return seen[0], codes


def test_block_3_reads_the_coarse_code_vectors_when_it_is_fed_quantized_ones():
    model = trained(feed="quantized")
    given, codes = read_by(3, model, bases())
    assert torch.equal(given, model.quantizer.codebooks[0].lookup(codes[..., 0]))


def test_block_3_reads_the_first_taps_features_when_it_is_fed_continuous_ones():
    model = trained()
    given, _ = read_by(3, model, bases())
    assert torch.equal(given, model.latent_encoder(bases())[0])


def test_the_fine_codes_by_hand():
    model = trained(feed="quantized")
    encoder, (coarse, fine) = model.latent_encoder, model.quantizer.codebooks
    features, keep = encoder.start(bases())
    z1 = encoder.blocks[1](encoder.blocks[0](features))
    e1 = coarse.lookup(torch.cdist(z1, coarse.code_vectors).argmin(dim=-1))
    z2 = encoder.blocks[3](encoder.blocks[2](e1))
    expected = torch.cdist(2 * z2 - e1, fine.code_vectors).argmin(dim=-1)
    assert keep is None
    assert torch.equal(model.encode(bases())[..., 1], expected)


def test_a_third_level_is_fed_the_mean_of_the_first_two():
    model = trained(feed="quantized", level_sizes=(8, 8, 8), num_blocks=3)
    given, codes = read_by(3, model, bases())
    assert torch.allclose(given, model.quantizer.lookup(codes[..., :2]), atol=1e-6)


@pytest.mark.parametrize("feed", ["continuous", "quantized"])
def test_encode_and_tokenizer_give_the_codes_of_forward(feed):
    model = trained(feed=feed)
    output = model(bases())
    assert torch.equal(model.encode(bases()), output.codes)
    assert torch.equal(VqTokenizer(model).encode(bases()).codes, output.codes)


@pytest.mark.parametrize("feed", ["continuous", "quantized"])
def test_padding_changes_no_code(feed):
    model = trained(feed=feed)
    padded = torch.nn.functional.pad(bases(1, 30), (0, 9), value=2)
    mask = torch.arange(39)[None] < 30
    assert torch.equal(model.encode(padded, mask)[:, :30], model.encode(bases(1, 30)))


def test_the_segments_together_are_the_whole_encoder():
    encoder = trained().latent_encoder
    features, keep = encoder.start(bases())
    for level, tap in enumerate(encoder(bases())):
        features = encoder.segment(level, features, keep)
        assert torch.equal(features, tap)


def test_blocks_before_the_tap_learn_through_the_codes_that_the_next_block_is_fed():
    model = trained(feed="quantized", commitment_weight=0.0).train()
    with torch.no_grad():
        model.base_decoder.read.weight.normal_()
    model(bases()).loss.backward()
    assert all(block.expand.weight.grad.any() for block in model.latent_encoder.blocks)


def test_only_a_quantizer_with_earlier_taps_can_feed_a_block():
    model = VQVAE(VQVAEConfig(**{**SHAPE, "quantizer": "rvq"}))
    with pytest.raises(TypeError, match="feeds no block"):
        quantize_bases(model.latent_encoder, model.quantizer, bases(), feed="quantized")
