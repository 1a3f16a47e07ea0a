"""The genome encoder with a label for every base: DNA in, one row of logits per base out.

Flow: base_ids [batch, base] -> hidden states -> token states [batch, token, token_width] -> MLP -> token logits ->
spread over the bases of each token's span -> logits [batch, base, class]. Bases for which the same token speaks have
their logits in common: a tokenizer of stride 1 tells single bases apart (overlapping words not at the ends of a row),
any other one steps as wide as its stride. It must not know training, adapters or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn import functional
from transformers import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, AutoModelForTokenClassification
from transformers.modeling_outputs import TokenClassifierOutput

from vqdna.encoder.genome_encoder import GenomeEncoder, GenomeEncoderConfig, given_bases
from vqdna.encoder.saved_models import register_beside, register_model
from vqdna.finetune.heads import EncoderWithHead, MlpHead, output_names, outputs_named
from vqdna.tokenizers import Tokens

IGNORED_LABEL = -100  # label of a base that no loss counts, such as padding


class TokenClassifierConfig(GenomeEncoderConfig):
    """A genome encoder's configuration and that of a head for single bases."""

    model_type = "vqdna_token_classifier"

    def __init__(
        self,
        class_names: Sequence[str] | None = None,  # name of each class; None for "0" and "1"
        class_weights: Sequence[float] | None = None,  # weight of each class in the loss; None weighs all alike
        head_hidden_size: int = 128,  # width of the hidden layer; 0 means a single linear layer
        head_dropout: float = 0.1,  # before each linear layer
        **kwargs: Any,
    ) -> None:
        self.class_weights = None if class_weights is None else list(class_weights)
        self.head_hidden_size, self.head_dropout = head_hidden_size, head_dropout
        super().__init__(**outputs_named(class_names, kwargs))

    @classmethod
    def around(cls, config: GenomeEncoderConfig) -> TokenClassifierConfig:
        """The configuration itself; around a bare encoder's one a head with as many classes as its `num_labels`."""
        if isinstance(config, cls):
            return config
        return cls(output_names(config), **config.encoder_settings())

    @property
    def class_names(self) -> list[str]:
        return output_names(self)


class GenomeEncoderForTokenClassification(EncoderWithHead):
    """Genome encoder with an MLP head over the state of each token, whose logits its bases take over."""

    config_class = TokenClassifierConfig
    config: TokenClassifierConfig

    def __init__(self, config: GenomeEncoderConfig) -> None:
        config = TokenClassifierConfig.around(config)
        super().__init__(config)
        self.encoder = GenomeEncoder(config)
        num_classes = len(config.class_names)
        self.head = MlpHead(self.encoder.token_width, config.head_hidden_size, num_classes, config.head_dropout)
        self.post_init()

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        input_ids: Int[Tensor, "batch base"] | None = None,
        labels: Int[Tensor, "batch base"] | None = None,  # class id of each base; -100 where none is to be learned
    ) -> TokenClassifierOutput:
        """Logits of every base, and their mean loss where there are labels; those of padding mean nothing."""
        bases = given_bases(base_ids, input_ids)
        tokens: Tokens = self.encoder.tokens_of(bases, attention_mask)
        encoded = self.encoder(codes=tokens.codes, position_mask=tokens.attention_mask)
        states = self.encoder.token_states(encoded, tokens.codes.shape[1])
        per_token = self.head(states)
        speaking = speaking_tokens(tokens, bases.shape[1])[..., None].expand(-1, -1, per_token.shape[2])
        logits = per_token.gather(1, speaking).float()
        return TokenClassifierOutput(loss=None if labels is None else self.loss(logits, labels), logits=logits)

    def loss(self, logits: Float[Tensor, "batch base class"], labels: Int[Tensor, "batch base"]) -> Float[Tensor, ""]:
        """Mean cross-entropy over the labelled bases, classes weighed as configured; zero where none is labelled."""
        weights = None if self.config.class_weights is None else logits.new_tensor(self.config.class_weights)
        labelled = labels != IGNORED_LABEL
        if not bool(labelled.any()):
            return logits.sum() * 0.0
        return functional.cross_entropy(logits[labelled], labels[labelled], weights)


def speaking_tokens(tokens: Tokens, num_bases: int) -> Int[Tensor, "batch base"]:
    """Number of the token that speaks for each base: the middle one of those whose span holds it.

    Of two in the middle it is the earlier one. So of overlapping 6-mers the one that starts three bases before a base
    speaks for it, and fewer hold the bases at either end. Padding takes the row's last token.
    """
    starts, ends = tokens.spans.masked_fill(~tokens.attention_mask[..., None], num_bases).unbind(dim=-1)
    base = torch.arange(num_bases, device=starts.device).expand(len(starts), -1).contiguous()
    last = torch.searchsorted(starts.contiguous(), base, right=True) - 1
    first = torch.searchsorted(ends.contiguous(), base, right=True)
    final = tokens.attention_mask.sum(dim=1, keepdim=True) - 1
    return torch.minimum((first + last) // 2, final).clamp(min=0)


register_model(GenomeEncoderForTokenClassification, AutoModelForTokenClassification, GenomeEncoder)
register_beside(GenomeEncoderConfig, MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING, GenomeEncoderForTokenClassification)
