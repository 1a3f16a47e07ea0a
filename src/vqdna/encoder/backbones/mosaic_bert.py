"""MosaicBERT, the backbone of DNABERT-2: BERT with linear distance biases (ALiBi) and a gated MLP (GEGLU).

Flow: embeddings [batch, position, width] + token type -> norm -> layers of attention under a bias [batch, head,
position, position] and MLP, each followed by its norm -> hidden states. It has no table of positions, so rows of any
length go; attention is that of PyTorch, without kernels of its own. It must not know DNA.

Reference: Portes et al. 2023, "MosaicBERT"; Press et al. 2022, "Train short, test long" (ALiBi).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from vqdna.encoder.backbones import Backbone, Mask, States, heads_of, joined_heads, register_backbone

Bias = Float[Tensor, "batch head position position"]


class MosaicBertConfig(PreTrainedConfig):
    """Shape of a MosaicBERT; the names are those of BERT's configuration."""

    model_type = "vqdna_mosaic_bert"

    def __init__(
        self,
        vocab_size: int = 1,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        type_vocab_size: int = 2,
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.type_vocab_size, self.layer_norm_eps = type_vocab_size, layer_norm_eps
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(**kwargs)


class MosaicBert(Backbone):
    """Hidden states by attention whose scores fall linearly with distance."""

    config_class = MosaicBertConfig
    config: MosaicBertConfig
    base_model_prefix = "mosaic_bert"
    _no_split_modules = ["MosaicBertLayer"]  # noqa: RUF012  # transformers reads a list

    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__(config)
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.embedding_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(MosaicBertLayer(config) for _ in range(config.num_hidden_layers))
        self.post_init()

    def hidden_states(self, embeddings: States, attention_mask: Mask) -> States:
        """Every position is of token type 0."""
        states: Tensor = self.dropout(self.embedding_norm(embeddings + self.token_type_embeddings.weight[0]))
        bias = distance_bias(attention_mask, self.config.num_attention_heads).to(states.dtype)
        for layer in self.layers:
            states = layer(states, bias)
        return states


class MosaicBertLayer(GradientCheckpointingLayer):
    def __init__(self, config: MosaicBertConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.layer_norm_eps
        self.num_heads, self.attention_dropout = config.num_attention_heads, config.attention_probs_dropout_prob
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_output = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.expand = nn.Linear(width, 2 * config.intermediate_size, bias=False)
        self.contract = nn.Linear(config.intermediate_size, width)
        self.mlp_norm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: States, bias: Bias) -> States:
        states = self.attention_norm(self.dropout(self._attended(states, bias)) + states)
        gate, value = self.expand(states).chunk(2, dim=-1)
        mixed = self.contract(self.dropout(functional.gelu(gate) * value))
        normed: Tensor = self.mlp_norm(mixed + states)
        return normed

    def _attended(self, states: States, bias: Bias) -> States:
        parts = self.queries_keys_values(states).chunk(3, dim=-1)
        query, key, value = (heads_of(part, self.num_heads) for part in parts)
        dropout = self.attention_dropout if self.training else 0.0
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
        mixed: Tensor = self.attention_output(joined_heads(attended))
        return mixed


def distance_bias(attention_mask: Mask, num_heads: int) -> Bias:
    """What is added to attention scores: minus slope times distance, and minus infinity for padding.

    Reference: Press et al. 2022, section 3; both directions alike, as an encoder needs.
    """
    places = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    distances = (places[:, None] - places).abs().float()
    slopes = torch.tensor(head_slopes(num_heads), device=attention_mask.device)
    bias = -slopes[:, None, None] * distances
    return bias.masked_fill(~attention_mask[:, None, None, :], -torch.inf)


def head_slopes(num_heads: int) -> list[float]:
    """Slope of each head: 2^(-8/n), 2^(-16/n), ... for a power of two; else every other slope of twice as many follows.

    Reference: Press et al. 2022, appendix; for numbers that are no power of two their published code.
    """
    whole = 2 ** math.floor(math.log2(num_heads))
    slopes = [2.0 ** (-8 * (head + 1) / whole) for head in range(whole)]
    return slopes if whole == num_heads else slopes + head_slopes(2 * whole)[0::2][: num_heads - whole]


register_backbone(MosaicBert)
