"""The networks between code embeddings and hidden states: those of transformers that take embeddings, and our own.

Flow: settings with a `model_type` -> configuration -> model: inputs_embeds [batch, position, width] + attention_mask
[batch, position] -> layers, each one that can be computed again in the backward pass -> hidden states. One of our own
is imported, and so registered with transformers, when its `model_type` is first asked for; with `input_ids` it is a
plain transformers model. It must not know tokenizers, nor where weights come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from vqdna.encoder import blocked_attention
from vqdna.errors import check_name

THEIRS = ("modernbert", "bert")  # transformers encoders that take `inputs_embeds` and were tested here

OURS = {
    "vqdna_hyena": "vqdna.encoder.backbones.hyena",
    "vqdna_mosaic_bert": "vqdna.encoder.backbones.mosaic_bert",
    "vqdna_nucleotide_transformer": "vqdna.encoder.backbones.nucleotide_transformer",
    "vqdna_convolutions": "vqdna.encoder.backbones.convolutions",
}
"""Our own by `model_type`, and the module of each."""

BACKBONES = (*THEIRS, *OURS)

WITHOUT_WORDS = {
    "vocab_size": 1,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "cls_token_id": None,
    "sep_token_id": None,
}
"""Settings of a backbone whose own word embeddings are never read, for codes replace them."""


def backbone_config(settings: Mapping[str, Any]) -> PreTrainedConfig:
    """Configuration of the backbone; its own word embeddings are shrunk, for codes replace them."""
    options = dict(settings)
    model_type = options.pop("model_type", "modernbert")
    check_name("backbone.model_type", model_type, BACKBONES)
    if model_type in OURS:
        import_module(OURS[model_type])
    return AutoConfig.for_model(model_type, **{**WITHOUT_WORDS, **options})


def build_backbone(config: PreTrainedConfig) -> PreTrainedModel:
    if config.model_type in OURS:
        model: PreTrainedModel = AutoModel.from_config(config)
        return model
    options = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    attention = blocked_attention.NAME if config.model_type == "modernbert" else "sdpa"
    model = AutoModel.from_config(config, attn_implementation=attention, **options)
    return model


def embedding_width(config: PreTrainedConfig) -> int:
    return int(getattr(config, "embedding_size", config.hidden_size))


def position_limit(config: PreTrainedConfig) -> int | None:
    """Positions of the longest row; None where the backbone counts distances only, so that any length goes."""
    limit = None if config.model_type == "modernbert" else getattr(config, "max_position_embeddings", None)
    return None if limit is None else int(limit)


def looks_ahead(config: PreTrainedConfig) -> bool:
    """Whether a state can depend on positions behind it."""
    return config.model_type != "vqdna_hyena" or bool(config.bidirectional)


States = Float[Tensor, "batch position width"]
Mask = Bool[Tensor, "batch position"]  # which positions are no padding
Heads = Float[Tensor, "batch head position head_width"]


class Backbone(PreTrainedModel):
    """A stack of layers over embeddings of positions; subclasses give `hidden_states`."""

    main_input_name = "inputs_embeds"
    supports_gradient_checkpointing = True
    word_embeddings: nn.Embedding

    def get_input_embeddings(self) -> nn.Module:
        return self.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:  # type: ignore[override]
        self.word_embeddings = value

    def forward(
        self,
        input_ids: Int[Tensor, "batch position"] | None = None,  # words, instead of `inputs_embeds`
        # true or 1 where a position is no padding; None where none is
        attention_mask: Shaped[Tensor, "batch position"] | None = None,
        inputs_embeds: States | None = None,
    ) -> BaseModelOutput:
        """Hidden states of every position; what stands on padding changes none of the others."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        embeddings = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if attention_mask is None:
            attention_mask = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)
        return BaseModelOutput(last_hidden_state=self.hidden_states(embeddings, attention_mask.bool()))

    def hidden_states(self, embeddings: States, attention_mask: Mask) -> States:
        raise TypeError(f"{type(self).__name__} has no layers")


def heads_of(states: States, num_heads: int) -> Heads:
    heads: Tensor = states.unflatten(2, (num_heads, -1))
    return heads.transpose(1, 2)


def joined_heads(states: Heads) -> States:
    return states.transpose(1, 2).flatten(2)


def register_backbone(model_class: type[Backbone]) -> None:
    config_class: type[PreTrainedConfig] = model_class.config_class  # type: ignore[assignment]
    AutoConfig.register(config_class.model_type, config_class)
    AutoModel.register(config_class, model_class)
