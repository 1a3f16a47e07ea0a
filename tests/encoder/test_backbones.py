"""Our own backbones by themselves; against what was published they are held in tests/checkpoints."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoModel

from vqdna.encoder.backbones import BACKBONES, backbone_config, build_backbone, position_limit
from vqdna.encoder.backbones.hyena import Hyena, HyenaConfig, LongFilter
from vqdna.encoder.backbones.mosaic_bert import head_slopes
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.errors import InputError
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

SHAPE = {"hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 32}
ATTENTION = {**SHAPE, "num_attention_heads": 3}
SETTINGS = {
    "causal hyena": {"model_type": "vqdna_hyena", **SHAPE, "max_position_embeddings": 48},
    "hyena": {"model_type": "vqdna_hyena", **SHAPE, "max_position_embeddings": 48, "bidirectional": True},
    "mosaic bert": {"model_type": "vqdna_mosaic_bert", **ATTENTION},
    "nt v1": {
        "model_type": "vqdna_nucleotide_transformer",
        **ATTENTION,
        "max_position_embeddings": 48,
        "gated_mlp": False,
    },
    "nt v2": {"model_type": "vqdna_nucleotide_transformer", **ATTENTION},
    "convolutions": {"model_type": "vqdna_convolutions", "hidden_size": 24},
}
every = pytest.mark.parametrize("name", SETTINGS)


def backbone(name: str):
    """With weights large enough that every part changes the states."""
    torch.manual_seed(0)
    model = build_backbone(backbone_config(SETTINGS[name])).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def states(model, embeddings, mask=None):
    return model(inputs_embeds=embeddings, attention_mask=mask).last_hidden_state


@every
def test_padding_changes_no_state(name):
    model, embeddings = backbone(name), torch.randn(3, 40, 24)
    lengths = torch.tensor([40, 17, 1])
    batch = states(model, embeddings, torch.arange(40) < lengths[:, None])
    for row, length in enumerate(lengths.tolist()):
        alone = states(model, embeddings[row : row + 1, :length])
        assert torch.allclose(batch[row, :length], alone[0], atol=1e-3), "a leak would move states of size one"


@every
def test_words_are_embeddings_of_the_table(name):
    model = backbone(name)
    model.set_input_embeddings(torch.nn.Embedding(5, 24))
    words = torch.randint(0, 5, (2, 9))
    by_words = model(input_ids=words).last_hidden_state
    assert torch.equal(by_words, states(model, model.get_input_embeddings()(words)))
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        model()


@every
def test_layers_computed_again_give_the_same_gradients(name):
    model, embeddings = backbone(name).train(), torch.randn(2, 20, 24)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    gradients = []
    for again in (False, True):
        if again:
            model.gradient_checkpointing_enable()
        model.zero_grad()
        states(model, embeddings).square().sum().backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert (
        gradients[0].keys() == gradients[1].keys() == dict(model.named_parameters()).keys() - {"word_embeddings.weight"}
    )
    assert all(torch.allclose(gradients[0][n], gradients[1][n], rtol=1e-4, atol=1e-3) for n in gradients[0])


@every
def test_saved_backbones_open_by_their_model_type(name, tmp_path):
    model, embeddings = backbone(name), torch.randn(1, 12, 24)
    model.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()
    assert type(loaded) is type(model)
    assert torch.equal(states(loaded, embeddings), states(model, embeddings))


@every
def test_half_precision_stays_near(name):
    model, embeddings = backbone(name), torch.randn(2, 30, 24)
    with torch.autocast("cpu", torch.bfloat16):
        rough = states(model, embeddings).float()
    exact = states(model, embeddings)
    assert (rough - exact).abs().mean() < 0.1 * max(1, exact.abs().mean())


def test_every_backbone_has_its_limit_of_positions():
    limits = {name: position_limit(backbone_config(settings)) for name, settings in SETTINGS.items()}
    assert limits == {**dict.fromkeys(SETTINGS), "causal hyena": 48, "hyena": 48, "nt v1": 48}
    assert position_limit(backbone_config({"model_type": "modernbert"})) is None
    assert position_limit(backbone_config({"model_type": "bert", "max_position_embeddings": 9})) == 9


def test_an_unknown_backbone_is_refused_with_the_nearest():
    assert len(BACKBONES) == 6
    with pytest.raises(InputError, match="did you mean 'vqdna_hyena'"):
        backbone_config({"model_type": "vqdna_hyna"})


@pytest.mark.parametrize(("name", "looks_ahead"), [("causal hyena", False), ("hyena", True)])
def test_only_the_bidirectional_hyena_looks_ahead(name, looks_ahead):
    model, embeddings = backbone(name), torch.randn(1, 40, 24)
    changed = embeddings.clone()
    changed[0, 25] += torch.randn(24)
    moved = (states(model, changed) - states(model, embeddings)).abs().amax(dim=-1)[0] > 1e-4
    assert moved[25:].all()
    assert moved[:25].any() == looks_ahead


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length", [1, 2, 13, 32])
def test_the_long_convolution_is_its_definition(bidirectional, length):
    torch.manual_seed(0)
    long = LongFilter(HyenaConfig(hidden_size=3, max_position_embeddings=32, bidirectional=bidirectional))
    values, weights = torch.randn(2, 3, length), long.weights(length)
    expected = values * long.skip[:, None]
    for to in range(length):
        for origin in range(length):
            if origin <= to:
                expected[:, :, to] += weights[to - origin, :3] * values[:, :, origin]
            if origin >= to and bidirectional:
                expected[:, :, to] += weights[origin - to, 3:] * values[:, :, origin]
    assert torch.allclose(long(values), expected, atol=1e-5)


def test_weights_of_the_long_convolution_do_not_depend_on_the_row():
    long = LongFilter(HyenaConfig(hidden_size=3, max_position_embeddings=32))
    assert torch.allclose(long.weights(10), long.weights(32)[:10])


def test_a_fresh_hyena_starts_with_projections_of_size_one_and_fast_sines():
    torch.manual_seed(0)
    layer = Hyena(HyenaConfig(hidden_size=128, num_hidden_layers=1, max_position_embeddings=16)).layers[0]
    assert layer.operator.input(torch.randn(50, 128)).std().item() == pytest.approx(1, rel=0.05)
    assert torch.all(layer.operator.long.frequency == 10)


@pytest.mark.slow
def test_masked_bases_of_repeats_are_learned_which_short_convolutions_do_not_reach():
    """Each row repeats four random bases, so the nearest copy of a hidden base stands four bases away."""
    torch.manual_seed(0)
    shape = {"model_type": "vqdna_hyena", "bidirectional": True, "hidden_size": 32, "num_hidden_layers": 2}
    encoder = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), {**shape, "max_position_embeddings": 24})
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, target="bases")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(160):
        base_ids = torch.randint(0, 4, (16, 4), dtype=torch.uint8).repeat(1, 6)
        loss = model(base_ids, torch.rand(16, 24) < 0.15).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-40:]) / 40 < 1.25, "guessing is ln 4 = 1.386, where weights of deviation 0.02 stay"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"filter_features": 4}, "filter_features: got 4, expected an odd number of 3 or more"),
        ({"bidirectional": True, "short_kernel_size": 4}, "short_kernel_size: got 4, expected an odd number"),
    ],
)
def test_shapes_that_make_no_hyena_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        HyenaConfig(**settings)


@pytest.mark.parametrize(("heads", "slopes"), [(1, [2**-8]), (2, [2**-4, 2**-8]), (3, [2**-4, 2**-8, 2**-2])])
def test_slopes_by_hand(heads, slopes):
    assert head_slopes(heads) == slopes


def test_slopes_of_dnabert_2_are_those_of_eight_heads_and_every_other_of_sixteen():
    assert head_slopes(12) == pytest.approx([2.0**-n for n in range(1, 9)] + [2.0 ** -(n / 2) for n in (1, 3, 5, 7)])
