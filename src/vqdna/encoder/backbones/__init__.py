"""The networks between code embeddings and hidden states: those of transformers that take embeddings, and our own.

Flow: settings with a `model_type` -> configuration -> model. Importing this package registers our own with
transformers. It must not know tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from vqdna.encoder import blocked_attention
from vqdna.encoder.backbones.convolutions import Convolutions, ConvolutionsConfig
from vqdna.encoder.backbones.hyena import Hyena, HyenaConfig
from vqdna.encoder.backbones.mosaic_bert import MosaicBert, MosaicBertConfig
from vqdna.encoder.backbones.nucleotide_transformer import NucleotideTransformer, NucleotideTransformerConfig
from vqdna.errors import InputError, nearest_name_hint

THEIRS = ("modernbert", "bert")
"""transformers encoders that take `inputs_embeds` and were tested here."""

OURS = tuple(
    config.model_type for config in (HyenaConfig, MosaicBertConfig, NucleotideTransformerConfig, ConvolutionsConfig)
)
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
    """Configuration of the backbone; its own word embeddings are shrunk, for codes replace them.

    Raises:
        InputError: an unknown `model_type`.
    """
    options = dict(settings)
    model_type = options.pop("model_type", "modernbert")
    if model_type not in BACKBONES:
        hint = nearest_name_hint(model_type, BACKBONES)
        raise InputError(f"backbone.model_type: got '{model_type}', expected one of {', '.join(BACKBONES)}{hint}")
    return AutoConfig.for_model(model_type, **{**WITHOUT_WORDS, **options})


def build_backbone(config: PreTrainedConfig) -> PreTrainedModel:
    """Backbone with fresh weights, without a pooling layer."""
    if config.model_type in OURS:
        model: PreTrainedModel = AutoModel.from_config(config)
        return model
    options = {"add_pooling_layer": False} if config.model_type == "bert" else {}
    attention = blocked_attention.NAME if config.model_type == "modernbert" else "sdpa"
    model = AutoModel.from_config(config, attn_implementation=attention, **options)
    return model


def embedding_width(config: PreTrainedConfig) -> int:
    """Width of the embeddings that the backbone reads."""
    return int(getattr(config, "embedding_size", config.hidden_size))


def position_limit(config: PreTrainedConfig) -> int | None:
    """Positions of the longest row; None where the backbone counts distances only, so that any length goes."""
    limit = None if config.model_type == "modernbert" else getattr(config, "max_position_embeddings", None)
    return None if limit is None else int(limit)


def looks_ahead(config: PreTrainedConfig) -> bool:
    """Whether a state can depend on positions behind it."""
    return config.model_type != HyenaConfig.model_type or bool(config.bidirectional)


__all__ = [
    "BACKBONES",
    "Convolutions",
    "ConvolutionsConfig",
    "Hyena",
    "HyenaConfig",
    "MosaicBert",
    "MosaicBertConfig",
    "NucleotideTransformer",
    "NucleotideTransformerConfig",
    "backbone_config",
    "build_backbone",
    "embedding_width",
    "looks_ahead",
    "position_limit",
]
