from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vqdna.errors import InputError
from vqdna.genome.bases import N, from_base_ids, reverse_complement, to_base_ids

LETTERS = "ACGTUNRYSWKMBDHV"
slow_ids = {"A": 0, "C": 1, "G": 2, "T": 3, "U": 3}


def test_the_letters_by_hand():
    encoded = to_base_ids("ACGTN")
    assert encoded.base_ids.dtype == np.uint8
    assert encoded.base_ids.tolist() == [0, 1, 2, 3, 4]
    assert encoded.num_ambiguous == 0


def test_lower_case_and_u_are_the_same_bases():
    assert to_base_ids(b"acgtun").base_ids.tolist() == [0, 1, 2, 3, 3, 4]


def test_ambiguity_codes_become_n_and_are_counted_but_n_is_not():
    encoded = to_base_ids("RYSWKMBDHVryswkmbdhvNn")
    assert set(encoded.base_ids.tolist()) == {N}
    assert encoded.num_ambiguous == 20


@pytest.mark.parametrize("gap", "-.*")
def test_a_gap_is_an_error_unless_dropped(gap):
    with pytest.raises(InputError, match="--gaps drop") as error:
        to_base_ids(f"AC{gap}GT")
    assert f"'{gap}' at offset 2" in str(error.value)
    assert to_base_ids(f"AC{gap}GT", gaps="drop").base_ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("text", ["ACGX", b"ACGX", "ACG ", "ACG\n", "ACG5", "ACG🧬A-", b"ACG\xff", "ACG?Z"])
@pytest.mark.parametrize("gaps", ["error", "drop"])
def test_any_other_character_is_named_with_its_offset(text, gaps):
    with pytest.raises(InputError) as error:
        to_base_ids(text, gaps=gaps)
    character = text[3] if isinstance(text, str) else chr(text[3])
    assert f"{character!r} at offset 3 " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", b""])
def test_no_text_is_no_bases(text):
    assert to_base_ids(text).base_ids.shape == (0,)


def test_the_result_can_be_written_to():
    base_ids = to_base_ids("ACGT").base_ids
    base_ids[0] = 3
    assert from_base_ids(base_ids) == "TCGT"


@pytest.mark.parametrize("size", [2**17 - 1, 2**17, 2**17 + 1, 300_000])
def test_long_texts_agree_with_a_dictionary(size):
    text = "".join(np.random.default_rng(size).choice(list(LETTERS + LETTERS.lower()), size))
    encoded = to_base_ids(text)
    assert encoded.base_ids.tolist() == [slow_ids.get(letter.upper(), N) for letter in text]
    assert encoded.num_ambiguous == sum(letter.upper() not in "ACGTUN" for letter in text)


def test_a_fault_far_into_a_long_text_keeps_its_offset():
    with pytest.raises(InputError, match="offset 200000"):
        to_base_ids("A" * 200_000 + "!" + "C" * 100_000)


@settings(derandomize=True, max_examples=100)
@given(st.text(alphabet="ACGTN", max_size=300))
def test_text_round_trips(text):
    assert from_base_ids(to_base_ids(text).base_ids) == text


@settings(derandomize=True, max_examples=100)
@given(st.text(alphabet=LETTERS + LETTERS.lower() + "-.*", max_size=300))
def test_dropping_gaps_is_the_same_as_removing_them_before(text):
    kept = "".join(letter for letter in text if letter not in "-.*")
    dropped, expected = to_base_ids(text, gaps="drop"), to_base_ids(kept)
    assert np.array_equal(dropped.base_ids, expected.base_ids)
    assert dropped.num_ambiguous == expected.num_ambiguous


def test_reverse_complement_by_hand():
    assert from_base_ids(reverse_complement(to_base_ids("AACGTN").base_ids)) == "NACGTT"


def test_reverse_complement_of_a_batch_works_row_by_row():
    batch = np.array([[0, 1, 2], [3, 4, 0]], np.uint8)
    assert reverse_complement(batch).tolist() == [[1, 2, 3], [3, 4, 0]]


@settings(derandomize=True, max_examples=100)
@given(st.text(alphabet="ACGTN", max_size=300))
def test_reverse_complement_twice_is_identity(text):
    base_ids = to_base_ids(text).base_ids
    assert np.array_equal(reverse_complement(reverse_complement(base_ids)), base_ids)


def test_ids_that_are_no_bases_have_no_text():
    with pytest.raises(ValueError, match="out of range"):
        from_base_ids(np.array([0, 5], np.uint8))
