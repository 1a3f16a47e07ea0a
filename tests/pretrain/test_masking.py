import numpy as np
import pytest
import torch

from vqdna.encoder.genome_encoder import positions_touching
from vqdna.pretrain.masking import MaskingSettings, distance_to_visible, draw_masked_bases, hide_bases


def runs_of(row):
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@pytest.mark.parametrize("fraction", [0.15, 0.25, 0.4])
@pytest.mark.parametrize(("unit", "span"), [("bases", 12), ("spans", 7), ("codes", 12)])
def test_mean_share_is_the_fraction_asked_for(fraction, unit, span):
    settings = MaskingSettings(fraction=fraction, unit=unit, span=span)
    masks = draw_masked_bases(settings, 0, range(400), 300, 1)
    # standard error of the mean share: a span more or less per row of 300, over 400 rows
    assert masks.mean() == pytest.approx(fraction, abs=4 * span / 300 / np.sqrt(400) / 2 + 1e-3)


def test_spans_have_the_asked_length_or_touch():
    masks = draw_masked_bases(MaskingSettings(span=12), 0, range(50), 512, 1)
    for row in masks:
        start = int(np.flatnonzero(~row)[0])  # a visible base, so that no span runs over the end
        assert all(length % 12 == 0 for length in runs_of(np.roll(row, -start)))


@pytest.mark.parametrize("stride", [3, 6])
def test_spans_start_at_positions(stride):
    masks = draw_masked_bases(MaskingSettings(span=12), 0, range(20), 120, stride)
    by_position = masks.reshape(20, -1, stride)
    assert ((by_position.all(axis=2)) | (~by_position.any(axis=2))).all()


def test_a_window_s_mask_depends_on_seed_and_number_alone():
    settings = MaskingSettings()
    batch = draw_masked_bases(settings, 3, [5, 6, 7], 200, 1)
    assert np.array_equal(batch[1], draw_masked_bases(settings, 3, [6], 200, 1)[0])
    assert not np.array_equal(batch[1], draw_masked_bases(settings, 4, [6], 200, 1)[0])


def test_every_base_is_masked_about_equally_often():
    share = draw_masked_bases(MaskingSettings(span=8), 1, range(3000), 64, 1).mean(axis=0)
    # four standard errors of a share of 0.25 over 3000 windows
    assert share == pytest.approx(0.25, abs=0.032)


def test_spans_touched_by_hand():
    bases = torch.tensor([[False, False, True, False, False, False]])
    spans = torch.tensor([[[0, 2], [1, 3], [2, 4], [3, 6], [0, 0]]])
    assert positions_touching(bases, spans).tolist() == [[False, True, True, False, False]]


def test_hidden_bases_become_n():
    hidden = hide_bases(torch.tensor([[0, 1, 2]], dtype=torch.uint8), torch.tensor([[False, True, False]]))
    assert hidden.tolist() == [[0, 4, 2]]


def test_distance_by_hand():
    masked = torch.tensor([[True, True, False, True, True, True, False, True]])
    keep = torch.ones(1, 8, dtype=torch.bool)
    assert distance_to_visible(masked, keep).tolist() == [[2, 1, 0, 1, 2, 1, 0, 1]]


def test_padding_is_not_visible():
    masked = torch.tensor([[False, True, True, False]])
    keep = torch.tensor([[True, True, True, False]])
    assert distance_to_visible(masked, keep)[0, :3].tolist() == [0, 1, 2]
    assert distance_to_visible(torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)).tolist() == [
        [-1, -1, -1]
    ]
