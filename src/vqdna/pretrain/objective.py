"""Masked code modelling: the genome encoder with heads that predict what was hidden.

Flow: base_ids + masked_bases [batch, base] -> true codes from the clean bases, input codes from what is visible ->
hidden states -> logits of the masked tokens, one [masked, size] per level -> cross-entropy summed over levels.
Sees the tokenizer contract only. Paper: section 3.4; what is predicted is not stated there, see `TARGETS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from transformers import AutoModelForMaskedLM
from transformers.utils import ModelOutput

from vqdna.encoder.genome_encoder import (
    UNKNOWN_BASE,
    GenomeEncoder,
    GenomeEncoderConfig,
    GenomeEncoderOutput,
    pool_positions,
    positions_over_unknown,
    positions_touching,
)
from vqdna.encoder.saved_models import MASKED_MODEL_FOLDER, DnaModel, load_model, register_model
from vqdna.errors import check_name
from vqdna.pretrain.contrast import NO_GROUP, Projection, contrast_loss
from vqdna.pretrain.masking import hide_bases, widened
from vqdna.pretrain.shuffling import NOT_ASKED, SHUFFLED
from vqdna.tokenizers import Tokenizer, Tokens

TARGETS = ("levels", "joint", "bases")
"""What is predicted at a masked token: the code of each level by itself; the codes of all levels jointly, each level
given the true codes of the levels before it (chain rule); or the bases of the token's span."""

IGNORED = -100  # a target that does not count

MAX_TARGET_BASES = 8
"""Bases of a token's span that are predicted or scored; longer BPE words count with their first ones."""


Bases = UInt8[Tensor, "batch base"]
BaseMask = Bool[Tensor, "batch base"]
TokenMask = Bool[Tensor, "batch token"]
Views = UInt8[Tensor, "span view view_base"]
Groups = Int[Tensor, "span"]
LossAndAccuracy = tuple[Float[Tensor, ""], Float[Tensor, ""]]


class MaskedModelingConfig(GenomeEncoderConfig):
    """A genome encoder's configuration, what the masked modelling hides from the tokenizer and what it predicts."""

    model_type = "vqdna_masked_modeling"

    def __init__(
        self,
        hide_from_tokenizer: bool = True,  # masked bases reach a tokenizer whose codes look beyond their span as N
        target: str = "levels",  # one of `TARGETS`
        hide_fields: bool = False,  # the encoder sees no token whose code looks at a masked base
        shuffling_weight: float = 0.0,  # of the question whether a position is real or shuffled; 0 never asks it
        contrast_weight: float = 0.0,  # of the question which views are of one span; 0 never asks it
        contrast_temperature: float = 0.1,  # of the similarities of views
        head_norm_eps: float = 1e-5,  # what the heads' norm adds to a variance
        **kwargs: Any,
    ) -> None:
        check_name("target", target, TARGETS)
        self.hide_from_tokenizer, self.hide_fields, self.target = hide_from_tokenizer, hide_fields, target
        self.shuffling_weight, self.head_norm_eps = shuffling_weight, head_norm_eps
        self.contrast_weight, self.contrast_temperature = contrast_weight, contrast_temperature
        super().__init__(**kwargs)


@dataclass
class MaskedModelingOutput(ModelOutput):
    """Losses in nats."""

    # cross-entropy per masked token, summed over levels, and what is asked about shuffling and views, weighted
    loss: Tensor | None = None
    # the same for each level, [level]; with the target "bases" for each base of the span
    loss_level: Tensor | None = None
    shuffling: Tensor | None = None  # cross-entropy per position of whether it is real or shuffled
    # share of the positions that were told right; 0 where none was asked about
    shuffling_accuracy: Tensor | None = None
    contrast: Tensor | None = None  # cross-entropy per view of which other view is of its span
    contrast_accuracy: Tensor | None = None  # share of the views that found their partner; 0 where none was asked about
    masked_accuracy_level: Tensor | None = None  # share of masked tokens whose code was the most probable one, [level]
    # one [masked, size] per level, for "bases" one [masked, 4] per base of the span
    logits: tuple[Tensor, ...] | None = None
    # true codes of the masked tokens, [masked, level]; for "bases" true bases, -100 beyond the span
    targets: Tensor | None = None
    masked_positions: Tensor | None = None  # where they are, [batch, token]
    hidden_positions: Tensor | None = None  # tokens that the encoder did not see, [batch, token]
    spans: Tensor | None = None  # base span of each token, [batch, token, 2]
    attention_mask: Tensor | None = None  # which tokens are no padding, [batch, token]


