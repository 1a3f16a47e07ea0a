from __future__ import annotations

import math

import numpy as np
import pytest
from known_tokenizers import random_contig

from vqdna.audit.mixing import base_nats, counts_before, mixed_nats, spread_spans
from vqdna.genome import N, reverse_complement


def slow_counts(symbols: list[int], order: int) -> np.ndarray:
    """Twin: one base at a time, each strand's context and next base noted once all of it is known."""
    counts = np.zeros((len(symbols), 4))
    seen: dict[tuple[int, ...], list[int]] = {}
    for place in range(len(symbols)):
        if place >= order:
            counts[place] = seen.get(tuple(symbols[place - order : place]), [0] * 4)
            seen.setdefault(tuple(symbols[place - order : place]), [0] * 4)[symbols[place]] += 1
            turned = tuple(3 - base for base in reversed(symbols[place - order + 1 : place + 1]))
            seen.setdefault(turned, [0] * 4)[3 - symbols[place - order]] += 1
    return counts


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_counts_agree_with_the_slow_definition(order: int):
    symbols = np.random.default_rng(order).integers(0, 4, 300)
    assert (counts_before(symbols, order) == slow_counts(symbols.tolist(), order)).all()


def test_random_bases_cost_what_guessing_costs():
    assert mixed_nats(random_contig(50_000).base_ids).mean() == pytest.approx(math.log(4), rel=0.02)


def test_a_repeat_is_cheap_on_either_strand():
    unit = random_contig(3000).base_ids
    for copy in (unit, reverse_complement(unit)):
        nats = mixed_nats(np.concatenate([unit, copy]))
        assert nats[:3000].mean() > 1.3
        assert nats[3100:].mean() < 0.3


def test_nothing_and_less_than_an_order_of_bases_are_priced_too():
    assert len(mixed_nats(np.zeros(0, np.uint8))) == 0
    assert len(mixed_nats(np.zeros(3, np.uint8))) == 3


def test_a_long_input_is_read_in_stretches_and_unknown_bases_are_left_out():
    contig = random_contig(10_000).base_ids
    contig[:100] = N
    assert len(spread_spans([contig], 400_000)) == 9900
    assert len(spread_spans([contig], 800)) == 800


def test_every_coder_is_given_in_the_same_unit():
    record = base_nats([random_contig(20_000).base_ids])
    assert record.num_bases == 20_000
    assert record.uniform == pytest.approx(math.log(4))
    for coder in ("gzip", "xz", "context_mixing"):
        assert 1.38 < getattr(record, coder) < 1.75
