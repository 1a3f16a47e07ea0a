import pytest
import torch

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.encoder.stem import Stem, StemSettings
from vqdna.errors import InputError
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling
from vqdna.tokenizers import load_tokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 24, "layer_types": ["sliding_attention"] * 2, "local_attention": 8,
}  # fmt: skip
STEM = {"width": 12, "kernel_size": 5, "merge": 4}


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE, "table", STEM).eval()


def bases(rows, length):
    return torch.randint(0, 4, (rows, length), dtype=torch.uint8)


def slow_merge(stem, embeddings):
    """One row by the definition: a convolution summed term by term, then neighbors side by side through one matrix."""
    seen, half = stem.norm(embeddings), stem.settings.kernel_size // 2
    rows = []
    for token in range(len(embeddings)):
        total = stem.convolution.bias.clone()
        for place in range(-half, half + 1):
            if 0 <= token + place < len(embeddings):
                total = total + stem.convolution.weight[:, :, place + half] @ seen[token + place]
        rows.append(embeddings[token] + torch.nn.functional.gelu(total))
    while len(rows) % stem.merge_size:
        rows.append(torch.zeros_like(rows[0]))
    groups = [torch.cat(rows[start : start + stem.merge_size]) for start in range(0, len(rows), stem.merge_size)]
    return torch.stack([stem.merging(group) for group in groups])


@pytest.mark.parametrize("length", [1, 3, 4, 9, 16])
def test_merging_is_its_definition(length):
    torch.manual_seed(1)
    stem = Stem(StemSettings(**STEM), 16, 16)
    embeddings = torch.randn(1, length, 12)
    merged, mask = stem.merge(embeddings, torch.ones(1, length, dtype=torch.bool))
    torch.testing.assert_close(merged[0], slow_merge(stem, embeddings[0]), atol=1e-5, rtol=1e-4)
    assert mask.shape == (1, -(-length // 4))
    assert mask.all()


def test_padding_changes_no_position(encoder):
    base_ids = bases(1, 18)
    padded = torch.cat([base_ids, bases(1, 13)], dim=1)
    keep = torch.arange(31)[None] < 18
    alone, together = encoder(base_ids), encoder(padded, keep)
    assert together.attention_mask.tolist() == [[True] * 5 + [False] * 3]
    torch.testing.assert_close(together.last_hidden_state[:, :5], alone.last_hidden_state, atol=1e-5, rtol=1e-4)


def test_a_position_stands_for_four_tokens_and_gives_each_a_state(encoder):
    output = encoder(bases(2, 30))
    assert output.last_hidden_state.shape == (2, 8, 16)
    assert (encoder.merge, encoder.bases_per_position, encoder.token_width) == (4, 4.0, 12)
    states = encoder.token_states(output, 30)
    assert states.shape == (2, 30, 12)
    assert not torch.allclose(states[:, 0], states[:, 1])


def test_without_a_stem_token_states_are_the_hidden_states():
    plain = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE, "table").eval()
    output = plain(bases(2, 9))
    assert plain.token_states(output, 9) is output.last_hidden_state
    assert (plain.merge, plain.token_width) == (1, 16)


def test_the_stem_saves_and_loads(encoder, tmp_path):
    encoder.save_pretrained(tmp_path)
    base_ids = bases(2, 21)
    loaded = GenomeEncoder.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(base_ids).last_hidden_state, encoder(base_ids).last_hidden_state)


def test_both_halves_of_the_stem_learn_from_masked_modelling(encoder):
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder, target="bases").train()
    masked = torch.zeros(2, 32, dtype=torch.bool)
    masked[:, 8:14] = True
    model(bases(2, 32), masked).loss.backward()
    gradients = {name: weight.grad for name, weight in encoder.stem.named_parameters()}
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients.values()), gradients.keys()


def test_a_backbone_may_give_wider_states_than_it_reads():
    backbone = {"model_type": "vqdna_convolutions", "embedding_size": 8, "hidden_size": 24}
    encoder = GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), backbone, "table", STEM)
    model = GenomeEncoderForMaskedModeling.from_encoder(encoder).eval()
    masked = torch.zeros(2, 32, dtype=torch.bool)
    masked[:, 8:14] = True
    assert model(bases(2, 32), masked).logits[0].shape == (12, 5)
    assert encoder(bases(2, 32)).last_hidden_state.shape == (2, 8, 24)


@pytest.mark.parametrize(
    ("stem", "message"),
    [({"kernel_size": 8}, "odd"), ({"merge": 0}, "merge"), ({"merges": 4}, "did you mean 'merge'")],
)
def test_a_stem_that_cannot_be_is_refused_by_name(stem, message):
    with pytest.raises(InputError, match=message):
        GenomeEncoderConfig({"kind": "nucleotide"}, BACKBONE, "table", stem)