class GenomeEncoderForMaskedModeling(DnaModel):
    """Genome encoder that predicts the codes, or the bases, of masked tokens."""

    config_class = MaskedModelingConfig
    config: MaskedModelingConfig

    def __init__(self, config: MaskedModelingConfig, encoder: GenomeEncoder | None = None) -> None:
        super().__init__(config)
        if encoder is None:
            encoder = GenomeEncoder(GenomeEncoderConfig(**config.encoder_settings()))
        self.encoder = encoder
        sizes, chained = encoder.tokenizer.level_sizes, config.target == "joint"
        if config.target == "bases":
            sizes = (UNKNOWN_BASE,) * _span_bases(encoder.tokenizer)
        self.prediction = PredictionHeads(encoder.token_width, sizes, chained=chained, norm_eps=config.head_norm_eps)
        self.detection = nn.Linear(config.hidden_size, 1) if config.shuffling_weight else None
        self.projection = Projection(2 * config.hidden_size) if config.contrast_weight else None
        self.post_init()

    @classmethod
    def from_encoder(cls, encoder: GenomeEncoder, **settings: Any) -> GenomeEncoderForMaskedModeling:
        """New prediction heads on an encoder, used as it is; `settings` are those of `MaskedModelingConfig`."""
        return cls(MaskedModelingConfig(**encoder.config.encoder_settings(), **settings), encoder)

    def _init_weights(self, module: nn.Module) -> None:
        """The heads draw their own random weights; the encoder keeps its weights."""

    def forward(
        self,
        base_ids: Bases,
        masked_bases: BaseMask,  # True where a base is to be predicted
        attention_mask: BaseMask | None = None,
        # factor of each loss and accuracy; for a batch that is one pass of several, see `loss_items`
        loss_shares: Mapping[str, Float[Tensor, ""]] | None = None,
        shuffled_bases: Bases | None = None,  # what each base is, see `vqdna.pretrain.shuffling`
        contrast_views: Views | None = None,  # of other windows than `base_ids`, see `vqdna.pretrain.contrast`
        contrast_groups: Groups | None = None,  # which of them are told apart
    ) -> MaskedModelingOutput:
        """Loss and logits of the masked tokens; tokens over an N are never predicted."""
        # Codes of the clean bases are what is predicted. What the encoder reads may not be made of them: a learned code
        # looks beyond its own span, so the codes beside a masked token would give its bases away.
        truth = self.encoder.tokenizer.encode(base_ids, attention_mask)
        masked = positions_touching(masked_bases, truth.spans) & truth.attention_mask
        visible = self._visible_tokens(base_ids, masked_bases, attention_mask, truth)
        # With `hide_fields` more is hidden than is predicted: every token whose field reaches a masked base.
        hidden = masked | self._looking_at(masked_bases, truth)
        output = self.encoder(codes=visible.codes, position_mask=visible.attention_mask, hidden_positions=hidden)
        predicted = masked & ~positions_over_unknown(base_ids, truth.spans)
        states = self.encoder.token_states(output, masked.shape[1])[predicted]
        targets = self._targets(base_ids, truth, predicted)
        logits = self.prediction(states, targets)
        shares = loss_shares or {}
        share = shares.get("masked", 1)
        losses = level_losses(logits, targets) * share
        shuffling, told_right = self._shuffling(output, truth, shuffled_bases)
        shuffling = shuffling * shares.get("shuffling", 1)
        contrast, found = self._contrast(contrast_views, contrast_groups)
        contrast = contrast * shares.get("contrast", 1)
        asked = self.config.shuffling_weight * shuffling + self.config.contrast_weight * contrast
        return MaskedModelingOutput(
            loss=losses.sum() + asked,
            contrast=contrast.detach(),
            contrast_accuracy=found * shares.get("contrast", 1),
            shuffling=shuffling.detach(),
            shuffling_accuracy=told_right * shares.get("shuffling", 1),
            loss_level=losses.detach(),
            masked_accuracy_level=level_accuracies(logits, targets) * share,
            logits=tuple(logits),
            targets=targets,
            masked_positions=predicted,
            hidden_positions=hidden,
            spans=truth.spans,
            attention_mask=truth.attention_mask,
        )

    def loss_items(
        self,
        base_ids: Bases,
        masked_bases: BaseMask,
        attention_mask: BaseMask | None = None,
        shuffled_bases: Bases | None = None,
        contrast_views: Views | None = None,
        contrast_groups: Groups | None = None,
    ) -> dict[str, Int[Tensor, ""]]:
        """How many tokens, positions and views each loss is a mean over."""
        del contrast_views
        nothing = torch.zeros((), dtype=torch.long, device=base_ids.device)
        truth = self.encoder.tokenizer.encode(base_ids, attention_mask)
        masked = positions_touching(masked_bases, truth.spans) & truth.attention_mask
        asked = self._asked(truth, shuffled_bases)
        return {
            "masked": (masked & ~positions_over_unknown(base_ids, truth.spans)).sum(),
            "shuffling": nothing if asked is None else (asked != NOT_ASKED).sum(),
            "contrast": nothing if contrast_groups is None else 2 * (contrast_groups != NO_GROUP).sum(),
        }

    def _asked(self, truth: Tokens, shuffled_bases: Bases | None) -> UInt8[Tensor, "batch position"] | None:
        """What each position is, by its first base; not asked where it holds no token."""
        if self.detection is None or shuffled_bases is None:
            return None
        kinds = shuffled_bases.gather(1, truth.spans[..., 0]).masked_fill(~truth.attention_mask, NOT_ASKED)
        return kinds[:, :: self.encoder.merge]

    def _shuffling(self, output: GenomeEncoderOutput, truth: Tokens, shuffled_bases: Bases | None) -> LossAndAccuracy:
        """Loss and accuracy of telling real positions from shuffled ones."""
        asked = self._asked(truth, shuffled_bases)
        if asked is None or self.detection is None or output.last_hidden_state is None:
            nothing = torch.zeros((), device=truth.codes.device)
            return nothing, nothing
        kept = asked != NOT_ASKED
        logits = self.detection(output.last_hidden_state)[..., 0][kept].float()
        truly = (asked[kept] == SHUFFLED).float()
        count = max(1, len(truly))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truly, reduction="sum") / count
        return loss, ((logits > 0) == (truly > 0)).float().sum().detach() / count

    def _contrast(self, views: Views | None, groups: Groups | None) -> LossAndAccuracy:
        """Loss and accuracy of finding the other view of a span."""
        if self.projection is None or views is None or groups is None:
            nothing = torch.zeros((), device=self.device)
            return nothing, nothing
        output = self.encoder(views.flatten(0, 1))
        pooled = pool_positions(output.last_hidden_state, output.attention_mask, "mean+max")
        vectors = self.projection(pooled).unflatten(0, views.shape[:2])
        return contrast_loss(vectors, groups, self.config.contrast_temperature)

    def _looking_at(self, masked_bases: BaseMask, truth: Tokens) -> TokenMask:
        """Tokens whose field holds a masked base, where such are hidden; none elsewhere."""
        if not self.config.hide_fields:
            return torch.zeros_like(truth.attention_mask)
        seen_by = widened(masked_bases, self.encoder.tokenizer.context_bases)
        return positions_touching(seen_by, truth.spans) & truth.attention_mask

    def _targets(self, base_ids: Bases, truth: Tokens, predicted: TokenMask) -> Int[Tensor, "masked level"]:
        """True codes of the masked tokens, or the bases of their spans."""
        if self.config.target != "bases":
            return truth.codes[predicted]
        bases, known = bases_of_spans(base_ids, truth.spans, _span_bases(self.encoder.tokenizer))
        return bases.masked_fill(~known, IGNORED)[predicted]

    def _visible_tokens(
        self, base_ids: Bases, masked_bases: BaseMask, attention_mask: BaseMask | None, truth: Tokens
    ) -> Tokens:
        """Tokens the encoder reads: those of bases with N for the masked ones, where codes look beyond their span."""
        if not self.config.hide_from_tokenizer or self.encoder.tokenizer.context_bases == 0:
            return truth
        return self.encoder.tokenizer.encode(hide_bases(base_ids, masked_bases), attention_mask)


