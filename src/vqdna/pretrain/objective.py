"""Masked code modelling: the genome encoder with one prediction head per level.

Flow: base_ids + masked_bases [batch, base] -> true codes from the clean bases, input codes from what is visible ->
hidden states -> logits of the masked positions, one [masked, size] per level -> cross-entropy summed over levels.
Sees the tokenizer contract only. Paper: section 3.4; the target (one head per level) is our choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel
from transformers.utils import ModelOutput

from vqdna.pretrain.encoder import GenomeEncoder, GenomeEncoderConfig
from vqdna.pretrain.masking import UNKNOWN_BASE, hide_bases, positions_touching
from vqdna.tokenizers import Tokens


class MaskedModelingConfig(GenomeEncoderConfig):
    """A genome encoder's configuration, and what the masked modelling hides from the tokenizer.

    Args:
        hide_from_tokenizer: masked bases reach a tokenizer whose codes look beyond their span as N.
    """

    model_type = "vqdna_masked_modeling"

    def __init__(self, hide_from_tokenizer: bool = True, **kwargs: Any) -> None:
        self.hide_from_tokenizer = hide_from_tokenizer
        super().__init__(**kwargs)


@dataclass
class MaskedModelingOutput(ModelOutput):
    """Losses in nats.

    Attributes:
        loss: cross-entropy per masked position, summed over levels.
        loss_level: the same for each level, [level].
        masked_accuracy_level: share of masked positions whose code was the most probable one, [level].
        logits: one [masked, size] per level.
        targets: true codes of the masked positions, [masked, level].
        masked_positions: where they are, [batch, position].
        spans: base span of each position, [batch, position, 2].
        attention_mask: which positions are tokens, [batch, position].
    """

    loss: Tensor | None = None
    loss_level: Tensor | None = None
    masked_accuracy_level: Tensor | None = None
    logits: tuple[Tensor, ...] | None = None
    targets: Tensor | None = None
    masked_positions: Tensor | None = None
    spans: Tensor | None = None
    attention_mask: Tensor | None = None


class GenomeEncoderForMaskedModeling(PreTrainedModel):
    """Genome encoder that predicts the codes of masked positions."""

    config_class = MaskedModelingConfig
    base_model_prefix = "encoder"
    main_input_name = "base_ids"
    config: MaskedModelingConfig
    _supports_sdpa = True

    def __init__(self, config: MaskedModelingConfig, encoder: GenomeEncoder | None = None) -> None:
        super().__init__(config)
        if encoder is None:
            encoder = GenomeEncoder(GenomeEncoderConfig(**config.encoder_settings()))
        self.encoder = encoder
        self.prediction = PredictionHeads(config.hidden_size, encoder.tokenizer.level_sizes)
        self.post_init()

    @classmethod
    def from_encoder(
        cls, encoder: GenomeEncoder, *, hide_from_tokenizer: bool = True
    ) -> GenomeEncoderForMaskedModeling:
        """Fresh prediction heads on an encoder, which is used as it is."""
        config = MaskedModelingConfig(hide_from_tokenizer, **encoder.config.encoder_settings())
        return cls(config, encoder)

    def _init_weights(self, module: nn.Module) -> None:
        """The heads draw their own fresh weights; the encoder keeps its weights."""

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        masked_bases: Bool[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None = None,
    ) -> MaskedModelingOutput:
        """Loss and logits of the masked positions; positions over an N are never predicted.

        Args:
            base_ids: the clean bases.
            masked_bases: True where a base is to be predicted.
            attention_mask: False on padding at the rows' ends.
        """
        truth = self.encoder.tokenizer.encode(base_ids, attention_mask)
        masked = positions_touching(masked_bases, truth.spans) & truth.attention_mask
        visible = self._visible_tokens(base_ids, masked_bases, attention_mask, truth)
        hidden = self.encoder(
            codes=visible.codes, position_mask=visible.attention_mask, hidden_positions=masked
        ).last_hidden_state
        predicted = masked & ~positions_touching(base_ids >= UNKNOWN_BASE, truth.spans)
        logits = self.prediction(hidden[predicted])
        targets = truth.codes[predicted]
        losses = level_losses(logits, targets)
        return MaskedModelingOutput(
            loss=losses.sum(),
            loss_level=losses.detach(),
            masked_accuracy_level=level_accuracies(logits, targets),
            logits=tuple(logits),
            targets=targets,
            masked_positions=predicted,
            spans=truth.spans,
            attention_mask=truth.attention_mask,
        )

    def _visible_tokens(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        masked_bases: Bool[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None,
        truth: Tokens,
    ) -> Tokens:
        """Tokens the encoder reads: those of bases with N for the masked ones, where codes look beyond their span."""
        if not self.config.hide_from_tokenizer or self.encoder.tokenizer.context_bases == 0:
            return truth
        return self.encoder.tokenizer.encode(hide_bases(base_ids, masked_bases), attention_mask)


class PredictionHeads(nn.Module):
    """Shared transform, then a linear layer to each level's codes (the transform is BERT's)."""

    def __init__(self, width: int, level_sizes: Sequence[int]) -> None:
        super().__init__()
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.levels = nn.ModuleList(nn.Linear(width, size) for size in level_sizes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, hidden: Float[Tensor, "masked width"]) -> list[Float[Tensor, "masked size"]]:
        """Logits of each level."""
        transformed = self.transform(hidden)
        return [level(transformed) for level in self.levels]


def level_losses(logits: Sequence[Tensor], targets: Int[Tensor, "masked level"]) -> Float[Tensor, "level"]:
    """Mean cross-entropy of each level in nats; zero (with a gradient of zero) where nothing was masked."""
    losses = [
        nn.functional.cross_entropy(level.float(), targets[:, number], reduction="sum") / max(1, len(targets))
        for number, level in enumerate(logits)
    ]
    return torch.stack(losses)


def level_accuracies(logits: Sequence[Tensor], targets: Int[Tensor, "masked level"]) -> Float[Tensor, "level"]:
    """Share of the masked positions whose true code had the highest logit, for each level."""
    right = [(level.argmax(dim=-1) == targets[:, number]).float().sum() for number, level in enumerate(logits)]
    return torch.stack(right).detach() / max(1, len(targets))


AutoConfig.register(MaskedModelingConfig.model_type, MaskedModelingConfig)
AutoModelForMaskedLM.register(MaskedModelingConfig, GenomeEncoderForMaskedModeling)
