"""The genome encoder with a task head: DNA in, one row of logits per sequence out.

Flow: base_ids [batch, base] (or codes [batch, position, level]) -> hidden states [batch, position, width] -> pooled
over the positions that hold a token [batch, width] -> MLP -> logits [batch, class]. One saved directory is complete and
opens with `AutoModelForSequenceClassification`. It must not know training, adapters or files. Paper: Fig. 2c.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from vqdna.errors import InputError, nearest_name_hint
from vqdna.pretrain.encoder import GenomeEncoder, GenomeEncoderConfig

TASKS = ("classification", "multilabel", "regression")
POOLINGS = ("mean", "mean+max")


class SequenceClassifierConfig(GenomeEncoderConfig):
    """A genome encoder's configuration, the task and the head.

    Args:
        task: "classification" (two classes or more), "multilabel" or "regression".
        class_names: name of each output; empty for regression, which has one output.
        label_mean: mean of the training scores; regression learns standardized scores.
        label_deviation: their standard deviation.
        class_weights: weight of each class in the loss, in multilabel of its positive examples; None weighs all alike.
        pooling: "mean" or "mean+max" over positions.
        head_hidden_size: width of the hidden layer; 0 means a single linear layer.
        head_dropout: before each linear layer.
        reverse_complement_average: predictions are to be averaged over both strands.
    """

    model_type = "vqdna_sequence_classifier"

    def __init__(
        self,
        task: str = "classification",
        class_names: Sequence[str] = ("0", "1"),
        label_mean: float = 0.0,
        label_deviation: float = 1.0,
        class_weights: Sequence[float] | None = None,
        pooling: str = "mean",
        head_hidden_size: int = 128,
        head_dropout: float = 0.1,
        reverse_complement_average: bool = False,
        **kwargs: Any,
    ) -> None:
        _check_name("task", task, TASKS)
        _check_name("pooling", pooling, POOLINGS)
        self.task, self.class_names = task, list(class_names) if task != "regression" else []
        self.label_mean, self.label_deviation = label_mean, label_deviation
        self.class_weights = None if class_weights is None else list(class_weights)
        self.pooling, self.head_hidden_size, self.head_dropout = pooling, head_hidden_size, head_dropout
        self.reverse_complement_average = reverse_complement_average
        labels = dict(enumerate(self.class_names or ["score"]))
        kwargs |= {"id2label": labels, "label2id": {name: number for number, name in labels.items()}}
        kwargs.pop("num_labels", None)
        super().__init__(**kwargs)

    @property
    def num_outputs(self) -> int:
        """Number of classes, or 1 for regression."""
        return max(1, len(self.class_names))


def _check_name(key: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        raise InputError(f"{key}: got '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}")


class GenomeEncoderForSequenceClassification(PreTrainedModel):
    """Genome encoder with an MLP head over pooled positions."""

    config_class = SequenceClassifierConfig
    base_model_prefix = "encoder"
    main_input_name = "base_ids"
    config: SequenceClassifierConfig
    _supports_sdpa = True

    def __init__(self, config: SequenceClassifierConfig) -> None:
        super().__init__(config)
        self.encoder = GenomeEncoder(config)
        pooled_size = config.hidden_size * len(config.pooling.split("+"))
        self.head = MlpHead(pooled_size, config.head_hidden_size, config.num_outputs, config.head_dropout)
        self.post_init()

    @classmethod
    def from_encoder(cls, encoder: GenomeEncoder, **settings: Any) -> GenomeEncoderForSequenceClassification:
        """A copy of the trained encoder under a fresh head; `settings` are those of `SequenceClassifierConfig`."""
        shape: dict[str, Any] = encoder.config.encoder_settings()
        model = cls(SequenceClassifierConfig(**shape, **settings))
        model.encoder.load_state_dict(encoder.state_dict())
        return model

    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights of deviation 0.02 for the head; the encoder sets its own."""
        if isinstance(module, MlpHead):
            module.reset_parameters()

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Bool[Tensor, "batch base"] | None = None,
        *,
        codes: Int[Tensor, "batch position level"] | None = None,
        position_mask: Bool[Tensor, "batch position"] | None = None,
        labels: Shaped[Tensor, "batch ..."] | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of one strand, from bases or from codes, and the loss where there are labels.

        Args:
            base_ids: see `GenomeEncoder.forward`.
            attention_mask: see `GenomeEncoder.forward`.
            codes: see `GenomeEncoder.forward`.
            position_mask: see `GenomeEncoder.forward`.
            labels: class ids `[batch]`, 0/1 sets `[batch class]`, or scores `[batch]` on their own scale.
        """
        encoded = self.encoder(base_ids, attention_mask, codes=codes, position_mask=position_mask)
        pooled = pool_positions(encoded.last_hidden_state, encoded.attention_mask, self.config.pooling)
        logits = self.head(pooled).float()
        return SequenceClassifierOutput(loss=None if labels is None else self.loss(logits, labels), logits=logits)

    def loss(self, logits: Float[Tensor, "batch class"], labels: Shaped[Tensor, "batch ..."]) -> Float[Tensor, ""]:
        """Cross-entropy, binary cross-entropy for multilabel, squared error of standardized scores for regression."""
        config = self.config
        weights = None if config.class_weights is None else logits.new_tensor(config.class_weights)
        if config.task == "classification":
            return functional.cross_entropy(logits, labels, weights)
        if config.task == "multilabel":
            return functional.binary_cross_entropy_with_logits(logits, labels.float(), pos_weight=weights)
        return functional.mse_loss(logits[:, 0], (labels.float() - config.label_mean) / config.label_deviation)

    def predictions(self, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Class probabilities in double precision; for regression scores on the scale of the labels."""
        if self.config.task == "classification":
            return logits.double().softmax(dim=1)
        if self.config.task == "multilabel":
            return logits.double().sigmoid()
        return logits.double() * self.config.label_deviation + self.config.label_mean


def pool_positions(
    hidden: Float[Tensor, "batch position width"], attention_mask: Bool[Tensor, "batch position"], pooling: str
) -> Float[Tensor, "batch pooled"]:
    """Mean (and with "mean+max" also the maximum) over each row's positions that hold a token, in float32."""
    padding = ~attention_mask[..., None]
    hidden = hidden.float()
    mean = hidden.masked_fill(padding, 0.0).sum(dim=1) / attention_mask.sum(dim=1, keepdim=True)
    if pooling == "mean":
        return mean
    return torch.cat([mean, hidden.masked_fill(padding, -torch.inf).amax(dim=1)], dim=1)


class MlpHead(nn.Module):
    """One hidden layer with GELU between dropouts, or a single linear layer where `hidden_size` is 0."""

    def __init__(self, input_size: int, hidden_size: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(input_size, hidden_size) if hidden_size else None
        self.output = nn.Linear(hidden_size or input_size, num_outputs)

    def reset_parameters(self) -> None:
        """Fresh weights."""
        for layer in (self.hidden, self.output):
            if layer is not None:
                nn.init.normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, pooled: Float[Tensor, "batch pooled"]) -> Float[Tensor, "batch output"]:
        """Logits of each row."""
        features = self.dropout(pooled)
        if self.hidden is not None:
            features = self.dropout(functional.gelu(self.hidden(features)))
        logits: Tensor = self.output(features)
        return logits


AutoConfig.register(SequenceClassifierConfig.model_type, SequenceClassifierConfig)
AutoModelForSequenceClassification.register(SequenceClassifierConfig, GenomeEncoderForSequenceClassification)
