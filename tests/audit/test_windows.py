from __future__ import annotations

import numpy as np
import pytest
from known_tokenizers import random_contig, windows_of

from vqdna.audit.sampled_windows import draw_windows
from vqdna.errors import InputError
from vqdna.genome import N, Sequence


def test_inner_parts_cover_a_contig_without_gap_or_overlap():
    windows = windows_of(random_contig(1000), size=100, margin=24)
    inner = [base for start in windows.start.tolist() for base in range(start + 24, start + 76)]
    assert inner == list(range(24, 24 + len(inner)))
    assert len(windows) == windows.num_tiles
    assert (windows.base_ids[3] == windows.contigs[0].base_ids[156:256]).all()


def test_a_choice_follows_from_the_seed_and_says_that_it_is_one():
    contigs = (random_contig(20_000, "a"), random_contig(20_000, "b", seed=1))
    one, two, other = (draw_windows(contigs, size=100, margin=10, num_windows=50, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.start, two.start)
    assert not np.array_equal(one.start, other.start)
    assert len(one) == 50
    assert len(one) < one.num_tiles
    assert set(one.contig.tolist()) == {0, 1}


def test_windows_of_unknown_bases_are_left_out():
    contig = random_contig(1000)
    contig.base_ids[300:700] = N
    windows = windows_of(contig, size=100, margin=10)
    assert (windows.base_ids == N).mean(axis=1).max() <= 0.1
    assert 0 < len(windows) < 12


def test_what_lies_beyond_a_contig_is_n():
    windows = windows_of(random_contig(150), size=100, margin=20)
    around = windows.around(5)
    assert around.shape == (1, 110)
    assert (around[0, :5] == N).all()
    assert (around[0, 5:] == windows.contigs[0].base_ids[:105]).all()


def test_too_few_bases_and_too_small_windows_are_refused():
    with pytest.raises(InputError, match=r"no window of 512 bases.*longest of 2 sequences has 300 bases"):
        windows_of(random_contig(100, "a"), random_contig(300, "b"), size=512)
    with pytest.raises(InputError, match="--window 60: wanted 80 or more"):
        windows_of(random_contig(1000), size=60, margin=24)
    all_n = Sequence("n", np.full(2000, N, np.uint8), None, 0)
    with pytest.raises(InputError, match="at most 10% N"):
        windows_of(all_n)
