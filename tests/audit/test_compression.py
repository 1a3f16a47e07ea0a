from __future__ import annotations

import math

import numpy as np
import pytest
from known_tokenizers import OneBaseTokenizer, random_contig, windows_of

from vqdna.audit.compression import code_nats, witten_bell
from vqdna.audit.reading import read_codes
from vqdna.genome import Sequence
from vqdna.tokenizers import load_tokenizer


def read(tokenizer, contig):
    return read_codes(tokenizer, windows_of(contig).base_ids).between(24, 176)


def test_witten_bell_by_hand():
    symbols = np.array([0, 0, 1, 0])
    context = np.array([7, 7, 8, 7])
    test = np.array([False, False, False, True])
    # without context: 0 twice, 1 once, two kinds, uniform over 4: (2 + 2/4) / 5; after 7: 0 twice, one kind.
    order_0 = (2 + 2 / 4) / 5
    assert witten_bell(symbols, [], 4, test) == pytest.approx([order_0])
    assert witten_bell(symbols, [context], 4, test) == pytest.approx([(2 + order_0) / 3])


def test_an_unseen_context_falls_back_to_the_shorter_one():
    symbols, test = np.array([0, 0, 1, 1]), np.array([False, False, False, True])
    shorter = witten_bell(symbols, [], 2, test)
    assert witten_bell(symbols, [np.array([1, 1, 1, 9])], 2, test) == pytest.approx(shorter)


def test_probabilities_of_all_symbols_sum_to_one():
    random = np.random.default_rng(0)
    seen, context = random.integers(0, 5, 200), random.integers(0, 3, 200)
    test = np.arange(201) == 200
    total = sum(witten_bell(np.append(seen, symbol), [np.append(context, 1)], 5, test)[0] for symbol in range(5))
    assert total == pytest.approx(1)


def test_random_bases_cost_what_guessing_costs_and_never_less():
    tokenizer = load_tokenizer("nucleotide")
    nats = code_nats(read(tokenizer, random_contig(100_000)), tokenizer.level_sizes).total
    assert math.log(4) < nats < math.log(4) + 0.01


def test_a_finer_level_costs_only_what_it_adds():
    """Purine or pyrimidine costs ln 2, the base given that another ln 2."""
    tokenizer = OneBaseTokenizer()
    nats = code_nats(read(tokenizer, random_contig(100_000)), tokenizer.level_sizes)
    assert nats.levels == pytest.approx([math.log(2)] * 2, abs=0.01)
    assert nats.total == pytest.approx(sum(nats.levels))


def test_a_period_of_three_costs_next_to_nothing():
    bases = np.tile(np.array([0, 1, 2], np.uint8), 20_000)
    tokenizer = load_tokenizer("nucleotide")
    assert code_nats(read(tokenizer, Sequence("period", bases, None, 0)), tokenizer.level_sizes).total < 0.02


def test_overlapping_words_cost_no_more_than_the_base_each_adds():
    tokenizer = load_tokenizer("kmer:3")
    nats = code_nats(read(tokenizer, random_contig(100_000)), tokenizer.level_sizes).total
    # four of a window's bases are bought with its first word
    assert nats == pytest.approx(math.log(4), abs=0.06)
