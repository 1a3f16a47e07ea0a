"""How the items of an update are dealt out, by hand; the stages' test_distributed.py says what is learned from them."""

import numpy as np
import pytest
import torch

from vqdna.training.gradient_accumulation import BatchPartSampler, split_loader


def parts(num_items, batch_size, passes, ranks):
    """By update and pass, the parts of all ranks."""
    dealt = [
        list(BatchPartSampler(num_items, batch_size, passes=passes, ranks=ranks, rank=rank)) for rank in range(ranks)
    ]
    return list(zip(*dealt, strict=True))


def test_a_whole_update_is_cut_pass_by_pass_and_rank_by_rank():
    items = [[list(part.items) for part in ranks] for ranks in parts(8, 8, passes=2, ranks=2)]
    assert items == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_the_last_update_is_cut_as_evenly_as_it_can_be():
    last = parts(11, 8, passes=1, ranks=2)[-1]
    assert [list(part.items) for part in last] == [[8], [9, 10]]
    assert all(part.counts for part in last)


def test_a_part_without_items_is_filled_and_does_not_count():
    last = parts(9, 8, passes=2, ranks=2)[-2:]
    assert [(list(part.items), part.counts) for ranks in last for part in ranks] == [
        ([8], False), ([8], False), ([8], False), ([8], True),
    ]  # fmt: skip


@pytest.mark.parametrize("passes", [1, 2, 3])
@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("num_items", [1, 12, 13, 31, 48])
def test_every_item_counts_once_and_in_order_and_ranks_take_equally_many_passes(num_items, ranks, passes):
    dealt = parts(num_items, 12, passes=passes, ranks=ranks)
    assert len(dealt) == -(-num_items // 12) * passes
    assert len(BatchPartSampler(num_items, 12, passes=passes, ranks=ranks, rank=0)) == len(dealt)
    assert [item for ranks in dealt for part in ranks if part.counts for item in part.items] == list(range(num_items))


class Epochs(torch.utils.data.Dataset):
    """Items that tell the epoch."""

    epoch = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return 10 * self.epoch + index

    def set_epoch(self, epoch):
        self.epoch = epoch


def test_the_loader_tells_the_dataset_its_epoch_and_collates_a_part_at_a_time():
    sampler = BatchPartSampler(5, 4, passes=1, ranks=2, rank=0)
    loader = split_loader(Epochs(), lambda items: {"items": np.array(items)}, sampler, pin_memory=False)
    loader.set_epoch(3)
    found = [(one.batch["items"].tolist(), one.counts) for one in loader]
    assert found == [([30, 31], True), ([34], False)]
    assert len(loader) == 2


def test_passes_prepared_ahead_are_the_same_in_the_same_order():
    sampler = BatchPartSampler(5, 4, passes=1, ranks=2, rank=0)
    loader = split_loader(Epochs(), list, sampler, pin_memory=False, prefetch=1)
    for epoch in (1, 3):
        loader.set_epoch(epoch)
        assert [one.batch for one in loader] == [[10 * epoch, 10 * epoch + 1], [10 * epoch + 4]]
