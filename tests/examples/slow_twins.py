"""The published models written down plainly, from weights by published name: one row, one head, one step at a time.

They share nothing with the models under test but PyTorch's linear layer, norm and activations.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, states: Tensor) -> Tensor:
    return functional.linear(states, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def norm(weights: Weights, name: str, states: Tensor, eps: float) -> Tensor:
    return functional.layer_norm(states, states.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def attended(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    """One head's output, each a [position, head_width]."""
    scores = queries @ keys.T / math.sqrt(queries.shape[1]) + bias
    return scores.softmax(dim=-1) @ values


def mosaic_bert(weights: Weights, words: list[int], num_layers: int, slopes: list[float]) -> Tensor:
    """DNABERT-2's hidden states of one row; `slopes` are those of its heads."""
    states = weights["bert.embeddings.word_embeddings.weight"][words]
    states = states + weights["bert.embeddings.token_type_embeddings.weight"][0]
    states = norm(weights, "bert.embeddings.LayerNorm", states, 1e-12)
    distance = torch.tensor([[-abs(one - other) for other in range(len(words))] for one in range(len(words))])
    for layer in (f"bert.encoder.layer.{number}" for number in range(num_layers)):
        both = linear(weights, f"{layer}.attention.self.Wqkv", states)
        parts = both.reshape(len(words), 3, len(slopes), -1)
        heads = [attended(*parts[:, :, head].unbind(1), slope * distance) for head, slope in enumerate(slopes)]
        mixed = linear(weights, f"{layer}.attention.output.dense", torch.cat(heads, dim=1))
        states = norm(weights, f"{layer}.attention.output.LayerNorm", mixed + states, 1e-12)
        inner = linear(weights, f"{layer}.mlp.gated_layers", states)
        half = inner.shape[1] // 2
        inner = functional.gelu(inner[:, :half]) * inner[:, half:]
        states = norm(weights, f"{layer}.mlp.layernorm", linear(weights, f"{layer}.mlp.wo", inner) + states, 1e-12)
    return states


def turned(states: Tensor) -> Tensor:
    """Rotary positions of one head, one pair of numbers at a time, as complex numbers."""
    size = states.shape[1]
    result = torch.empty_like(states)
    for position in range(len(states)):
        for pair in range(size // 2):
            angle = position / 10000 ** (2 * pair / size)
            number = complex(states[position, pair], states[position, pair + size // 2])
            number *= complex(math.cos(angle), math.sin(angle))
            result[position, pair], result[position, pair + size // 2] = number.real, number.imag
    return result


def nucleotide_transformer_v2(weights: Weights, words: list[int], num_layers: int, num_heads: int) -> Tensor:
    states = weights["esm.embeddings.word_embeddings.weight"][words]
    for layer in (f"esm.encoder.layer.{number}" for number in range(num_layers)):
        seen = norm(weights, f"{layer}.attention.LayerNorm", states, 1e-12)
        query, key, value = (
            linear(weights, f"{layer}.attention.self.{name}", seen) for name in ("query", "key", "value")
        )
        heads = [
            attended(turned(one), turned(other), third)
            for one, other, third in zip(*(part.chunk(num_heads, dim=1) for part in (query, key, value)), strict=True)
        ]
        states = states + linear(weights, f"{layer}.attention.output.dense", torch.cat(heads, dim=1))
        inner = linear(weights, f"{layer}.intermediate.dense", norm(weights, f"{layer}.LayerNorm", states, 1e-12))
        first, second = inner.chunk(2, dim=1)
        states = states + linear(weights, f"{layer}.output.dense", functional.silu(first) * second)
    return norm(weights, "esm.encoder.emb_layer_norm_after", states, 1e-12)


def hyena_filter(weights: Weights, name: str, length: int) -> Tensor:
    """Weight of each distance for each channel, [distance, channel]."""
    state = weights[f"{name}.pos_emb.z"][0, :length]
    frequency = weights[f"{name}.implicit_filter.1.freq"]
    for number in (0, 2, 4):
        state = torch.sin(frequency * linear(weights, f"{name}.implicit_filter.{number}", state))
    kernel = state @ weights[f"{name}.implicit_filter.6.weight"].T
    decay = torch.exp(-weights[f"{name}.pos_emb.t"][0, :length] * weights[f"{name}.modulation.deltas"][0].abs())
    return kernel * (decay + 0.05)


def convolved(values: Tensor, kernel: Tensor, skip: Tensor) -> Tensor:
    """Causal convolution of [position, channel], by its definition."""
    result = torch.zeros_like(values)
    for position in range(len(values)):
        for distance in range(position + 1):
            result[position] += kernel[distance] * values[position - distance]
    return result + skip * values


def hyenadna(weights: Weights, words: list[int], num_layers: int) -> Tensor:
    states = weights["hyena.backbone.embeddings.word_embeddings.weight"][words]
    for layer in (f"hyena.backbone.layers.{number}" for number in range(num_layers)):
        mixer = f"{layer}.mixer"
        inputs = linear(weights, f"{mixer}.in_proj", norm(weights, f"{layer}.norm1", states, 1e-5))
        short, short_bias = weights[f"{mixer}.short_filter.weight"][:, 0], weights[f"{mixer}.short_filter.bias"]
        padded = torch.cat([torch.zeros(2, inputs.shape[1]), inputs])
        local = torch.stack([(padded[at : at + 3].T * short).sum(dim=1) + short_bias for at in range(len(words))])
        first, second, value = local.chunk(3, dim=1)
        kernel = hyena_filter(weights, f"{mixer}.filter_fn", len(words))
        mixed = convolved(value * second, kernel, weights[f"{mixer}.filter_fn.bias"]) * first
        states = states + linear(weights, f"{mixer}.out_proj", mixed)
        inner = linear(weights, f"{layer}.mlp.fc1", norm(weights, f"{layer}.norm2", states, 1e-5))
        states = states + linear(weights, f"{layer}.mlp.fc2", functional.gelu(inner, approximate="tanh"))
    return norm(weights, "hyena.backbone.ln_f", states, 1e-5)


def bert_head(weights: Weights, states: Tensor) -> Tensor:
    """Logits of every word."""
    transformed = functional.gelu(linear(weights, "cls.predictions.transform.dense", states))
    transformed = norm(weights, "cls.predictions.transform.LayerNorm", transformed, 1e-12)
    return linear(weights, "cls.predictions.decoder", transformed)


def esm_head(weights: Weights, states: Tensor) -> Tensor:
    """Logits of every word."""
    transformed = functional.gelu(linear(weights, "lm_head.dense", states))
    transformed = norm(weights, "lm_head.layer_norm", transformed, 1e-12)
    return transformed @ weights["lm_head.decoder.weight"].T + weights["lm_head.bias"]
