"""The genome encoder with a task head: DNA in, one row of logits per sequence out.

Flow: base_ids [batch, base] (or codes [batch, position, level]) -> hidden states [batch, position, width] -> pooled
over the positions that hold a token [batch, width] -> MLP -> logits [batch, class]. Where a label holds for both
strands, both may go through at once: pooled [2 * batch, width] -> maximum and mean over the strands
[batch, 2 * width]; averaged predictions leave it to each strand alone to see a motif. One saved directory is complete
and opens with `AutoModelForSequenceClassification`. It must not know training, adapters or files. Paper: Fig. 2c.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, AutoModelForSequenceClassification, PreTrainedConfig
from transformers.modeling_outputs import SequenceClassifierOutput

from vqdna.encoder.genome_encoder import POOLINGS, GenomeEncoder, GenomeEncoderConfig, pool_positions
from vqdna.encoder.saved_models import DnaModel, load_model, register_beside, register_model
from vqdna.errors import check_name
from vqdna.genome.bases import N

TASKS = ("classification", "multilabel", "regression")
PROBLEM_TYPES = dict(
    zip(TASKS, ("single_label_classification", "multi_label_classification", "regression"), strict=True)
)
"""What transformers calls the tasks; its pipelines turn logits into scores by it."""


class SequenceClassifierConfig(GenomeEncoderConfig):
    """A genome encoder's configuration, the task and the head."""

    model_type = "vqdna_sequence_classifier"

    def __init__(
        self,
        task: str = "classification",  # "classification" (two classes or more), "multilabel" or "regression"
        # name of each output; None for "0" and "1", and for regression, which has one output
        class_names: Sequence[str] | None = None,
        label_mean: float = 0.0,  # mean of the training scores; regression learns standardized scores
        label_deviation: float = 1.0,  # their standard deviation
        # weight of each class in the loss, in multilabel of its positive examples; None weighs all alike
        class_weights: Sequence[float] | None = None,
        pooling: str = "mean",  # "mean" or "mean+max" over positions
        head_hidden_size: int = 128,  # width of the hidden layer; 0 means a single linear layer
        head_dropout: float = 0.1,  # before each linear layer
        reverse_complement_average: bool = False,  # predictions are to be averaged over both strands
        standardize: bool = False,  # pooled features are standardized, see `Standardizer`
        shares_strands: bool = False,  # both strands go through the encoder, see the head of this module
        **kwargs: Any,
    ) -> None:
        check_name("task", task, TASKS)
        check_name("pooling", pooling, POOLINGS)
        self.task = task
        self.label_mean, self.label_deviation = label_mean, label_deviation
        self.class_weights = None if class_weights is None else list(class_weights)
        self.pooling, self.head_hidden_size, self.head_dropout = pooling, head_hidden_size, head_dropout
        self.reverse_complement_average, self.standardize = reverse_complement_average, standardize
        self.shares_strands = shares_strands
        names = class_names if task != "regression" else ["score"]
        super().__init__(**outputs_named(names, kwargs), problem_type=PROBLEM_TYPES[task])

    @classmethod
    def around(cls, config: GenomeEncoderConfig) -> SequenceClassifierConfig:
        """The configuration itself; around a bare encoder's one a head with as many outputs as its `num_labels`.

        So `AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=3)` makes a new head, as scripts
        that fine-tune any model do. A single output is a score.
        """
        if isinstance(config, cls):
            return config
        asked = [task for task, problem in PROBLEM_TYPES.items() if problem == config.problem_type]
        task = asked[0] if asked else "regression" if config.num_labels == 1 else "classification"
        return cls(task, output_names(config), **config.encoder_settings())

    @property
    def class_names(self) -> list[str]:
        return [] if self.task == "regression" else output_names(self)

    @property
    def reads_both_strands(self) -> bool:
        return self.reverse_complement_average or self.shares_strands

    @property
    def num_outputs(self) -> int:
        return max(1, len(self.class_names))


