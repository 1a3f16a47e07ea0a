"""Configuration of stage 3: what learns, with which head, for how long. The files are in configs/finetune/."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field, model_validator

from vqdna.config import StrictModel
from vqdna.training.settings import OptimizerSettings, Schedule, TrainingSettings, launched_ranks

Pooling = Literal["mean", "mean+max"]

LOG_EVERY = 20  # steps between two lines of training loss; shorter epochs log once each


class LoraSettings(StrictModel):
    """Low-rank adapters on every linear layer of the backbone."""

    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)  # the update is scaled by alpha / rank
    dropout: float = Field(default=0.05, ge=0, lt=1)  # on the input of each update
    # also trains the projection of the code vectors (for hand-made tokenizers their embedding table). False is the
    # paper's wording, "LoRA on the Transformer + MLP head"
    train_embedding: bool = False


class LinearProbing(StrictModel):
    """Linear probing before the fine-tuning: the head alone learns, see `vqdna.finetune.starting_weights`."""

    epochs: int = Field(default=0, ge=0)  # passes over the training sequences' features; 0 leaves it out
    batch_size: int = Field(default=32, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)  # at the first step, falling to zero


class HeadSettings(StrictModel):
    """From hidden states to outputs."""

    pooling: Pooling = "mean"  # over a sequence's positions; "mean+max" has both side by side
    hidden_size: int = Field(default=128, ge=0)  # width of the one hidden layer; 0 means a single linear layer
    dropout: float = Field(default=0.1, ge=0, lt=1)  # before each linear layer
    # the pooled features are first standardized by those of training sequences before training; a pre-trained encoder's
    # lie close together, and a new head is slow to tell them apart
    standardize: bool = False
    start: LinearProbing = LinearProbing()  # linear probing first, then fine-tuning


class EpochSettings(OptimizerSettings):
    """An optimization counted in epochs."""

    epochs: int = Field(ge=1)  # passes over the training sequences; after each a checkpoint is written and dev scored
    batch_size: int = Field(default=32, ge=1)
    schedule: Schedule = "linear"  # "one-cycle" reads no `warmup_steps`; it suits networks of random initialization
    warmup_steps: int = Field(default=50, ge=0)  # rise of the rate from zero, never more than a tenth of the run
    # padded positions of the backbone in one forward pass; batches of longer rows are accumulated over several, which
    # changes memory, not the gradient
    max_positions_per_pass: int = Field(default=16_384, ge=1)

    def in_steps(self, num_sequences: int, longest: int = 1) -> TrainingSettings:
        """The same optimization counted in optimizer steps over training sequences of up to `longest` positions."""
        steps_per_epoch = math.ceil(num_sequences / self.batch_size)
        steps = self.epochs * steps_per_epoch
        return TrainingSettings(
            **self.model_dump(exclude={"epochs", "warmup_steps", "max_positions_per_pass", "gradient_accumulation"}),
            gradient_accumulation=self._num_passes(longest),
            steps=steps,
            warmup_fraction=min(self.warmup_steps, steps // 10) / steps,
            log_every=min(LOG_EVERY, steps_per_epoch),
            evaluate_every=steps_per_epoch,
            save_every=steps_per_epoch,
            keep_checkpoints=1,
        )

    def _num_passes(self, longest: int) -> int:
        """Accumulated passes of a rank such that none has too many positions, or but one row."""
        rows = self.batch_size // (launched_ranks() * self.gradient_accumulation)
        fitting = max(1, self.max_positions_per_pass // longest)
        # The loader shards a batch into equal parts, so the rows divide evenly; the fewest parts that fit waste least.
        parts = next((parts for parts in range(1, rows + 1) if rows % parts == 0 and rows // parts <= fitting), 1)
        return self.gradient_accumulation * parts


class ReverseComplementSettings(StrictModel):
    """What is made of the other strand; right for labels that hold for both, such as transcription factor binding."""

    augment: bool = False  # each training sequence is read from a strand drawn anew every epoch
    average: bool = False  # predictions are the mean of those for both strands; saved with the model
    # both strands are read together in training and after it, see `vqdna.finetune.heads`; in place of the other two,
    # and takes twice the time of one strand
    share: bool = False

    @model_validator(mode="after")
    def _shared_strands_are_both_there(self) -> ReverseComplementSettings:
        if self.share and (self.augment or self.average):
            raise ValueError("share: expected neither augment nor average beside it, for both strands are always read")
        return self


class NetworkSettings(StrictModel):
    """A network of random initialization in the place of the pre-trained one."""

    # tokens of the encoder's tokenizer ("words"); single "bases"; or both ("bases+words"), see `BaseWordTokenizer`
    reads: Literal["words", "bases", "bases+words"] = "bases+words"
    # as in pre-training: a configuration with its `model_type`; the rest see `GenomeEncoderConfig`
    backbone: dict[str, Any]
    code_embedding: Literal["vectors", "table", "both", "one-hot"] = "vectors"
    code_dropout: float = Field(default=0.0, ge=0, lt=1)


class FinetuneConfig(StrictModel):
    """One fine-tuning."""

    # what learns in place of the pre-trained encoder, of which the tokenizer alone is left; None for it
    network: NetworkSettings | None = None
    # "lora" trains adapters and head, "full" everything but the tokenizer, "linear" the head alone
    method: Literal["lora", "full", "linear"] = "lora"
    lora: LoraSettings = LoraSettings()
    head: HeadSettings = HeadSettings()
    training: EpochSettings
    reverse_complement: ReverseComplementSettings = ReverseComplementSettings()
    # share of randomly initialized weights mixed into the encoder's before training, see
    # `vqdna.finetune.starting_weights`
    fresh_share: float = Field(default=0.0, ge=0, lt=1)
    # "balanced" weighs each class by the inverse of its frequency in the training split
    class_weights: Literal["none", "balanced"] = "none"

    @model_validator(mode="after")
    def _random_weights_learn(self) -> FinetuneConfig:
        if self.network is not None and self.method != "full":
            raise ValueError(f"method: got '{self.method}', expected 'full' for a network of random initialization")
        return self
