from __future__ import annotations

import numpy as np
import pytest
import torch
from example_tasks import config, saved_encoder, write_task

from vqdna.errors import InputError
from vqdna.finetune.heads import joined_strands, strand_pairs
from vqdna.finetune.public import finetune_files
from vqdna.genome.bases import reverse_complement, to_base_ids
from vqdna.tokenizers.padding import pad_rows


def test_each_row_has_its_reverse_complement_behind_all_rows():
    rows = [to_base_ids(text).base_ids for text in ("ACGTTN", "GGA", "T")]
    pairs, mask = strand_pairs(*pad_rows(rows))
    for number, row in enumerate(rows):
        assert pairs[number, : len(row)].tolist() == row.tolist()
        assert pairs[3 + number, : len(row)].tolist() == reverse_complement(row).tolist()
    assert mask.sum(dim=1).tolist() == [6, 3, 1, 6, 3, 1]


def test_rows_without_a_mask_are_read_whole():
    bases = torch.from_numpy(np.array([[0, 0, 1], [2, 3, 3]], dtype=np.uint8))
    pairs, mask = strand_pairs(bases.long())
    assert pairs.tolist() == [[0, 0, 1], [2, 3, 3], [2, 3, 3], [0, 0, 1]]
    assert mask.all()


def test_strands_are_joined_by_hand():
    pooled = torch.tensor([[1.0, -2.0], [5.0, 0.0], [3.0, -4.0], [5.0, 2.0]])
    assert joined_strands(pooled).tolist() == [[3, -2, 2, -3], [5, 2, 5, 1]]


def test_a_motif_is_learned_by_sharing(tmp_path):
    encoder = saved_encoder(tmp_path / "encoder")
    train, test = (write_task(tmp_path / f"{name}.csv", "binary", 256, seed) for seed, name in enumerate("ab"))
    settings = config(
        method="full", head={"pooling": "mean+max", "standardize": True, "start": {"epochs": 1}},
        training={"learning_rate": 0.005}, reverse_complement={"share": True},
    )  # fmt: skip
    out = tmp_path / "run"
    results = finetune_files(settings, encoder=encoder, train=train, dev=None, test=test, out=out, seed=0)
    assert (results.test or {})["mcc"] > 0.5


@pytest.mark.parametrize("other", ["augment", "average"])
def test_shared_strands_need_no_other_way_to_both(other):
    with pytest.raises(InputError, match="share: expected neither augment nor average beside it"):
        config(reverse_complement={"share": True, other: True})
