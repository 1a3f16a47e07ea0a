"""Settings of an optimization that all three stages share, and how they become transformers' TrainingArguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from transformers import TrainingArguments

from vqdna.config import StrictModel
from vqdna.devices import uses_bfloat16
from vqdna.errors import InputError

Schedule = Literal["cosine", "linear", "constant", "one-cycle"]


def launched_ranks() -> int:
    """Ranks that torchrun started; 1 outside it. Known before they have met."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class OptimizerSettings(StrictModel):
    """How fast and how precise, however the length is counted."""

    batch_size: int = Field(ge=1)  # sequences per optimizer step, over all ranks and accumulated passes together
    gradient_accumulation: int = Field(default=1, ge=1)  # forward passes per optimizer step on each rank
    learning_rate: float = Field(gt=0)  # peak of the schedule (AdamW)
    schedule: Schedule = "cosine"  # after the warm-up; "one-cycle" has a rise of its own, over 30 % of the run
    weight_decay: float = Field(default=0.01, ge=0)  # AdamW's, on matrices only
    max_gradient_norm: float = Field(default=1.0, gt=0)
    # "auto" takes bfloat16 autocast where the processor multiplies it natively, else float32
    precision: Literal["auto", "fp32", "bf16"] = "auto"


class TrainingSettings(OptimizerSettings):
    """One optimization counted in steps; intervals are in steps too, and 0 means at the end only."""

    steps: int = Field(ge=1)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)  # share of the steps over which the rate rises from zero
    # how the ranks hold the model: "none" is a copy each (DDP), "fsdp" splits the weights that learn, their gradients
    # and the optimizer's state over the ranks (FSDP2); on one rank there is nothing to split
    sharding: Literal["none", "fsdp"] = "none"
    prefetch: int = Field(default=0, ge=0)  # processes that prepare batches ahead; they change no number
    log_every: int = Field(default=20, ge=1)
    evaluate_every: int = Field(default=0, ge=0)
    save_every: int = Field(default=0, ge=0)
    keep_checkpoints: int = Field(default=2, ge=1)  # older ones are removed

    @property
    def parts(self) -> int:
        """Ranks times accumulated passes of an update."""
        return launched_ranks() * self.gradient_accumulation


def training_arguments(settings: TrainingSettings, out: Path, seed: int) -> TrainingArguments:
    """TrainingArguments of transformers for these settings, on GPU where there is one, under torchrun or alone."""
    parts = settings.parts
    if settings.batch_size % parts:
        raise InputError(
            f"training.batch_size: {settings.batch_size} is no multiple of ranks x gradient_accumulation = {parts}"
        )
    on_cpu = not torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(out / "checkpoints"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch_size // parts,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule if settings.schedule in ("cosine", "linear") else "constant_with_warmup",
        warmup_steps=round(settings.warmup_fraction * settings.steps),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_gradient_norm,
        bf16=uses_bfloat16(settings.precision),
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and launched_ranks() > 1 else None,
        ddp_broadcast_buffers=False,
        logging_steps=settings.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps" if settings.save_every else "no",
        save_steps=settings.save_every or settings.steps,
        seed=seed,
        data_seed=seed,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        label_names=[],
    )