def outputs_named(names: Sequence[str] | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `PreTrainedConfig` with the names of its outputs, in the form that transformers reads them.

    None leaves the names that the settings have, and gives "0" and "1" to settings that have none.
    """
    own = {name: value for name, value in settings.items() if name != "problem_type"}
    if names is None and own.keys() & {"id2label", "num_labels"}:
        return own
    own.pop("num_labels", None)
    labels = dict(enumerate(("0", "1") if names is None else names))
    return {**own, "id2label": labels, "label2id": {name: number for number, name in labels.items()}}


def output_names(config: PreTrainedConfig) -> list[str]:
    return [str(name) for name in (config.id2label or {}).values()]


class EncoderWithHead(DnaModel):
    """What classifiers of sequences and of bases share: a genome encoder, copied, under a new head."""

    encoder: GenomeEncoder

    @classmethod
    def from_encoder(cls, encoder: GenomeEncoder, **settings: Any) -> Any:
        """The model: a copy of the trained encoder under a new head; `settings` are those of its configuration."""
        config_class: Any = cls.config_class
        model = cls(config_class(**encoder.config.encoder_settings(), **settings))
        model.encoder.load_state_dict(encoder.state_dict())
        return model

    def _init_weights(self, module: nn.Module) -> None:
        """PyTorch's own for layers of a head that a loaded folder lacks; the encoder sets its own."""
        if isinstance(module, nn.Linear):
            module.reset_parameters()


class GenomeEncoderForSequenceClassification(EncoderWithHead):
    """Genome encoder with an MLP head over pooled positions."""

    config_class = SequenceClassifierConfig
    config: SequenceClassifierConfig

    def __init__(self, config: GenomeEncoderConfig) -> None:
        config = SequenceClassifierConfig.around(config)
        super().__init__(config)
        self.encoder = GenomeEncoder(config)
        pooled_size = config.hidden_size * len(config.pooling.split("+")) * (2 if config.shares_strands else 1)
        self.standardizer = Standardizer(pooled_size) if config.standardize else None
        self.head = MlpHead(pooled_size, config.head_hidden_size, config.num_outputs, config.head_dropout)
        self.post_init()

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        input_ids: Int[Tensor, "batch base"] | None = None,
        # where strands are shared, a row for each sequence and behind those one for each reverse complement
        codes: Int[Tensor, "strand token level"] | None = None,
        position_mask: Bool[Tensor, "strand token"] | None = None,
        # class ids `[batch]`, 0/1 sets `[batch class]`, or scores `[batch]` on their own scale
        labels: Shaped[Tensor, "batch ..."] | None = None,
        # factor of the loss; for a batch that is one pass of several, see `loss_items`
        loss_shares: Mapping[str, Float[Tensor, ""]] | None = None,
    ) -> SequenceClassifierOutput:
        """Logits of each sequence, from bases or from codes, and the loss where there are labels.

        They are those of the strand given, unless the model shares strands. The rest is as in `GenomeEncoder.forward`.
        """
        pooled = self.pooled(base_ids, attention_mask, input_ids=input_ids, codes=codes, position_mask=position_mask)
        logits = self.head(pooled).float()
        loss = None if labels is None else self.loss(logits, labels) * (loss_shares or {}).get("labels", 1)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    def pooled(self, *arguments: Any, **named: Any) -> Float[Tensor, "batch feature"]:
        """What the head reads, standardized where that is asked for; arguments are those of `GenomeEncoder.forward`."""
        features = self._features(*arguments, **named)
        return features if self.standardizer is None else self.standardizer(features)

    def _features(
        self,
        base_ids: Shaped[Tensor, "batch base"] | None = None,
        attention_mask: Shaped[Tensor, "batch base"] | None = None,
        *,
        input_ids: Shaped[Tensor, "batch base"] | None = None,
        **codes: Any,
    ) -> Float[Tensor, "batch feature"]:
        bases = base_ids if input_ids is None else input_ids
        if self.config.shares_strands and bases is not None:
            base_ids, attention_mask = strand_pairs(bases, attention_mask)
            input_ids = None
        encoded = self.encoder(base_ids, attention_mask, input_ids=input_ids, **codes)
        pooled = pool_positions(encoded.last_hidden_state, encoded.attention_mask, self.config.pooling)
        return joined_strands(pooled) if self.config.shares_strands else pooled

    @torch.no_grad()
    def fit_standardizer(self, rows: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Takes mean and deviation of the pooled features of batches of `codes` and `position_mask`."""
        if self.standardizer is None:
            return
        was_training = self.training
        self.eval()
        moved = ((codes.to(self.device), mask.to(self.device)) for codes, mask in rows)
        self.standardizer.fit(torch.cat([self._features(codes=codes, position_mask=mask) for codes, mask in moved]))
        self.train(was_training)

    def loss_items(self, labels: Shaped[Tensor, "batch ..."], **batch: Any) -> dict[str, Tensor | int]:
        """What the loss divides its sum by: the labels' class weights where classes are weighed, else the rows."""
        del batch
        if self.config.task != "classification" or self.config.class_weights is None:
            return {"labels": len(labels)}
        weights = torch.tensor(self.config.class_weights, device=labels.device)
        return {"labels": weights[labels].sum()}

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

    def card_notes(self) -> list[str]:
        """What `predictions` and `vqdna predict` do beyond the logits."""
        config, notes = self.config, []
        if config.task == "regression":
            scale = f"`{config.label_deviation:.6g} * logit + {config.label_mean:.6g}`"
            notes.append(f"Logits are standardized scores; a score on the scale of the labels is {scale}.")
        if config.reverse_complement_average:
            notes.append("Logits are those of the strand given; `vqdna predict` averages over both strands.")
        if config.shares_strands:
            notes.append("A sequence and its reverse complement have the same logits.")
        return notes


class MlpHead(nn.Module):
    """One hidden layer with GELU between dropouts, or a single linear layer where `hidden_size` is 0."""

    def __init__(self, input_size: int, hidden_size: int, num_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.hidden = nn.Linear(input_size, hidden_size) if hidden_size else None
        self.output = nn.Linear(hidden_size or input_size, num_outputs)
        for layer in filter(None, (self.hidden, self.output)):
            # transformers draws what is not marked so; on the meta device, where it builds before it loads, none is.
            layer._is_hf_initialized = not layer.weight.is_meta  # type: ignore[assignment]

    def forward(self, states: Float[Tensor, "*row width"]) -> Float[Tensor, "*row output"]:
        features = self.dropout(states)
        if self.hidden is not None:
            features = self.dropout(functional.gelu(self.hidden(features)))
        logits: Tensor = self.output(features)
        return logits


SMALLEST_DEVIATION = 1e-3  # of a feature, as a share of the mean deviation: smaller ones would only blow up noise


class Standardizer(nn.Module):
    """Features less their mean, over their deviation; as they are until `fit`.

    A pre-trained encoder's pooled states lie close together, far from the origin; a new head sees nearly the same
    vector for every sequence and needs many steps to find what differs. Mean and deviation are measured once and kept,
    so that no score depends on what else is in a batch.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    @torch.no_grad()
    def fit(self, features: Float[Tensor, "row feature"]) -> None:
        deviation = features.std(dim=0, correction=0)
        least = SMALLEST_DEVIATION * deviation.mean()
        self.mean.copy_(features.mean(dim=0))
        self.deviation.copy_(deviation.clamp_min(least) if least > 0 else torch.ones_like(deviation))

    def forward(self, features: Float[Tensor, "row feature"]) -> Float[Tensor, "row feature"]:
        return (features - self.mean) / self.deviation


def strand_pairs(
    base_ids: Shaped[Tensor, "batch base"], attention_mask: Shaped[Tensor, "batch base"] | None = None
) -> tuple[UInt8[Tensor, "pair base"], Bool[Tensor, "pair base"]]:
    """Rows, behind them their reverse complements, and the mask of both; padding stays behind each row."""
    bases = base_ids.to(torch.uint8)
    mask = torch.ones_like(bases, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    positions = torch.arange(bases.shape[1], device=bases.device)
    lengths = mask.sum(dim=1, keepdim=True)
    backwards = torch.where(positions < lengths, lengths - 1 - positions, positions)
    turned = bases.gather(1, backwards)
    complement = torch.where(turned < N, N - 1 - turned, turned)
    return torch.cat([bases, complement]), torch.cat([mask, mask])


def joined_strands(pooled: Float[Tensor, "pair feature"]) -> Float[Tensor, "batch joined"]:
    """Maximum and mean over the two strands of each sequence, the strands given in the first half of the rows."""
    given, reverse = pooled.chunk(2)
    return torch.cat([torch.maximum(given, reverse), (given + reverse) / 2], dim=1)


register_model(GenomeEncoderForSequenceClassification, AutoModelForSequenceClassification, GenomeEncoder)
register_beside(GenomeEncoderConfig, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, GenomeEncoderForSequenceClassification)


def load_classifier(path: Path) -> GenomeEncoderForSequenceClassification:
    """Fine-tuned model in the run folder `path` or in its `model/`."""
    return load_model(GenomeEncoderForSequenceClassification, path, SequenceClassifierConfig.model_type)
