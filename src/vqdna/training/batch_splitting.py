"""Deals the items of each update out to ranks and accumulated passes, those of an epoch's shorter last update too.

Flow: items in the dataset's order -> joint batch of an update -> one part for each pass on each rank, sizes alike up to
one item -> loader of this rank, which gives a `Pass` per part. All ranks take equally many passes, so a part without
items is filled with one that does not count. It must not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from accelerate.data_loader import DataLoaderShard  # type: ignore[import-untyped]
from torch.utils.data import DataLoader, Dataset, Sampler


class Part(NamedTuple):
    """Item numbers of one pass on one rank, and whether they count in the loss."""

    items: Sequence[int]
    counts: bool


class Pass(NamedTuple):
    """Batch of one pass on one rank, and whether it counts in the loss."""

    batch: dict[str, Any]
    counts: bool


class PartSampler(Sampler[Part]):
    """Parts of one rank, in order.

    Args:
        num_items: of an epoch.
        batch_size: items of an update, over all ranks and passes.
        passes: of an update, on each rank.
        ranks: how many there are.
        rank: this one.
    """

    def __init__(self, num_items: int, batch_size: int, *, passes: int, ranks: int, rank: int) -> None:
        self.num_items, self.batch_size = num_items, batch_size
        self.passes, self.ranks, self.rank = passes, ranks, rank

    def __len__(self) -> int:
        return -(-self.num_items // self.batch_size) * self.passes

    def __iter__(self) -> Iterator[Part]:
        for start in range(0, self.num_items, self.batch_size):
            joint = range(start, min(start + self.batch_size, self.num_items))
            for number in range(self.passes):
                yield self._part(joint, number * self.ranks + self.rank)

    def _part(self, joint: range, number: int) -> Part:
        parts = self.passes * self.ranks
        items = joint[len(joint) * number // parts : len(joint) * (number + 1) // parts]
        return Part(items, True) if items else Part(joint[:1], False)


class _Dealt(Dataset[Any]):
    """The dataset, fetched and collated a part at a time."""

    def __init__(self, dataset: Any, collate: Callable[[Any], dict[str, Any]]) -> None:
        self.dataset, self.collate = dataset, collate

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, part: Part) -> Pass:
        """Batch of a part."""
        fetch = getattr(self.dataset, "__getitems__", None)
        items = fetch(part.items) if fetch else [self.dataset[item] for item in part.items]
        return Pass(self.collate(items), part.counts)

    def set_epoch(self, epoch: int) -> None:
        """Tells a dataset whose order goes by the epoch; the loader calls it."""
        if hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


def dealing_loader(
    dataset: Any, collate: Callable[[Any], dict[str, Any]], sampler: PartSampler, *, pin_memory: bool, prefetch: int = 0
) -> DataLoader[Any]:
    """Loader of one rank's passes; accelerate's, so that its resuming and its epochs work as usual.

    Args:
        dataset: items by number.
        collate: items to a batch.
        sampler: whose parts the passes are.
        pin_memory: for copies to a GPU.
        prefetch: processes that prepare passes ahead; their order stays.
    """
    loader: DataLoader[Any] = DataLoaderShard(
        _Dealt(dataset, collate),
        batch_sampler=sampler,
        collate_fn=_as_fetched,
        pin_memory=pin_memory,
        num_workers=prefetch,
    )
    return loader


def _as_fetched(fetched: Pass) -> Pass:
    return fetched
