"""What the bases themselves cost, for scale: gzip, xz, and a mixture of context models of order 1 to 12.

Flow: bases UInt8[base] -> counts of each model before each base (both strands) -> logistic mixing whose weights learn
as they go -> nats per base. Counts are gathered by sorting, for all bases at once, since a loop over bases
would take minutes.
"""

from __future__ import annotations

import gzip
import lzma
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from vqdna.audit.results import CoderCosts
from vqdna.genome import N, from_base_ids

ORDERS = (1, 2, 3, 4, 6, 8, 11, 12)
MAX_BASES = 400_000
NUM_SPANS = 8
HIGH_ORDER = 8  # from here on a context has been seen a few times at most, and one sight of a base says much
PRIOR_COUNT, PRIOR_COUNT_HIGH = 0.5, 0.0625
BLOCK = 32
LEARNING_RATE = 0.002
FIRST_WEIGHT = 0.2


def base_nats(contigs: Sequence[UInt8[np.ndarray, "_"]]) -> CoderCosts:
    """Nats per base of the bases under each coder, on all A, C, G, T or on 400,000 of them in eight spans."""
    bases = spread_spans(contigs, MAX_BASES)
    text = from_base_ids(bases).encode()
    bits = {"gzip": 8 * len(gzip.compress(text, 9, mtime=0)), "xz": 8 * len(lzma.compress(text, preset=9))}
    nats = {name: value * math.log(2) / len(bases) for name, value in bits.items()}
    mixed = float(mixed_nats(bases).mean())
    return CoderCosts(num_bases=len(bases), uniform=math.log(4), **nats, context_mixing=mixed, orders=list(ORDERS))


def spread_spans(contigs: Sequence[UInt8[np.ndarray, "_"]], max_bases: int) -> UInt8[np.ndarray, "base"]:
    """All known bases, or `max_bases` of them in spans spread evenly over the input."""
    bases = np.concatenate([contig[contig < N] for contig in contigs])
    if len(bases) <= max_bases:
        return bases
    size = max_bases // NUM_SPANS
    starts = np.linspace(0, len(bases) - size, NUM_SPANS).astype(int)
    return np.concatenate([bases[start : start + size] for start in starts])


def mixed_nats(bases: UInt8[np.ndarray, "base"], orders: Sequence[int] = ORDERS) -> Float[np.ndarray, "base"]:
    """Nats of each base given those before it: the models' log probabilities, weighted, summed and normalized.

    The weights are chosen by the longest context seen before and follow the gradient of the nats after each block.

    Reference: Mahoney 2005, "Adaptive weighing of context models for lossless data compression".
    """
    if not len(bases):
        return np.zeros(0)
    symbols = bases.astype(np.int64)
    counts = np.stack([counts_before(symbols, order) for order in orders], axis=1)
    prior = np.where(np.array(orders) < HIGH_ORDER, PRIOR_COUNT, PRIOR_COUNT_HIGH)[:, None].astype(np.float32)
    logs = np.log((counts + prior) / (counts + prior).sum(axis=-1, keepdims=True))
    longest = (counts.sum(axis=-1) > 0).sum(axis=1)
    return _mix(logs, symbols, longest)


def counts_before(symbols: Int[np.ndarray, "base"], order: int) -> Float[np.ndarray, "base 4"]:
    """How often each base followed the present context of `order` bases earlier on, on either strand.

    The other strand's reading of a span counts from the base on at which the span is complete.
    """
    num_bases = len(symbols)
    forward, backward = _contexts(symbols, order)
    turned = np.flatnonzero(backward >= 0)
    context = np.concatenate([forward, backward[turned]])
    symbol = np.concatenate([symbols, 3 - symbols[turned]])
    # When each sight becomes known: at even moments a base read forward, at the odd one after a span's last base its
    # reading on the other strand. Sorted by context and moment, the sights before a query are those above it.
    moment = np.concatenate([2 * np.arange(num_bases), 2 * (turned + order) + 1])
    sorted_by = np.lexsort((moment, context))
    before = np.zeros((len(context) + 1, 4), np.int32)
    np.cumsum(np.eye(4, dtype=np.int32)[symbol[sorted_by]], axis=0, out=before[1:])
    ordered = context[sorted_by]
    first = np.searchsorted(ordered, ordered)  # where each context begins: counts of others are taken off
    counts = before[:-1] - before[first]
    is_query = sorted_by < num_bases
    out = np.zeros((num_bases, 4), np.float32)
    out[sorted_by[is_query]] = counts[is_query]
    out[:order] = 0
    return out


def _contexts(symbols: Int[np.ndarray, "base"], order: int) -> tuple[Int[np.ndarray, "base"], Int[np.ndarray, "base"]]:
    """Number of the `order` bases before each base, and of those after it as the other strand reads them; else -1."""
    num_bases = len(symbols)
    forward, backward = np.full(num_bases, -1, np.int64), np.full(num_bases, -1, np.int64)
    if num_bases > order:
        forward[order:], backward[: num_bases - order] = 0, 0
        for distance in range(1, order + 1):
            forward[order:] += symbols[order - distance : num_bases - distance] * 4 ** (distance - 1)
            backward[: num_bases - order] += (3 - symbols[distance : num_bases - order + distance]) * 4 ** (
                distance - 1
            )
    return forward, backward


def _mix(
    logs: Float[np.ndarray, "base model 4"], symbols: Int[np.ndarray, "base"], weight_set: Int[np.ndarray, "base"]
) -> Float[np.ndarray, "base"]:
    """Nats of each base under the mixture, weights updated after every block."""
    num_models = logs.shape[1]
    weights = np.full((num_models + 1, num_models), FIRST_WEIGHT, np.float32)
    nats = np.empty(len(symbols))
    # Base by base the weights would follow more closely, but numpy pays per call: 32 bases share one update.
    for start in range(0, len(symbols), BLOCK):
        part = slice(start, start + BLOCK)
        block, chosen, true = logs[part], weight_set[part], symbols[part]
        scores = np.einsum("bm,bms->bs", weights[chosen], block)
        scores -= scores.max(axis=1, keepdims=True)
        probability = np.exp(scores)
        probability /= probability.sum(axis=1, keepdims=True)
        row = np.arange(len(true))
        nats[part] = -np.log(probability[row, true])
        gradient = block[row, :, true] - np.einsum("bs,bms->bm", probability, block)
        np.add.at(weights, chosen, LEARNING_RATE * gradient)
    return nats
