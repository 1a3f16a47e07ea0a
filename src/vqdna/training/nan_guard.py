"""Stops a run at the first loss, gradient or weight that is no number, naming the step, before it can be saved.

Flow: scalars of each step -> one number on the device, the first bad step -> InputError. It must not know models.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from vqdna.errors import InputError
from vqdna.training.gradient_accumulation import num_ranks

NEVER = torch.iinfo(torch.long).max
WHAT = ("loss", "gradient")


class NanGuard:
    """Remembers the first step at which something was NaN or infinite.

    On one CPU process it looks at every value at once. On a GPU looking would wait for the device, and among several
    ranks only one may have a bad loss: there values are noted, and looked at on all ranks when `check` is called.
    """

    def __init__(self, device: torch.device) -> None:
        self._first_bad = torch.full((len(WHAT),), NEVER, device=device)

    def note(self, what: str, value: Tensor | float, step: int) -> None:
        """Takes note of a scalar of this step: "loss", or "gradient" (its norm, which all ranks share)."""
        value = torch.as_tensor(value, device=self._first_bad.device).detach()
        # The smallest bad step is kept on the device: no copy to the host, which would wait for all queued kernels.
        seen = torch.where(torch.isfinite(value), NEVER, step)
        self._first_bad[WHAT.index(what)].clamp_max_(seen)
        if value.device.type == "cpu" and not torch.isfinite(value):
            # A rank that stopped here alone would leave the others waiting for its gradient. The gradient's norm is the
            # same on all ranks, so there all of them stop together.
            if num_ranks() == 1:
                raise _no_number(what, str(float(value)), step)
            if what == "gradient":
                self.check()

    def check(self) -> None:
        """Looks at what was noted, on all ranks (InputError: something was no number)."""
        if num_ranks() > 1:
            dist.all_reduce(self._first_bad, op=dist.ReduceOp.MIN)
        for what, step in zip(WHAT, self._first_bad.tolist(), strict=True):
            if step != NEVER:
                raise _no_number(what, "no finite number", step)

    def check_weights(self, model: nn.Module, step: int) -> None:
        """Looks at all weights and buffers after this many steps, each rank at what it holds of them."""
        # All ranks must raise the same error, though each sees only what it holds of a split model: the first bad
        # tensor by number, the smallest over the ranks.
        tensors = list(model.state_dict().items())
        own = (tensor.to_local() if isinstance(tensor, DTensor) else tensor for _, tensor in tensors)
        bad = [number for number, part in enumerate(own) if part.is_floating_point() and not torch.isfinite(part).all()]
        first = torch.tensor(bad[0] if bad else NEVER, device=self._first_bad.device)
        if num_ranks() > 1:
            dist.all_reduce(first, op=dist.ReduceOp.MIN)
        if first != NEVER:
            raise InputError(f"{tensors[int(first)][0]} holds a NaN or an infinity after step {step}; {ADVICE}")


ADVICE = "lower training.learning_rate (the last checkpoint is kept)"


def _no_number(what: str, shown: str, step: int) -> InputError:
    return InputError(f"the {what} is {shown} at step {step}; {ADVICE}")
