from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from known_tokenizers import MotifTokenizer, OneBaseTokenizer, planted_contig, random_contig, windows_of

from vqdna.audit.reading import read_codes
from vqdna.audit.sensitivity import draw_changes, sensitivity_of
from vqdna.genome import N
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.bpe import BpeTokenizer


def test_each_piece_differs_in_one_known_base():
    contig = random_contig(5000)
    contig.base_ids[::50] = N
    changes = draw_changes(windows_of(contig), 6, seed=0)
    differs = changes.pieces != changes.changed
    assert (differs.sum(axis=1) == 1).all()
    assert (differs.argmax(axis=1) == changes.place).all()
    assert changes.changed[differs].max() < N
    assert changes.pieces[differs].max() < N
    assert len(changes.place) > 50
    assert set((changes.place - changes.place.min()).tolist()) == set(range(6))  # every phase of the stride


@pytest.mark.parametrize(("spec", "flips"), [("kmer:6", 6), ("kmer:3", 3), ("kmer:6:6", 1), ("nucleotide", 1)])
def test_a_change_flips_exactly_the_words_that_hold_it(spec: str, flips: int):
    tokenizer = load_tokenizer(spec)
    changes = draw_changes(windows_of(random_contig(10_000)), round(tokenizer.bases_per_position), seed=0)
    record = sensitivity_of(partial(read_codes, tokenizer), changes)
    level = record.columns["level 0"]
    assert record.altered_fraction == 1
    assert level.flips_per_change == flips
    assert level.farthest == 0
    assert level.flip_probability_by_distance == [1]


def test_what_a_tokenizer_cannot_see_is_found():
    """Purine or pyrimidine alone misses every change within its class, one of three."""
    changes = draw_changes(windows_of(random_contig(60_000)), 1, seed=0)
    record = sensitivity_of(partial(read_codes, OneBaseTokenizer(coarse_only=True)), changes)
    row = np.arange(len(changes.place))
    within = (changes.pieces[row, changes.place] % 2) == (changes.changed[row, changes.place] % 2)
    assert record.altered_fraction == pytest.approx(1 - within.mean())
    assert record.altered_fraction == pytest.approx(2 / 3, abs=0.05)


def test_levels_are_told_apart_and_joined():
    changes = draw_changes(windows_of(random_contig(20_000)), 1, seed=0)
    columns = sensitivity_of(partial(read_codes, OneBaseTokenizer()), changes).columns
    assert columns["level 0"].altered_fraction < columns["level 1"].altered_fraction == 1
    assert columns["joint"].flips_per_change == 1


def test_context_shows_as_distance():
    """A change anywhere in the motif takes its code away, up to half a motif from it."""
    changes = draw_changes(windows_of(planted_contig()[0]), 1, seed=0)
    level = sensitivity_of(partial(read_codes, MotifTokenizer()), changes).columns["level 0"]
    assert level.farthest == 5
    assert all(chance > 0 for chance in level.flip_probability_by_distance)


def test_moved_words_count_as_flipped():
    text = "".join("ACGT"[base] for base in random_contig(20_000).base_ids)
    tokenizer = BpeTokenizer.learn([text], vocabulary_size=64)
    changes = draw_changes(windows_of(random_contig(20_000)), round(tokenizer.bases_per_position), seed=0)
    record = sensitivity_of(partial(read_codes, tokenizer), changes)
    assert record.altered_fraction == 1
    assert record.columns["level 0"].flips_per_change > 1
