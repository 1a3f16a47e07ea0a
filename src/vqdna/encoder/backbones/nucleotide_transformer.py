"""The Nucleotide Transformer's backbone, first and second version: an ESM encoder, or one with rotations and a gate.

Flow: embeddings [batch, position, width] (+ position table) -> layers that normalize before attention and MLP -> final
norm -> hidden states. The second version turns queries and keys by their position instead of having a table, and gates
its MLP by SiLU, without biases. transformers' own ESM has no gate, and leaves the position table out where it is given
embeddings. It must not know DNA.

Reference: Dalla-Torre et al. 2025, "Nucleotide Transformer", methods; Su et al. 2021, "RoFormer".
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_layers import GradientCheckpointingLayer

from vqdna.encoder.backbones import Backbone, Heads, Mask, States, heads_of, joined_heads, register_backbone

ROTATION_BASE = 10_000.0
Rotation = Float[Tensor, "2 position head_width"]


class NucleotideTransformerConfig(PreTrainedConfig):
    """Shape of a Nucleotide Transformer."""

    model_type = "vqdna_nucleotide_transformer"

    def __init__(
        self,
        vocab_size: int = 1,
        hidden_size: int = 512,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 16,
        intermediate_size: int = 2048,
        max_position_embeddings: int | None = None,  # positions that the table has; None for rotations, which need none
        gated_mlp: bool = True,  # the second version's MLP
        normalized_embeddings: bool = False,  # a norm stands before the first layer
        hidden_dropout_prob: float = 0.0,
        attention_probs_dropout_prob: float = 0.0,
        layer_norm_eps: float = 1e-12,
        initializer_range: float = 0.02,
        **kwargs: Any,
    ) -> None:
        self.vocab_size, self.hidden_size, self.num_hidden_layers = vocab_size, hidden_size, num_hidden_layers
        self.num_attention_heads, self.intermediate_size = num_attention_heads, intermediate_size
        self.max_position_embeddings, self.gated_mlp = max_position_embeddings, gated_mlp
        self.normalized_embeddings, self.layer_norm_eps = normalized_embeddings, layer_norm_eps
        self.hidden_dropout_prob = hidden_dropout_prob
        self.attention_probs_dropout_prob = attention_probs_dropout_prob
        self.initializer_range = initializer_range
        super().__init__(**kwargs)


class NucleotideTransformer(Backbone):
    config_class = NucleotideTransformerConfig
    config: NucleotideTransformerConfig
    base_model_prefix = "nucleotide_transformer"
    _no_split_modules = ["NucleotideTransformerLayer"]  # noqa: RUF012  # transformers reads a list

    def __init__(self, config: NucleotideTransformerConfig) -> None:
        super().__init__(config)
        width, eps, rows = config.hidden_size, config.layer_norm_eps, config.max_position_embeddings
        self.word_embeddings = nn.Embedding(config.vocab_size, width)
        self.position_embeddings = None if rows is None else nn.Embedding(rows, width)
        self.embedding_norm = nn.LayerNorm(width, eps=eps) if config.normalized_embeddings else nn.Identity()
        self.layers = nn.ModuleList(NucleotideTransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.final_norm = nn.LayerNorm(width, eps=eps)
        self.post_init()

    def hidden_states(self, embeddings: States, attention_mask: Mask) -> States:
        states, rotation = embeddings, None
        if self.position_embeddings is None:
            rotation = self._rotation(embeddings)
        else:
            states = states + self.position_embeddings.weight[: states.shape[1]]
        states = self.embedding_norm(states)
        for layer in self.layers:
            states = layer(states, attention_mask, rotation)
        normed: Tensor = self.final_norm(states)
        return normed

    def _rotation(self, embeddings: States) -> Rotation:
        """Cosine and sine of each position's angles, the angles of the first half of a head repeated in the second."""
        size = self.config.hidden_size // self.config.num_attention_heads
        halves = torch.arange(0, size, 2, device=embeddings.device).float() / size
        places = torch.arange(embeddings.shape[1], device=embeddings.device).float()
        angles = (places[:, None] * ROTATION_BASE**-halves).repeat(1, 2)
        return torch.stack([angles.cos(), angles.sin()])


class NucleotideTransformerLayer(GradientCheckpointingLayer):
    """Attention and MLP, each of its normalized input and added to it."""

    def __init__(self, config: NucleotideTransformerConfig) -> None:
        super().__init__()
        width, inner, gated = config.hidden_size, config.intermediate_size, config.gated_mlp
        self.num_heads, self.gated = config.num_attention_heads, gated
        self.attention_dropout = config.attention_probs_dropout_prob
        self.attention_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attention_output = nn.Linear(width, width)
        self.mlp_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.expand = nn.Linear(width, 2 * inner if gated else inner, bias=not gated)
        self.contract = nn.Linear(inner, width, bias=not gated)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: States, attention_mask: Mask, rotation: Rotation | None) -> States:
        attended = self._attended(self.attention_norm(states), attention_mask, rotation)
        states = states + self.dropout(self.attention_output(attended))
        if self.gated:
            gate, value = self.expand(self.mlp_norm(states)).chunk(2, dim=-1)
            expanded = functional.silu(gate) * value
        else:
            expanded = functional.gelu(self.expand(self.mlp_norm(states)))
        contracted: Tensor = self.dropout(self.contract(expanded))
        return states + contracted

    def _attended(self, states: States, attention_mask: Mask, rotation: Rotation | None) -> States:
        query, key, value = (heads_of(layer(states), self.num_heads) for layer in (self.query, self.key, self.value))
        if rotation is not None:
            query, key = rotated(query, rotation), rotated(key, rotation)
        dropout, kept = self.attention_dropout if self.training else 0.0, attention_mask[:, None, None, :]
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=kept, dropout_p=dropout)
        return joined_heads(attended)


def rotated(states: Heads, rotation: Rotation) -> Heads:
    """Each position's states turned by its angles; number i of a head turns with number i + half the head's width."""
    cosine, sine = rotation.unbind()
    first, second = states.float().chunk(2, dim=-1)
    turned = states.float() * cosine + torch.cat([-second, first], dim=-1) * sine
    return turned.to(states.dtype)


register_backbone(NucleotideTransformer)
