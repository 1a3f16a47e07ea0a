"""Stops a run at the first loss, gradient or weight that is no number, naming the step, before it can be saved.

Flow: scalars of each step -> one number on the device, the first bad step -> InputError. It must not know models.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vqdna.errors import InputError

NEVER = torch.iinfo(torch.long).max
WHAT = ("loss", "gradient")


class FiniteGuard:
    """Remembers the first step at which something was NaN or infinite.

    On CPU it looks at every value at once. On a GPU, where looking would wait for the device, values are noted there
    and looked at when `check` is called.

    Args:
        device: where the values are.
    """

    def __init__(self, device: torch.device) -> None:
        self._first_bad = torch.full((len(WHAT),), NEVER, device=device)

    def note(self, what: str, value: Tensor | float, step: int) -> None:
        """Takes note of a scalar of this step: "loss" or "gradient" (its norm).

        Raises:
            InputError: on CPU, the value is no number.
        """
        value = torch.as_tensor(value, device=self._first_bad.device).detach()
        if value.device.type == "cpu":
            if not torch.isfinite(value):
                raise _no_number(what, float(value), step)
            return
        seen = torch.where(torch.isfinite(value), NEVER, step)
        self._first_bad[WHAT.index(what)].clamp_max_(seen)

    def check(self) -> None:
        """Looks at what was noted, on all ranks.

        Raises:
            InputError: something was no number.
        """
        if self._first_bad.device.type == "cpu":
            return
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(self._first_bad, op=dist.ReduceOp.MIN)
        for what, step in zip(WHAT, self._first_bad.tolist(), strict=True):
            if step != NEVER:
                raise _no_number(what, None, step)

    def check_weights(self, model: nn.Module, step: int) -> None:
        """Looks at all weights and buffers after this many steps; all ranks hold the same.

        Raises:
            InputError: one is no number; names it.
        """
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise InputError(f"{name} holds a NaN or an infinity after step {step}; {ADVICE}")


ADVICE = "lower training.learning_rate (the last checkpoint is kept)"


def _no_number(what: str, value: float | None, step: int) -> InputError:
    shown = "no finite number" if value is None else str(value)
    return InputError(f"the {what} is {shown} at step {step}; {ADVICE}")
