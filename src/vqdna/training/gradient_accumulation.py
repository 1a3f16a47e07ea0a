"""The passes of one update, accumulated and on all ranks, made to count as the one joint batch that they are cut from.

Flow: batches of an update on this rank -> codebooks started from all of them; batches with `loss_shares`, the factor of
each loss term that makes means over passes and ranks the mean over the joint batch. What is asked of a model:
`loss_items(**batch)` gives by term how many items its mean is over, and `forward` takes `loss_shares` by term and
multiplies what it reports of it too; modules with `gather()`, `start()` and `forget_observed()` are codebooks that
start from data. A model without them is left alone. It knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vqdna.training.batch_splitting import Batch


def start_codebooks(model: nn.Module, batches: Sequence[Batch]) -> None:
    """Starts each codebook that has seen nothing from all passes of the first update; a single pass does it itself."""
    books: list[Any] = [module for module in model.modules() if hasattr(module, "gather") and hasattr(module, "start")]
    untrained = [book for book in books if not book.is_initialized]
    if len(batches) < 2 or not untrained:
        return
    # The passes run again for the update itself; with the generator put back they draw the same numbers then, so
    # accumulating changes nothing else.
    with torch.random.fork_rng(), torch.no_grad():
        for number, book in enumerate(untrained):
            # A finer level sees what the coarser ones leave of the latents, so it can start only when those have, and
            # takes a run over all passes of its own.
            for waiting in untrained[number:]:
                waiting.gather()
            for batch in batches:
                model.train()(**batch)
            book.start()
    for book in books:
        book.forget_observed()  # else the first update would count these runs beside its own


def share_losses(
    model: nn.Module, batches: Sequence[Batch], device: torch.device, counted: Sequence[bool] | None = None
) -> Sequence[Batch]:
    """Batches with `loss_shares`: by term, items of the pass over the mean number of items per pass and rank.

    No rank waits for the device. A single pass on a single rank is the joint batch and stays as it is. A pass that is
    not `counted` only fills its place: its share is 0.
    """
    count_items: Callable[..., Mapping[str, Tensor | int]] | None = getattr(model, "loss_items", None)
    if count_items is None or num_ranks() * len(batches) <= 1:
        return batches
    items = [count_items(**batch) for batch in batches]
    names = list(items[0])
    # [pass, term]; in double precision, for a count of bases may exceed what float32 holds exactly.
    numbers = [torch.as_tensor(of_pass[name], dtype=torch.double, device=device) for of_pass in items for name in names]
    counts = torch.stack(numbers).view(len(items), len(names))
    if counted is not None:
        counts *= torch.tensor(counted, device=device)[:, None]
    # The optimizer takes the plain mean of the passes' gradients over passes and ranks. With each loss multiplied by
    # items / (mean items), that mean is the sum over all items by their number: the gradient of the joint batch, though
    # passes differ in size or in how many of their bases are N.
    mean = mean_over_ranks(counts.mean(dim=0))
    shares = (counts / mean.clamp_min(torch.finfo(mean.dtype).tiny)).float()
    return [
        {**batch, "loss_shares": dict(zip(names, row, strict=True))} for batch, row in zip(batches, shares, strict=True)
    ]


def mean_over_ranks(values: Tensor) -> Tensor:
    """Mean of each value over the ranks, which all must call it; in place."""
    if num_ranks() > 1:
        dist.all_reduce(values)
        values /= num_ranks()
    return values


def num_ranks() -> int:
    """Processes that train together; 1 outside torchrun."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
