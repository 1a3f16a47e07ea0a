"""A few passes of a copy of a model: what they take, without the model noticing.

Flow: model + first items of a dataset -> passes forward and backward in the run's precision -> operations, bytes kept
for the backward and seconds, each per base. Weights, gradients, codebooks, training mode and random state stay as they
are. It knows no stage.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from vqdna.devices import uses_bfloat16
from vqdna.operations import operation_counter
from vqdna.training.batch_splitting import Batch, Collate, fetched
from vqdna.training.gradient_accumulation import mean_over_ranks

TIMED_SECONDS = 0.5
"""Length of a timed pass that the number of its sequences aims at; it has one at least."""

TIMED_PASSES = 2
"""The faster one counts; the first may still warm something up."""

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
    max_sequences: int,
    within: float | None = None,
) -> Measured:
    """Passes over the dataset's first items: one alone and twice, which tells what grows with the batch, then several.

    Args:
        max_sequences: of the timed passes.
        within: seconds that all passes together may take, about; None is as long as they need.

    Raises:
        TooSlowError: the first pass says that they would take longer than `within`.
    """
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
    """A copy of the model in training mode."""

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
