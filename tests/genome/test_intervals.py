from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.genome.intervals import Interval

places = st.tuples(st.integers(0, 30), st.integers(0, 30)).map(sorted)


def test_length_and_bases():
    interval = Interval("chr1", 2, 5, "+")
    assert interval.length == 3
    assert np.arange(10)[interval.bases].tolist() == [2, 3, 4]


@given(places, places)
def test_contains_and_overlaps_agree_with_sets_of_bases(first, second):
    one, two = Interval("c", *first, "+"), Interval("c", *second, "-")
    shared = set(range(*first)) & set(range(*second))
    assert one.overlaps(two) == bool(shared)
    if two.length:
        assert one.contains(two) == (set(range(*second)) <= set(range(*first)))
    assert all(one.contains(base) == (base in range(*first)) for base in range(31))


def test_intervals_of_other_sequences_never_meet():
    assert not Interval("a", 0, 9, ".").overlaps(Interval("b", 0, 9, "."))
    assert not Interval("a", 0, 9, ".").contains(Interval("b", 2, 3, "."))


@given(places, st.sampled_from("+-"))
def test_text_is_read_back(place, strand):
    interval = Interval("HLA:A*01-x", *place, strand)
    assert Interval.parse(str(interval)) == interval


def test_parse_takes_commas():
    assert Interval.parse("chr1:1,000-2,000") == Interval("chr1", 1000, 2000, "+")


@pytest.mark.parametrize("text", ["chr1", "chr1:5", "chr1:5-", ":1-2", "chr1:a-b", "chr1:,-5", "chr1:9-5", "chr1:-5-9"])
def test_parse_refuses_what_is_no_interval(text):
    with pytest.raises(InputError):
        Interval.parse(text)


def test_places_and_strands_out_of_range_are_refused():
    with pytest.raises(InputError, match="start 5 and end 2"):
        Interval("c", 5, 2, "+")
    with pytest.raises(InputError, match="strand 'x'"):
        Interval("c", 1, 2, "x")


def test_bed_line():
    assert Interval("chr1", 3, 8, "-").bed_line("gene", 2.5) == "chr1\t3\t8\tgene\t2.5\t-"
    assert Interval("chr1", 3, 8, ".").bed_line() == "chr1\t3\t8\t.\t0\t."
