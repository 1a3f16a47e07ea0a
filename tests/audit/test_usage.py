from __future__ import annotations

import math

import numpy as np
import pytest
from known_tokenizers import OneBaseTokenizer, random_contig, windows_of

from vqdna.audit.information import level_usage, perplexity, rank_frequency, usage_of
from vqdna.audit.reading import read_codes
from vqdna.audit.results import RankFrequency
from vqdna.tokenizers import load_tokenizer


def test_perplexity_by_hand():
    assert perplexity(np.array([5, 5, 5, 5, 0])) == pytest.approx(4)
    assert perplexity(np.array([7, 0, 0])) == 1
    # frequencies 1/2, 1/4, 1/4: 1.5 bits
    assert perplexity(np.array([2, 1, 1])) == pytest.approx(2**1.5)


def test_a_level_by_hand():
    record = level_usage(np.array([2, 1, 1, 0]), bases_per_position=3.0)
    assert record.usage == 0.75
    assert record.dead_codes == 1
    assert record.entropy_bits_per_base == pytest.approx(0.5)
    assert record.rank_frequency == RankFrequency(rank=[1, 2, 3], share=[0.5, 0.25, 0.25])


def test_frequencies_by_rank_are_thinned_to_a_bounded_number():
    curve = rank_frequency(np.arange(1, 10_000))
    assert len(curve.rank) <= 200
    assert curve.rank[0] == 1
    assert curve.rank[-1] == 9999
    assert curve.share == sorted(curve.share, reverse=True)


def test_levels_that_repeat_each_other_have_no_more_combinations_than_codes():
    tokenizer = OneBaseTokenizer()
    positions = read_codes(tokenizer, windows_of(random_contig(4000)).base_ids)
    usage = usage_of(positions, tokenizer.level_sizes)
    assert [level.usage for level in usage.levels] == [1.0, 0.8]  # there is no N
    assert usage.joint.used_combinations == 4
    assert usage.nominal_bits_per_base == pytest.approx(1 + math.log2(5))


@pytest.mark.parametrize(("spec", "advance"), [("kmer:6", 1.0), ("kmer:6:6", 6.0), ("nucleotide", 1.0)])
def test_bases_per_position_are_measured(spec: str, advance: float):
    tokenizer = load_tokenizer(spec)
    windows = windows_of(random_contig(4000))
    positions = read_codes(tokenizer, windows.base_ids).between(24, 176)
    assert usage_of(positions, tokenizer.level_sizes).bases_per_position == advance