def bases_of_spans(
    base_ids: Bases, spans: Int[Tensor, "batch position 2"], num_places: int = MAX_TARGET_BASES
) -> tuple[Int[Tensor, "batch position place"], Bool[Tensor, "batch position place"]]:
    """First `num_places` bases of each span, and which of them exist and are no N."""
    places = spans[..., :1] + torch.arange(num_places, device=spans.device)
    rows = torch.arange(len(base_ids), device=spans.device)[:, None, None]
    bases = base_ids.long()[rows, places.clamp_max(base_ids.shape[1] - 1)]
    known = (places < spans[..., 1:]) & (bases < UNKNOWN_BASE)
    return bases.clamp_max(UNKNOWN_BASE - 1), known


class PredictionHeads(nn.Module):
    """Shared transform, then a linear layer to each level's codes (the transform is BERT's).

    Args:
        sizes: number of codes of each level.
        chained: each level is also told the true codes of the levels before it.
    """

    def __init__(self, width: int, sizes: Sequence[int], *, chained: bool = False, norm_eps: float = 1e-5) -> None:
        super().__init__()
        self.transform = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=norm_eps))
        self.levels = nn.ModuleList(nn.Linear(width, size) for size in sizes)
        self.known = nn.ModuleList(nn.Embedding(size, width) for size in sizes[:-1]) if chained else None
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(
        self, hidden: Float[Tensor, "masked width"], targets: Int[Tensor, "masked level"]
    ) -> list[Float[Tensor, "masked size"]]:
        state = self.transform(hidden)
        logits = []
        for level, head in enumerate(self.levels):
            logits.append(head(state))
            if self.known is not None and level < len(self.known):
                state = state + self.known[level](targets[:, level])
        return logits


