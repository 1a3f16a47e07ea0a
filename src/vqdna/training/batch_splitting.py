"""Splits the joint batch of each update over ranks and accumulated passes, also the shorter one at an epoch's end.

Flow: items in the dataset's order -> joint batch of an update -> one part for each pass on each rank, sizes alike up to
one item -> loader of this rank, which gives a `MicroBatch` per part. It must not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from accelerate.data_loader import DataLoaderShard  # type: ignore[import-untyped]
from torch.utils.data import DataLoader, Dataset, Sampler

Batch: TypeAlias = dict[str, Any]
"""What a model's forward takes, by name."""

Collate: TypeAlias = Callable[[Any], Batch]
"""Makes a batch of a list of items, or of what a dataset's `__getitems__` gave."""


class BatchPart(NamedTuple):
    """Item numbers of one pass on one rank, and whether they count in the loss."""

    items: Sequence[int]
    counts: bool


class MicroBatch(NamedTuple):
    """The batch made of a part."""

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
