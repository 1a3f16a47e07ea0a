"""What a run will take, measured and shown before it starts: parameters, work, memory, time.

Flow: model + dataset + settings -> a few measured passes of a copy (see `profiling`) -> Plan -> a table on standard
error, or JSON. It is made for `--plan`, and where a person watches and it takes about a second. It knows no stage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import torch
import torch.distributed as dist
from pydantic import computed_field
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import Dataset

from vqdna.config import StrictModel
from vqdna.devices import own_device, uses_bfloat16
from vqdna.quantities import bytes_of, duration
from vqdna.quiet import is_watched
from vqdna.training.batch_splitting import Batch, Collate
from vqdna.training.profiling import TooSlowError, measure_passes
from vqdna.training.run_folder import is_main_process
from vqdna.training.settings import TrainingSettings, launched_ranks

ANNOUNCED_WITHIN = 1.0
"""Seconds that a plan may take which nobody asked for."""


@dataclass(frozen=True)
class Reading:
    """What a run reads: bases in all, bases of the data that they are taken from, and how bases of a batch count."""

    bases: float
    source_bases: float
    bases_per_token: float
    count_bases: Callable[[Batch], float]


class Plan(StrictModel):
    """What a run will take.

    Attributes:
        device: "cpu", or the name of the GPU.
        passes_per_step: accumulated ones on each rank, as are the next.
        epochs: how often the genomes or the training sequences are read.
        parameters: by part of the model, code vectors included.
        forward_flops_per_base: floating-point operations of a forward pass; one multiplication and addition are two.
        memory: bytes on each rank's device by what they hold: weights, gradients, the optimizer's state, and the
            activations that a pass keeps for its backward.
        device_memory: bytes that there are; None where unknown.
        seconds: of all forward and backward passes, at the speed just measured on one rank.
    """

    title: str
    device: str
    precision: str
    ranks: int
    passes_per_step: int
    sequences_per_pass: int
    steps: int
    bases: float
    tokens: float
    epochs: float
    parameters: Mapping[str, int]
    trainable_parameters: int
    forward_flops_per_base: float
    training_flops_per_base: float
    memory: Mapping[str, int]
    device_memory: int | None
    seconds: float

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_parameters(self) -> int:
        return sum(self.parameters.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total_memory(self) -> int:
        return sum(self.memory.values())

    @computed_field  # type: ignore[prop-decorator]
    @property
    def flops(self) -> float:
        return self.training_flops_per_base * self.bases

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bases_per_second(self) -> float:
        return self.bases / self.seconds

    def show(self, stream: TextIO) -> None:
        table = Table(title=f"plan: {self.title}", title_justify="left", box=box.SIMPLE, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, text in _rows(self).items():
            table.add_row(name, text)
        Console(file=stream, markup=False, emoji=False).print(table)


def plan_training(
    title: str,
    model: nn.Module,
    dataset: Dataset[Any],
    settings: TrainingSettings,
    reading: Reading,
    *,
    collate: Collate,
    parameters: Mapping[str, int],
    within: float | None = None,
) -> Plan:
    """Plan of the run that `train` would make of the same arguments; leaves model and random state as they are.

    The dataset's first items are measured, within so many seconds; None is as long as it needs.

    Raises:
        TooSlowError: measuring would take longer than `within`.
    """
    ranks, passes, device = launched_ranks(), settings.parts, own_device()
    sequences = -(-settings.batch_size // passes)
    measured = measure_passes(
        model, dataset, collate, reading.count_bases,
        device=device, precision=settings.precision, max_sequences=sequences, within=within,
    )  # fmt: skip
    return Plan(
        title=title,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        precision="bf16" if uses_bfloat16(settings.precision) else "fp32",
        ranks=ranks,
        passes_per_step=settings.gradient_accumulation,
        sequences_per_pass=sequences,
        steps=settings.steps,
        bases=reading.bases,
        tokens=reading.bases / reading.bases_per_token,
        epochs=reading.bases / reading.source_bases,
        parameters=dict(parameters),
        trainable_parameters=sum(weight.numel() for weight in model.parameters() if weight.requires_grad),
        forward_flops_per_base=measured.forward_flops,
        training_flops_per_base=measured.training_flops,
        memory=_memory(
            model,
            measured.activation_bytes(reading.bases / settings.steps / passes),
            shards=ranks if settings.sharding == "fsdp" else 1,
        ),
        device_memory=_device_memory(device),
        seconds=reading.bases * measured.seconds / ranks,
    )


def announce(make_plan: Callable[[float | None], Plan]) -> None:
    """Shows the plan, made within some seconds, on standard error of the first rank where a person watches."""
    joined = dist.is_available() and dist.is_initialized()
    watched = is_watched() and is_main_process()
    if joined:
        # Codebooks that start from data look at the data of all ranks, so all make the plan or none does.
        decision = torch.tensor(watched, dtype=torch.int, device=own_device())
        dist.broadcast(decision, src=0)
        watched = bool(decision)
    if not watched:
        return
    try:
        plan = make_plan(ANNOUNCED_WITHIN)
    except TooSlowError:
        if is_main_process():
            print("plan: takes long to measure here; `--plan` makes it", file=sys.stderr, flush=True)
        return
    if is_main_process():
        plan.show(sys.stderr)


def _rows(plan: Plan) -> dict[str, str]:
    parts = ", ".join(f"{name.replace('_', ' ')} {number(count)}" for name, count in plan.parameters.items())
    memory = ", ".join(f"{name} {bytes_of(size)}" for name, size in plan.memory.items())
    sequences = plan.ranks * plan.passes_per_step * plan.sequences_per_pass
    cut = f" ({plan.ranks} ranks x {plan.passes_per_step} passes x {plan.sequences_per_pass})"
    forward, training = number(plan.forward_flops_per_base), number(plan.training_flops_per_base)
    device = ""
    if plan.device_memory is not None:
        lacks = plan.total_memory > plan.device_memory
        advice = ", too little (raise training.gradient_accumulation)" if lacks else ""
        device = f" of {bytes_of(plan.device_memory)}{advice}"
    speed = f"{number(plan.bases_per_second)} bases a second on {plan.device} ({plan.precision})"
    return {
        "parameters": f"{number(plan.total_parameters)}, {number(plan.trainable_parameters)} of them learn: {parts}",
        "steps": f"{plan.steps:,} of {sequences:,} sequences{cut if sequences > plan.sequences_per_pass else ''}",
        "reads": f"{number(plan.bases)} bases, {number(plan.tokens)} tokens, {plan.epochs:.3g} times the data",
        "work": f"{forward} FLOP per base forward, {training} with backward, {number(plan.flops)} in all",
        "memory": f"{bytes_of(plan.total_memory)}{device}: {memory}",
        "time": f"about {duration(plan.seconds)} at {speed}",
    }


def number(value: float) -> str:
    """The value with three digits and k, M, G, T, P, E or Z: 85.9 M."""
    power = 0
    while value >= 999.5 and power < 7:
        value, power = value / 1000, power + 1
    return f"{value:#.3g}".rstrip(".") + " " + "kMGTPEZ"[power - 1] if power else f"{value:.0f}"


def _memory(model: nn.Module, activations: int, shards: int) -> dict[str, int]:
    held = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    trainable = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
    share = -(-trainable // shards)
    return {
        "weights": held - trainable + share,
        "gradients": share,
        "optimizer": 2 * share,  # AdamW's two running means
        "activations": activations,
    }


def _device_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    known = {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= getattr(os, "sysconf_names", {}).keys()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if known else None
