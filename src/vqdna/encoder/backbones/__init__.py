"""The networks between code embeddings and hidden states: those of transformers that take embeddings, and our own.

Flow: settings with a `model_type` -> configuration -> model. One of our own is imported, and so registered with
transformers, when its `model_type` is first asked for. It must not know tokenizers.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from vqdna.encoder import blocked_attention
from vqdna.errors import check_name

THEIRS = ("modernbert", "bert")
"""transformers encoders that take `inputs_embeds` and were tested here."""

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
    """Backbone with random initialization, without a pooling layer."""
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
