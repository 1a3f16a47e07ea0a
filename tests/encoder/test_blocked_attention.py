"""Local attention in blocks computes what transformers' own implementation computes, in linear memory."""

from __future__ import annotations

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import ModernBertConfig, ModernBertModel

from vqdna.encoder import blocked_attention

WINDOW = 16
REACH = WINDOW // 2


def model(implementation: str, layers: str = "local", **settings) -> ModernBertModel:
    types = {"local": ["sliding_attention"] * 2, "mixed": ["full_attention", "sliding_attention"]}[layers]
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=1, pad_token_id=0, hidden_size=24, num_attention_heads=3, intermediate_size=32, num_hidden_layers=2,
        layer_types=types, local_attention=WINDOW, max_position_embeddings=32, **settings,
    )  # fmt: skip
    return ModernBertModel._from_config(config, attn_implementation=implementation)


def batch(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), max(lengths), 24), mask


def run(network: ModernBertModel, embeddings: torch.Tensor, mask: torch.Tensor | None):
    """Hidden states of the tokens, and the gradients of the input and of every weight."""
    given = embeddings.clone().requires_grad_()
    hidden = network(inputs_embeds=given, attention_mask=None if mask is None else mask.long()).last_hidden_state
    real = hidden if mask is None else hidden[mask]
    (real * torch.arange(real.numel()).view_as(real).sin()).sum().backward()
    return real.detach(), given.grad, [weight.grad for weight in network.parameters() if weight.grad is not None]


LENGTHS = {
    "one position": [1],
    "shorter than a block": [5, 3],
    "as long as a window": [WINDOW, 9],
    "a few blocks, all pairs": [4 * REACH, 4 * REACH - 3],
    "one more than that": [4 * REACH + 1, 2],
    "whole blocks": [8 * REACH, 8 * REACH],
    "no multiple of a block": [8 * REACH + 3, 5 * REACH + 1, 1],
}


@pytest.mark.parametrize("layers", ["local", "mixed"])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
def test_states_and_gradients_are_those_of_sdpa(lengths, layers):
    embeddings, mask = batch(lengths)
    ours, theirs = (run(model(name, layers), embeddings, mask) for name in ("blocked", "sdpa"))
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours[1][mask], theirs[1][mask], rtol=1e-5, atol=1e-5)
    for mine, other in zip(ours[2], theirs[2], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


def test_without_a_mask_all_positions_are_tokens():
    embeddings, _ = batch([70, 70])
    torch.testing.assert_close(run(model("blocked"), embeddings, None), run(model("sdpa"), embeddings, None))


def test_a_window_of_one_position_sees_itself_alone():
    embeddings, mask = batch([9, 4])
    settings = {"layers": "local"}
    ours, theirs = (model(name, **settings) for name in ("blocked", "sdpa"))
    for network in (ours, theirs):
        network.config.sliding_window = 0
        for layer in network.layers:
            layer.attn.sliding_window = 1
    torch.testing.assert_close(run(ours, embeddings, mask), run(theirs, embeddings, mask))


@pytest.mark.parametrize("length", [20, 90])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_nothing_but_padding_give_numbers(length, dtype):
    embeddings, mask = batch([length, length])
    mask[1] = False
    network = model("blocked").to(dtype)
    hidden = network(inputs_embeds=embeddings.to(dtype), attention_mask=mask.long()).last_hidden_state
    hidden.float().sum().backward()
    assert torch.isfinite(hidden).all()
    assert all(torch.isfinite(weight.grad).all() for weight in network.parameters() if weight.grad is not None)


@pytest.mark.parametrize("length", [12, 30, 100])
def test_bfloat16_autocast_is_near_float32(length):
    embeddings, mask = batch([length, length - 5])
    exact = run(model("blocked"), embeddings, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rough = run(model("blocked"), embeddings, mask)
    torch.testing.assert_close(rough[0].float(), exact[0], rtol=0.05, atol=0.05)
    cosine = torch.cosine_similarity(rough[1][mask].flatten(), exact[1][mask].flatten(), dim=0)
    assert cosine > 0.99


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that any operation gives."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.elements = max(self.elements, part.untyped_storage().nbytes() // part.element_size())
        return result


def largest_tensor(length: int) -> int:
    network, (embeddings, mask) = model("blocked"), batch([length, length - 7])
    with LargestTensor() as seen:
        network(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state.sum().backward()
    return seen.elements


def test_no_tensor_grows_faster_than_the_length():
    short, long = largest_tensor(512), largest_tensor(2048)
    assert long <= 4 * short
    assert long < 2048 * 2048


def test_dropout_drops_in_training_alone():
    network = model("blocked", attention_dropout=0.5)
    embeddings, mask = batch([100])
    network.train()
    first, second = (network(inputs_embeds=embeddings).last_hidden_state for _ in range(2))
    assert not torch.equal(first, second)
    network.train(False)
    torch.testing.assert_close(run(network, embeddings, mask), run(model("sdpa").eval(), embeddings, mask))


def test_adapters_and_saved_models_know_nothing_of_it(tmp_path):
    embeddings, mask = batch([90, 40])
    network = model("blocked")
    network.save_pretrained(tmp_path)
    plain = ModernBertModel.from_pretrained(tmp_path, attn_implementation="sdpa")
    assert "blocked" not in (tmp_path / "config.json").read_text()
    adapted = get_peft_model(copy.deepcopy(network), LoraConfig(r=2, target_modules="all-linear"))
    with torch.no_grad():
        expected = plain(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state
        given = adapted(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state
        merged = adapted.merge_and_unload()(inputs_embeds=embeddings, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(given[mask], expected[mask], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(merged[mask], expected[mask], rtol=1e-5, atol=1e-5)


def test_the_implementation_is_the_one_that_transformers_finds():
    assert blocked_attention.NAME == "blocked"
    assert model(blocked_attention.NAME).config._attn_implementation == "blocked"


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_on_an_accelerator_states_are_those_of_sdpa(dtype):
    embeddings, mask = (part.cuda() for part in batch([150, 61]))
    with torch.no_grad():
        ours, theirs = (
            model(name, "mixed").to("cuda", dtype)(inputs_embeds=embeddings.to(dtype), attention_mask=mask.long())
            for name in ("blocked", "sdpa")
        )
    close = 1e-4 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(ours.last_hidden_state[mask], theirs.last_hidden_state[mask], rtol=close, atol=close)
