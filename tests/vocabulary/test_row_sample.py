import pytest
import torch

from vqdna.vocabulary.row_sample import RowSample


def drawn(parts, size, key=3, num_rows=None):
    sample = RowSample(size, key)
    for part in parts:
        sample.add(part)
    return sample.draw(size if num_rows is None else num_rows)


@pytest.mark.parametrize("sizes", [(100,), (50, 50), (1, 99), (33, 0, 60, 7), (1,) * 100])
def test_draw_does_not_depend_on_the_cut(sizes):
    rows = torch.randn(100, 3)
    assert torch.equal(drawn(rows.split(list(sizes)), 12), drawn([rows], 12))


def test_rows_are_distinct_and_all_are_drawn_where_the_size_allows():
    rows = torch.arange(30.0)[:, None]
    assert sorted(drawn(rows.split(7), 40).flatten().tolist()) == rows.flatten().tolist()
    assert len(drawn(rows.split(7), 10).unique()) == 10


def test_a_smaller_draw_is_the_beginning_of_a_larger_one():
    rows = torch.randn(50, 2)
    assert torch.equal(drawn(rows.split(20), 30, num_rows=4), drawn([rows], 30)[:4])


def test_every_row_is_drawn_equally_often():
    rows = torch.arange(10.0)[:, None]
    counts = torch.zeros(10)
    for key in range(500):
        counts[drawn(rows.split(4), 3, key).flatten().long()] += 1
    assert counts.sum() == 1500
    assert 100 < counts.min() < counts.max() < 200


def test_memory_is_the_sample_and_the_latest_pass():
    sample = RowSample(8, 0)
    for _ in range(50):
        sample.add(torch.randn(100, 2))
    assert len(sample.draw(8)) == 8
    assert len(sample._rows) == 8


def test_nothing_added_is_an_error():
    with pytest.raises(ValueError, match="no pass"):
        RowSample(4, 0).draw(1)
