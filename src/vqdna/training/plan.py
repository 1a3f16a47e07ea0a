"""What a run will take, measured and shown before it starts: parameters, work, memory, time.

Flow: model + dataset + settings -> a few passes of a copy, forward and backward in the run's precision, which leave
weights, codebooks, training mode and random state as they are -> operations, bytes and seconds per base -> Plan -> a
table on standard error, or JSON. It is made for `--plan`, and where a person watches and it takes about a second. It
knows no stage.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import torch
import torch.distributed as dist
from pydantic import computed_field
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import Dataset

from vqdna.config import StrictModel
from vqdna.devices import own_device, uses_bfloat16
from vqdna.operations import operation_counter
from vqdna.quantities import bytes_of, duration
from vqdna.quiet import is_watched
from vqdna.training.gradient_accumulation import Batch, Collate, fetched, mean_over_ranks
from vqdna.training.run_folder import is_main_process
from vqdna.training.settings import TrainingSettings, launched_ranks

TIMED_SECONDS = 0.5  # length of a timed pass that the number of its sequences aims at; it has one at least

TIMED_PASSES = 2  # the faster one counts; the first may still warm something up

FIRST_PASS_SHARE = 0.2
"""Share of all measuring that the first pass takes at most: two sequences forward, of about eight and some backward."""


class TooSlowError(Exception):
    """Measuring would take longer than it may."""


@dataclass(frozen=True)
class Measured:
    """What a pass takes: operations and seconds per base, and bytes that a forward pass keeps for its backward.

    `fixed_activations` are kept whatever the batch, such as weights in another precision; `activations` are per base.
    """

    forward_flops: float
    training_flops: float
    seconds: float
    activations: float
    fixed_activations: int

    def activation_bytes(self, bases: float) -> int:
        return round(self.fixed_activations + bases * self.activations)


def measure_passes(
    model: nn.Module,
    dataset: Dataset[Any],
    collate: Collate,
    count_bases: Callable[[Batch], float],
    *,
    device: torch.device,
    precision: str,
    max_sequences: int,  # of the timed passes
    within: float | None = None,  # seconds that all passes together may take, about; None is as long as they need
) -> Measured:
    """Passes over the first items: one alone and twice, which tells what grows with the batch, then several."""
    began = time.perf_counter()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        copied = _ModelCopy(model, device, precision)
        once, twice = (copied.batch(dataset, collate, [0] * copies) for copies in (1, 2))
        kept_twice = copied.kept_bytes(twice)  # the first pass, which also starts codebooks
        if within is not None:
            # Ranks must agree, for each pass waits for those of the others where codebooks share what they see.
            first = torch.tensor(time.perf_counter() - began, dtype=torch.double, device=device)
            if float(mean_over_ranks(first)) > FIRST_PASS_SHARE * within:
                raise TooSlowError
        kept_once = copied.kept_bytes(once)
        started = time.perf_counter()
        forward, training = copied.flops(once)
        now = time.perf_counter()
        timed_seconds = TIMED_SECONDS if within is None else min(TIMED_SECONDS, (within - now + began) / TIMED_PASSES)
        fitting = int(timed_seconds / (now - started))
        length: int = len(dataset)  # type: ignore[arg-type]
        timed = copied.batch(dataset, collate, range(max(1, min(fitting, max_sequences, length))))
        seconds = min(copied.seconds(timed) for _ in range(TIMED_PASSES))
    bases = count_bases(once)
    return Measured(
        forward_flops=forward / bases,
        training_flops=training / bases,
        seconds=seconds / count_bases(timed),
        activations=(kept_twice - kept_once) / bases,
        fixed_activations=max(0, 2 * kept_once - kept_twice),
    )


class _ModelCopy:
    def __init__(self, model: nn.Module, device: torch.device, precision: str) -> None:
        self.device, self.bfloat16 = device, uses_bfloat16(precision)
        self.model = copy.deepcopy(model).to(device).train()
        self.model.zero_grad(set_to_none=True)

    def batch(self, dataset: Any, collate: Collate, rows: Sequence[int]) -> Batch:
        moved = collate(fetched(dataset, rows)).items()
        return {name: value.to(self.device) if isinstance(value, Tensor) else value for name, value in moved}

    def loss(self, batch: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss: Tensor = self.model(**batch).loss
        return loss

    def kept_bytes(self, batch: Batch) -> int:
        """Bytes that a forward pass keeps for its backward, the model's own tensors left out."""
        # Autograd tells of every tensor that it saves. Views of one storage count once, and the model's own weights are
        # there anyway.
        own = {_place(tensor) for tensor in (*self.model.parameters(), *self.model.buffers())}
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            if _place(tensor) not in own:
                kept[_place(tensor)] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.loss(batch)
        del loss  # not earlier: what is freed leaves its place to other tensors
        return sum(kept.values())

    def flops(self, batch: Batch) -> tuple[int, int]:
        """Those of the forward pass, and of forward and backward pass."""
        with operation_counter() as counter:
            loss = self.loss(batch)
            forward = counter.get_total_flops()
            loss.backward()
        return forward, counter.get_total_flops()

    def seconds(self, batch: Batch) -> float:
        wait = torch.cuda.synchronize if self.device.type == "cuda" else torch.cpu.synchronize
        wait(self.device)
        started = time.perf_counter()
        self.loss(batch).backward()
        wait(self.device)
        return time.perf_counter() - started


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


ANNOUNCED_WITHIN = 1.0  # seconds that a plan may take which nobody asked for


@dataclass(frozen=True)
class Reading:
    """What a run reads: bases in all, bases of the data that they are taken from, and how bases of a batch count."""

    bases: float
    source_bases: float
    bases_per_token: float
    count_bases: Callable[[Batch], float]


class Plan(StrictModel):
    """What a run will take."""

    title: str
    device: str  # "cpu", or the name of the GPU
    precision: str
    ranks: int
    passes_per_step: int  # accumulated ones on each rank, as are the next
    sequences_per_pass: int
    steps: int
    bases: float
    tokens: float
    epochs: float  # how often the genomes or the training sequences are read
    parameters: Mapping[str, int]  # by part of the model, code vectors included
    trainable_parameters: int
    # floating-point operations of a forward pass; one multiplication and addition are two
    forward_flops_per_base: float
    training_flops_per_base: float
    # bytes on each rank's device by what they hold: weights, gradients, the optimizer's state, and the activations that
    # a pass keeps for its backward
    memory: Mapping[str, int]
    device_memory: int | None  # bytes that there are; None where unknown
    seconds: float  # of all forward and backward passes, at the speed just measured on one rank

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
