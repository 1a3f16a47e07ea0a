from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from known_tokenizers import OneBaseTokenizer, random_contig, windows_of

from vqdna.audit.reading import read_codes
from vqdna.audit.results import Partner
from vqdna.audit.stability import best_partners, reverse_complement_stability, shift_stability, shifts_for
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer


def read(tokenizer, num_bases: int = 40_000):
    windows = windows_of(random_contig(num_bases))
    reader = partial(read_codes, tokenizer)
    return reader, windows, reader(windows.base_ids).between(windows.margin, windows.size - windows.margin)


def test_shifts_reach_over_a_position():
    assert shifts_for(1.0) == [1, 2, 3, 4, 5, 6]
    assert shifts_for(8.0) == list(range(1, 9))
    assert shifts_for(40.0)[-1] == 12


def test_overlapping_words_keep_their_codes_under_any_shift():
    records = shift_stability(*read(load_tokenizer("kmer:6")), [1, 2, 5], num_windows=20)
    assert [record.columns["level 0"] for record in records] == [1.0, 1.0, 1.0]


def test_words_side_by_side_keep_them_only_in_step():
    records = shift_stability(*read(load_tokenizer("kmer:3:3")), [1, 2, 3, 6], num_windows=20)
    assert [record.columns["level 0"] for record in records] == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("spec", ["kmer:2", "kmer:3:3", "nucleotide"])
def test_the_other_strand_of_a_word_is_a_function_of_it(spec: str):
    record, _ = reverse_complement_stability(*read(load_tokenizer(spec)))
    assert record.aligned_fraction == 1
    column = record.columns["level 0"]
    assert column.partner_consistency == 1
    assert column.normalized_information == pytest.approx(1)


def test_only_words_that_are_their_own_reverse_complement_keep_their_code():
    """Of the 16 words of two bases AT, TA, CG and GC do."""
    record, partners = reverse_complement_stability(*read(load_tokenizer("kmer:2")))
    assert record.columns["level 0"].same_code == pytest.approx(4 / 16, abs=0.01)
    assert partners[0][0] == Partner(code=15, share=1.0)  # AA and TT
    assert partners[0][1] == Partner(code=11, share=1.0)  # AC and GT


def test_levels_are_told_apart():
    """Every base's complement is of the other class, and never the base itself."""
    record, partners = reverse_complement_stability(*read(OneBaseTokenizer()))
    assert list(record.columns) == ["level 0", "level 1", "joint"]
    assert all(column.same_code == 0 for column in record.columns.values())
    assert {code: partner.code for code, partner in partners[1].items()} == {0: 3, 1: 2, 2: 1, 3: 0}


def test_positions_with_none_opposite_count_against_the_tokenizer():
    contig = random_contig(20_000)
    tokenizer = BpeTokenizer.learn(["".join("ACGT"[base] for base in contig.base_ids)], vocabulary_size=64)
    windows = windows_of(contig)
    reader = partial(read_codes, tokenizer)
    positions = reader(windows.base_ids).between(24, 176)
    record, _ = reverse_complement_stability(reader, windows, positions)
    assert 0 < record.aligned_fraction < 0.9
    for share in record.columns["level 0"].model_dump().values():
        assert share <= record.aligned_fraction


def test_codes_without_any_relation_have_no_partners_to_speak_of():
    random = np.random.default_rng(0)
    ours, theirs = random.integers(0, 10, 20_000), random.integers(0, 10, 20_000)
    assert all(partner.share < 0.2 for partner in best_partners(ours, theirs).values())
    assert best_partners(ours[:0], theirs[:0]) == {}
