from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.genome.sampling import draw_bits, draw_bits_of_one, draw_key, eligible_starts, num_n_before, split_spans
from vqdna.genome.sequences import Sequence
from vqdna.genome.store import n_runs, pack_in_memory

random_contig = st.lists(st.sampled_from([0, 1, 4, 4]), min_size=1, max_size=60)


def packed(*species):
    """Corpus of lists of contig lengths, or of base ids, one list a species."""
    rng = np.random.default_rng(0)
    return pack_in_memory(
        (f"species{index}", Sequence(f"chr{number}", rng.integers(0, 4, contig).astype(np.uint8)))
        for index, contigs in enumerate(species)
        for number, contig in enumerate(contigs)
    )


def starts_in(intervals):
    return [start for first, stop in intervals.tolist() for start in range(first, stop)]


def test_runs_of_n_by_hand():
    assert n_runs(np.array([4, 4, 0, 1, 4, 2, 4], np.uint8)).tolist() == [[0, 2], [4, 5], [6, 7]]
    assert n_runs(np.array([0, 1], np.uint8)).tolist() == []


def test_counting_n_by_hand():
    runs = np.array([[0, 2], [4, 5]])
    assert num_n_before(runs, np.arange(7)).tolist() == [0, 1, 2, 2, 2, 3, 3]


@settings(derandomize=True, max_examples=300)
@given(st.lists(random_contig, min_size=1, max_size=4), st.integers(1, 20), st.floats(0, 1))
def test_eligible_starts_agree_with_trying_every_window(contigs, window, fraction):
    bases = pack_in_memory(
        ("a", Sequence(str(number), np.array(contig, np.uint8))) for number, contig in enumerate(contigs)
    )
    max_n = int(fraction * window)
    spans = split_spans(bases, window, "all")
    expected = [
        start
        for first, stop in spans.tolist()
        for start in range(first, stop - window + 1)
        if (bases.base_ids[start : start + window] == 4).sum() <= max_n
    ]
    assert starts_in(eligible_starts(spans, bases.n_runs, window, max_n)) == expected


@pytest.mark.parametrize(
    "species",
    [
        [[200_000]],
        [[120_000, 80_000], [30_000]],
        [[500 + 37 * number for number in range(200)]],
        [[5_000], [100], [40_000, 300, 300, 20_000]],
        [[3_000]],
    ],
)
@pytest.mark.parametrize("window", [64, 512])
def test_train_and_evaluation_share_no_base_and_leave_none_out(species, window):
    bases = packed(*species)
    times_covered = np.zeros(bases.base_ids.size, int)
    for split in ("train", "evaluation"):
        for first, stop in split_spans(bases, window, split).tolist():
            times_covered[first:stop] += 1
            assert np.searchsorted(bases.contig_edges, first, "right") == np.searchsorted(bases.contig_edges, stop)
    assert (times_covered == 1).all()


def held_out_fraction(bases, window):
    spans = split_spans(bases, window, "evaluation")
    return np.diff(spans).sum() / bases.base_ids.size


def test_a_twentieth_is_held_out():
    assert 0.05 <= held_out_fraction(packed([200_000]), 512) <= 0.065
    assert 0.05 <= held_out_fraction(packed([1_000] * 300), 200) <= 0.065


def test_a_species_of_many_contigs_is_held_out_by_whole_contigs():
    bases = packed([1000] * 300)
    assert set(np.diff(split_spans(bases, 400, "evaluation"))[:, 0] % 1000) == {0}


def test_at_least_one_window_is_held_out_where_there_is_room_for_two():
    spans = split_spans(packed([3_000]), 512, "evaluation")
    assert np.diff(spans).max() >= 512
    assert np.diff(split_spans(packed([3_000]), 512, "train")).max() >= 512


def test_a_species_of_one_window_stays_in_training():
    assert len(split_spans(packed([600]), 512, "evaluation")) == 0


def test_what_is_held_out_of_a_species_does_not_depend_on_the_others():
    alone, together = packed([50_000]), packed([50_000], [70_000])
    first = split_spans(together, 100, "evaluation")
    assert np.array_equal(split_spans(alone, 100, "evaluation"), first[first[:, 0] < 50_000])


def test_runs_of_n_are_not_held_out():
    base_ids = np.full(100_000, 4, np.uint8)
    base_ids[:50_000] = np.random.default_rng(0).integers(0, 4, 50_000)
    bases = pack_in_memory([("a", Sequence("chr1", base_ids))])
    assert split_spans(bases, 100, "evaluation").max() <= 51_000


@pytest.mark.parametrize("index", [0, 1, 2, 1000, 2**31, 2**40, 2**62])
def test_a_draw_of_one_is_the_draw_of_many(index):
    key = draw_key(3, 1)
    assert draw_bits_of_one(key, index) == int(draw_bits(key, np.array([index]))[0])


def test_splitmix_gives_its_published_sequence():
    # First outputs of the reference implementation (splitmix64.c, Vigna 2015) from state 1234567; it steps, then mixes.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert draw_bits(1234567, np.arange(1, 4)).tolist() == expected


def test_whole_contigs_are_held_out_or_not_at_all():
    bases = packed([3000] * 40, [50_000, 2000])
    edges = set(map(tuple, np.stack([bases.contig_edges[:-1], bases.contig_edges[1:]], axis=1).tolist()))
    held_out = split_spans(bases, 500, "evaluation", whole_contigs=True)
    kept = split_spans(bases, 500, "train", whole_contigs=True)
    assert set(map(tuple, held_out.tolist())) <= edges
    assert set(map(tuple, held_out.tolist())) | set(map(tuple, kept.tolist())) == edges
    assert len(held_out) + len(kept) == len(edges)
    assert 0.05 * 120_000 <= (held_out[:, 1] - held_out[:, 0])[held_out[:, 0] < 120_000].sum() <= 0.1 * 120_000


def test_a_species_of_one_contig_has_none_held_out():
    bases = packed([200_000], [3000] * 40)
    held_out = split_spans(bases, 500, "evaluation", whole_contigs=True)
    assert len(held_out)
    assert (held_out[:, 0] >= 200_000).all()