def _span_bases(tokenizer: Tokenizer) -> int:
    return min(MAX_TARGET_BASES, tokenizer.max_span)


def level_losses(logits: Sequence[Tensor], targets: Int[Tensor, "masked level"]) -> Float[Tensor, "level"]:
    """Mean cross-entropy of each level in nats; zero (with a gradient of zero) where nothing was masked."""
    losses = [
        nn.functional.cross_entropy(level.float(), targets[:, number], ignore_index=IGNORED, reduction="sum")
        / max(1, len(targets))
        for number, level in enumerate(logits)
    ]
    return torch.stack(losses)


def level_accuracies(logits: Sequence[Tensor], targets: Int[Tensor, "masked level"]) -> Float[Tensor, "level"]:
    """Share of the masked tokens whose true code had the highest logit, for each level."""
    right = [(level.argmax(dim=-1) == targets[:, number]).float().sum() for number, level in enumerate(logits)]
    counts = (targets != IGNORED).sum(dim=0).clamp_min(1)
    return torch.stack(right).detach() / counts


register_model(GenomeEncoderForMaskedModeling, AutoModelForMaskedLM, GenomeEncoder)


def load_masked_model(path: Path) -> GenomeEncoderForMaskedModeling:
    """Encoder with the heads of its pre-training, in the `masked_model/` of the run folder `path`."""
    return load_model(GenomeEncoderForMaskedModeling, path / MASKED_MODEL_FOLDER, MaskedModelingConfig.model_type)
