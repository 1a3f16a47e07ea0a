from __future__ import annotations

import numpy as np
import pytest
from known_tokenizers import OneBaseTokenizer, random_contig, windows_of

from vqdna.audit.features import Feature, gc_content
from vqdna.audit.information import entropy, feature_information, level_information, mutual_information
from vqdna.audit.reading import read_codes


@pytest.fixture(scope="module")
def windows():
    return windows_of(random_contig(40_000))


@pytest.fixture(scope="module")
def positions(windows):
    return read_codes(OneBaseTokenizer(), windows.base_ids).between(24, 176)


def test_information_by_hand():
    first, second = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert entropy(first) == 1
    assert mutual_information(first, second) == 0
    assert mutual_information(first, first) == 1
    # two of three bits: four equally frequent pairs over (4, 2)
    assert mutual_information(np.arange(4), first) == 1


def test_a_code_that_is_the_label_tells_all_of_its_entropy(windows, positions):
    feature = Feature("base", "the base itself", ("A", "C", "G", "T"), windows.base_ids)
    record = feature_information(positions, feature, seed=0)
    finest = record.columns["level 1"]
    assert finest.bits == pytest.approx(record.entropy_bits)
    assert finest.share == pytest.approx(1)
    assert record.columns["level 0"].bits == pytest.approx(1, abs=0.01)
    assert record.columns["joint"].bits == pytest.approx(finest.bits)


def test_a_label_without_relation_tells_no_more_than_chance(windows, positions):
    noise = np.random.default_rng(5).integers(0, 8, windows.base_ids.shape).astype(np.uint8)
    record = feature_information(positions, Feature("noise", "nothing", tuple("abcdefgh"), noise), seed=0)
    for column in record.columns.values():
        assert column.excess_bits == pytest.approx(0, abs=0.001)
        assert column.share < 0.001


def test_gc_is_known_to_a_code_of_bases(windows, positions):
    record = feature_information(positions, gc_content(windows), seed=0)
    assert record.columns["level 1"].excess_bits > 5 * record.columns["level 1"].null_deviation


def test_levels_against_each_other(positions):
    """The base says its class: they share one bit, and the base adds another."""
    (record,) = level_information(positions)
    assert record.bits == pytest.approx(1, abs=0.01)
    assert record.coarse_given_fine_bits == pytest.approx(0)
    assert record.fine_given_coarse_bits == pytest.approx(1, abs=0.01)
    assert record.null_bits < 0.01


def test_a_single_level_has_nothing_beside_it(windows):
    positions = read_codes(OneBaseTokenizer(coarse_only=True), windows.base_ids)
    assert level_information(positions) == []
