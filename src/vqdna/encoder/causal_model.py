"""Causal modelling: a genome encoder that looks back alone, with the head that predicts the token that follows.

Flow: base_ids [batch, base] -> tokens -> hidden states -> logits of the token behind each -> cross-entropy of every
token but a row's first. For published models that were trained so; stage 2 trains none. Sees the tokenizer contract
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Int, Shaped, UInt8
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import ModelOutput

from vqdna.encoder.backbones import looks_ahead
from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig, given_bases, positions_over_unknown
from vqdna.encoder.saved_models import CAUSAL_MODEL_FOLDER, DnaModel, load_model, register_model
from vqdna.errors import InputError


class CausalModelingConfig(GenomeEncoderConfig):
    """A genome encoder's configuration, for a model that predicts with it what follows."""

    model_type = "vqdna_causal_modeling"

    def __init__(self, **kwargs: Any) -> None:  # without one of its own transformers makes a class of fields
        super().__init__(**kwargs)


@dataclass
class CausalModelingOutput(ModelOutput):
    """What is made of each token."""

    loss: Tensor | None = None  # mean cross-entropy of the predicted tokens in nats; tokens over an N are not counted
    logits: Tensor | None = None  # of the token behind each, [batch, token, code]
    # log-probability of each token in nats, 0 where none is predicted, [batch, token]
    log_likelihoods: Tensor | None = None
    attention_mask: Tensor | None = None  # which tokens are no padding, [batch, token]


class GenomeEncoderForCausalModeling(DnaModel):
    config_class = CausalModelingConfig
    config: CausalModelingConfig

    def __init__(self, config: CausalModelingConfig, encoder: GenomeEncoder | None = None) -> None:
        super().__init__(config)
        self.encoder = encoder or GenomeEncoder(GenomeEncoderConfig(**config.encoder_settings()))
        sizes = self.encoder.tokenizer.level_sizes
        if len(sizes) > 1 or self.encoder.merge > 1 or looks_ahead(self.encoder.backbone.config):
            raise InputError("expected an encoder of one code a token, without a stem, whose backbone looks back alone")
        self.prediction = nn.Linear(self.encoder.token_width, sizes[0], bias=False)
        self.post_init()

    @classmethod
    def from_encoder(cls, encoder: GenomeEncoder) -> GenomeEncoderForCausalModeling:
        return cls(CausalModelingConfig(**encoder.config.encoder_settings()), encoder)

    def _init_weights(self, module: nn.Module) -> None:
        """The head sets its own random weights; the encoder keeps its weights."""

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        input_ids: Int[Tensor, "batch base"] | None = None,
    ) -> CausalModelingOutput:
        """Loss, logits and log-likelihoods; a row's first token is not predicted, for nothing stands before it."""
        bases = given_bases(base_ids, input_ids)
        tokens = self.encoder.tokens_of(bases, attention_mask)
        output = self.encoder(codes=tokens.codes, position_mask=tokens.attention_mask)
        logits = self.prediction(output.last_hidden_state)
        predicted = tokens.attention_mask & ~positions_over_unknown(bases, tokens.spans)
        predicted[:, :1] = False
        words = tokens.codes[..., 0]
        told = logits[:, :-1].float().log_softmax(dim=-1).gather(2, words[:, 1:, None])[..., 0]
        likelihoods = nn.functional.pad(told, (1, 0))[:, : words.shape[1]].masked_fill(~predicted, 0.0)
        return CausalModelingOutput(
            loss=-likelihoods.sum() / predicted.sum().clamp_min(1),
            logits=logits,
            log_likelihoods=likelihoods,
            attention_mask=tokens.attention_mask,
        )


def load_causal_model(path: Path) -> GenomeEncoderForCausalModeling:
    """Published encoder with its head, in the `causal_model/` of the folder `path`."""
    return load_model(GenomeEncoderForCausalModeling, path / CAUSAL_MODEL_FOLDER, CausalModelingConfig.model_type)


register_model(GenomeEncoderForCausalModeling, AutoModelForCausalLM, GenomeEncoder)
