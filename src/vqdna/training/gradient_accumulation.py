"""The joint batch of an update, split over ranks and accumulated passes, and made to count as the one it is cut from.

Flow: items in the dataset's order -> one part for each pass on each rank, sizes alike up to one item -> loader of this
rank, which gives a `MicroBatch` per part -> codebooks started from all passes; batches with `loss_shares`, factor of
each loss term that makes means over passes and ranks the mean over the joint batch. What is asked of a model:
`loss_items(**batch)` gives by term how many items its mean is over, and `forward` takes `loss_shares` by term and
multiplies what it reports of it too; modules with `gather()`, `start()` and `forget_observed()` are codebooks that
start from data. A model without them is left alone. It knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.distributed as dist
from accelerate.data_loader import DataLoaderShard  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler

Batch: TypeAlias = dict[str, Any]  # what a model's forward takes, by name

Collate: TypeAlias = Callable[[Any], Batch]
"""Makes a batch of a list of items, or of what a dataset's `__getitems__` gave."""


class BatchPart(NamedTuple):
    """Item numbers of one pass on one rank, and whether they count in the loss."""

    items: Sequence[int]
    counts: bool


class MicroBatch(NamedTuple):
    batch: Batch
    counts: bool


class BatchPartSampler(Sampler[BatchPart]):
    """Parts of one rank, in order; `batch_size` items make an update, over all ranks and `passes` on each."""

    def __init__(self, num_items: int, batch_size: int, *, passes: int, ranks: int, rank: int) -> None:
        self.num_items, self.batch_size = num_items, batch_size
        self.passes, self.ranks, self.rank = passes, ranks, rank

    def __len__(self) -> int:
        return -(-self.num_items // self.batch_size) * self.passes

    def __iter__(self) -> Iterator[BatchPart]:
        parts = self.passes * self.ranks
        for start in range(0, self.num_items, self.batch_size):
            # The joint batch depends on neither ranks nor passes: several processes see what a single one would.
            joint = range(start, min(start + self.batch_size, self.num_items))
            for one in range(self.passes):
                number = one * self.ranks + self.rank
                items = joint[len(joint) * number // parts : len(joint) * (number + 1) // parts]
                # All ranks must take equally many passes, for each waits for the others' gradients. A part without
                # items therefore gets one that does not count.
                yield BatchPart(items, True) if items else BatchPart(joint[:1], False)


def fetched(dataset: Any, rows: Sequence[int]) -> Any:
    """Items of a dataset, all at once where it can give them so."""
    fetch = getattr(dataset, "__getitems__", None)
    return fetch(rows) if fetch else [dataset[row] for row in rows]


class _SplitDataset(Dataset[Any]):
    def __init__(self, dataset: Any, collate: Collate) -> None:
        self.dataset, self.collate = dataset, collate

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, part: BatchPart) -> MicroBatch:
        return MicroBatch(self.collate(fetched(self.dataset, part.items)), part.counts)

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


def split_loader(
    dataset: Any, collate: Collate, sampler: BatchPartSampler, *, pin_memory: bool, prefetch: int = 0
) -> DataLoader[Any]:
    """Loader of one rank's micro-batches; accelerate's, so that its resuming and its epochs work as usual."""
    loader: DataLoader[Any] = DataLoaderShard(
        _SplitDataset(dataset, collate),
        batch_sampler=sampler,
        collate_fn=_as_fetched,
        pin_memory=pin_memory,
        num_workers=prefetch,
    )
    return loader


def _as_fetched(fetched: MicroBatch) -> MicroBatch:
    return fetched


def start_codebooks(model: nn.Module, batches: Sequence[Batch]) -> None:
    """Starts each codebook that has seen nothing from all passes of the first update; a single pass does it itself."""
    codebooks: list[Any] = [
        module for module in model.modules() if hasattr(module, "gather") and hasattr(module, "start")
    ]
    untrained = [codebook for codebook in codebooks if not codebook.is_initialized]
    if len(batches) < 2 or not untrained:
        return
    # The passes run again for the update itself; with the generator put back they draw the same numbers then, so
    # accumulating changes nothing else.
    with torch.random.fork_rng(), torch.no_grad():
        for number, codebook in enumerate(untrained):
            # A finer level sees what the coarser ones leave of the latents, so it can start only when those have, and
            # takes a run over all passes of its own.
            for waiting in untrained[number:]:
                waiting.gather()
            for batch in batches:
                model.train()(**batch)
            codebook.start()
    for codebook in codebooks:
        codebook.forget_observed()  # else the first update would count these runs beside its own


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
