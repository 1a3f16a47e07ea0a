"""Genomes against their reference: places, mutations, and what is left open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.genome import N, from_base_ids, to_base_ids
from vqdna.studies.sars_cov_2.alignment import Mutation, align, mutations_of, parse_mutation

RANDOM = np.random.default_rng(0)
REFERENCE = RANDOM.integers(0, 4, 3000).astype(np.uint8)


def written(genome):
    return [str(m) for m in mutations_of(REFERENCE, genome, align(REFERENCE, genome))]


def changed(*places):
    genome = REFERENCE.copy()
    genome[list(places)] = (genome[list(places)] + 1) % 4
    return genome


def without(start, end):
    return np.concatenate([REFERENCE[:start], REFERENCE[end:]])


def applied(mutations, alignment):
    """The reference with its mutations: what the genome must be, gained bases apart."""
    letters = list(from_base_ids(REFERENCE))
    for mutation in mutations:
        assert letters[mutation.position] == mutation.reference
        letters[mutation.position] = mutation.base
    return "".join(letter for letter, is_open in zip(letters, alignment.open) if letter != "-" and not is_open)


def test_a_genome_like_the_reference_has_no_mutation():
    alignment = align(REFERENCE, REFERENCE)
    assert written(REFERENCE) == []
    assert (alignment.compared, alignment.identity, alignment.num_inserted) == (1.0, 1.0, 0)


def test_substitutions_are_counted_from_one_in_the_field_s_way():
    letters = from_base_ids(REFERENCE)
    other = from_base_ids(changed(10, 1500))
    assert written(changed(10, 1500)) == [f"{letters[p]}{p + 1}{other[p]}" for p in (10, 1500)]


def test_a_deletion_is_its_lost_bases_and_what_follows_stays_in_place():
    genome = without(1000, 1009)
    places = align(REFERENCE, genome).places
    found = written(genome)
    assert len(found) == 9
    assert all(mutation.endswith("-") for mutation in found)
    assert places[2000] == 1991
    assert from_base_ids(genome[places[1100:1200]]) == from_base_ids(REFERENCE[1100:1200])


def test_gained_bases_are_counted_and_are_no_mutation_of_the_reference():
    genome = np.concatenate([REFERENCE[:700], np.array([0, 1, 2, 3, 3, 0], np.uint8), REFERENCE[700:]])
    alignment = align(REFERENCE, genome)
    assert alignment.num_inserted == 6
    assert written(genome) == []


def test_equal_lengths_hide_no_indels():
    """Nine bases lost and nine gained farther on: base against base, nearly all between would differ."""
    genome = np.concatenate([REFERENCE[:1000], REFERENCE[1009:1400], REFERENCE[20:29], REFERENCE[1400:]])
    assert len(genome) == len(REFERENCE)
    found = written(genome)
    assert len(found) == 9
    assert {mutation[-1] for mutation in found} == {"-"}


def test_unknown_bases_are_no_mutations_but_are_not_compared():
    genome = REFERENCE.copy()
    genome[500:1100] = N
    assert written(genome) == []
    assert align(REFERENCE, genome).compared == pytest.approx(0.8)


def test_missing_ends_are_open_and_not_lost():
    genome = REFERENCE[300:2800]
    alignment = align(REFERENCE, genome)
    assert written(genome) == []
    assert alignment.open.sum() == 500


def test_another_genome_is_hardly_compared():
    other = np.random.default_rng(1).integers(0, 4, 2900).astype(np.uint8)
    assert align(REFERENCE, other).compared < 0.05


def test_a_genome_shorter_than_a_word_is_compared_nowhere():
    assert align(REFERENCE, REFERENCE[:10]).compared == 0


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(2, 28), st.integers(1, 12)), max_size=6, unique_by=lambda pair: pair[0]),
    st.lists(st.integers(60, 2900), max_size=10, unique=True),
)
def test_mutations_applied_to_the_reference_give_the_genome_back(deletions, substitutions):
    """For losses far from one another and any substitutions beside them."""
    genome = REFERENCE.copy()
    genome[substitutions] = (genome[substitutions] + 1) % 4
    keep = np.ones(len(genome), bool)
    for slot, size in deletions:
        keep[slot * 100 : slot * 100 + size] = False
    genome = genome[keep]
    alignment = align(REFERENCE, genome)
    mutations = mutations_of(REFERENCE, genome, alignment)
    assert applied(mutations, alignment) == from_base_ids(genome)
    assert len(mutations) <= (~keep).sum() + len(substitutions)


def test_a_mutation_is_read_as_it_is_written():
    assert parse_mutation("C23604A") == Mutation(23603, "C", "A")
    assert str(parse_mutation("A28271-")) == "A28271-"
    assert parse_mutation("A28271-").is_deletion


@pytest.mark.parametrize("text", ["", "C23604", "23604A", "S:N501Y", "CxA", "C0.5A"])
def test_what_is_no_mutation_is_refused_with_an_example(text):
    with pytest.raises(InputError, match="C23604A"):
        parse_mutation(text)


def test_lost_repeats_are_lost_once():
    """One copy of a repeat of 30 bases lost: which one cannot be told, how many bases can."""
    repeat = to_base_ids("ACGTTGCAAGGCTTACCAGTAGGACCATTG").base_ids
    reference = np.concatenate([REFERENCE[:400], repeat, repeat, REFERENCE[400:900]])
    genome = np.concatenate([REFERENCE[:400], repeat, REFERENCE[400:900]])
    found = mutations_of(reference, genome, align(reference, genome))
    assert len(found) == 30
    assert all(mutation.is_deletion for mutation in found)
