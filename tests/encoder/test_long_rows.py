"""Long rows in pieces: the same states and gradients as at once, with memory that pieces bound."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vqdna.encoder import long_rows
from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderOutput
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

LOCAL = ["sliding_attention"] * 2
GLOBAL = ["full_attention", "sliding_attention"]
STEM = {"width": 8, "kernel_size": 5, "merge": 4}


def encoder(layers: list[str] = LOCAL, stem: dict | None = STEM, **changes: object) -> GenomeEncoder:
    torch.manual_seed(0)
    backbone = {
        "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 24, "layer_types": layers, "local_attention": 8, "max_position_embeddings": 32, **changes,
    }  # fmt: skip
    network = GenomeEncoder.from_tokenizer(NucleotideTokenizer(), backbone, stem=stem)
    for weight in network.parameters():  # so that neighbors matter
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    return network.train()


def rows(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randint(0, 5, (len(lengths), max(lengths)), dtype=torch.uint8), mask


def run(network: GenomeEncoder, bases: torch.Tensor, mask: torch.Tensor):
    """States of the positions that hold tokens, and the gradient of each weight."""
    network.zero_grad()
    output: GenomeEncoderOutput = network(bases, mask)
    states = output.last_hidden_state[output.attention_mask]
    (states * torch.arange(states.numel()).view_as(states).sin()).sum().backward()
    gradients = {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}
    return states.detach(), output.attention_mask, gradients


def assert_same(first, second) -> None:
    torch.testing.assert_close(first[0], second[0], rtol=1e-4, atol=1e-5)
    assert torch.equal(first[1], second[1])
    assert first[2].keys() == second[2].keys()
    for name, gradient in first[2].items():
        torch.testing.assert_close(gradient, second[2][name], rtol=1e-3, atol=1e-4)


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few dozen tokens count as a long row, and a few positions as many."""
    for name, value in {"LONG_ROW_TOKENS": 40, "CHUNK_TOKENS": 60, "RECOMPUTED_POSITIONS": 8}.items():
        monkeypatch.setattr(long_rows, name, value)


@pytest.mark.parametrize("stem", [None, STEM, {**STEM, "merge": 3, "kernel_size": 9}], ids=["none", "4", "3"])
@pytest.mark.parametrize("layers", [LOCAL, GLOBAL], ids=["local", "global"])
def test_a_row_in_chunks_is_the_row_at_once(request, layers, stem):
    network, given = encoder(layers, stem), rows(401, 333, 59)
    expected = run(network, *given)
    request.getfixturevalue("short_limits")
    assert_same(run(network, *given), expected)


def test_chunks_look_as_far_as_the_layers_do(short_limits, monkeypatch):
    """With a smaller margin the states would differ, so the test above can fail."""
    network, given = encoder(), rows(401)
    expected = run(network, *given)
    monkeypatch.setattr(network, "reach", 4)
    assert not torch.allclose(run(network, *given)[0], expected[0], atol=1e-3)


def test_masked_tokens_are_masked_in_every_chunk(request):
    network, (bases, _) = encoder(), rows(200)
    hidden = torch.zeros(1, 200, dtype=torch.bool)
    hidden[0, ::7] = True
    codes, tokens = bases.long()[..., None], torch.ones(1, 200, dtype=torch.bool)

    def states() -> torch.Tensor:
        return network(codes=codes, position_mask=tokens, hidden_positions=hidden).last_hidden_state

    with torch.no_grad():
        expected, seen = states(), network(codes=codes, position_mask=tokens).last_hidden_state
        request.getfixturevalue("short_limits")
        torch.testing.assert_close(states(), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen, expected, atol=1e-3)


def test_positions_beyond_those_of_the_configuration_are_told_apart_by_distance():
    """ModernBERT's rotary angles have no table to run out of: a motif looks the same at any place."""
    network = encoder().eval()
    bases = torch.zeros(1, 1200, dtype=torch.uint8)
    motif = torch.tensor([0, 1, 2, 3, 3, 2, 1, 0], dtype=torch.uint8)
    early, late = bases.clone(), bases.clone()
    early[0, 80:88], late[0, 1080:1088] = motif, motif
    with torch.no_grad():
        first, second = (network(row).last_hidden_state[0] for row in (early, late))
    torch.testing.assert_close(second[265:280], first[15:30], rtol=1e-3, atol=1e-4)
    assert not torch.allclose(first[20], first[100], atol=1e-3)


class LargestTensor(TorchDispatchMode):
    """Bytes of the largest tensor that any operation gives."""

    bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.bytes = max(self.bytes, part.untyped_storage().nbytes())
        return result


def test_beside_codes_and_states_nothing_grows_with_a_row(short_limits):
    network = encoder()
    sizes = []
    for length in (2000, 8000):
        with LargestTensor() as seen:
            network(*rows(length)).last_hidden_state.sum().backward()
        sizes.append(seen.bytes)
    assert sizes[1] <= 8000 // 4 * 16 * 4 + 64  # the hidden states in float32, or spans of the tokens
    assert sizes[1] <= 4 * sizes[0] + 64


def test_layers_are_recomputed_beyond_a_number_of_positions_and_left_as_they_were(short_limits):
    network = encoder(GLOBAL)
    calls = []
    for layer in network.backbone.layers:
        layer.mlp.Wi.register_forward_hook(lambda *_: calls.append(1))
    network(*rows(400)).last_hidden_state.sum().backward()
    assert len(calls) == 4  # two layers, forward and again
    calls.clear()
    network(*rows(20)).last_hidden_state.sum().backward()
    assert len(calls) == 2
    assert not any(layer.gradient_checkpointing for layer in network.backbone.layers)


def test_reach_is_known_where_every_layer_is_local():
    assert long_rows.reach_of_layers(encoder().backbone.config) == 8
    assert long_rows.reach_of_layers(encoder(GLOBAL).backbone.config) is None
