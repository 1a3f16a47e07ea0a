"""What the codes cost: nats per base of a code sequence under an order-2 model, levels chained coarse to fine.

Flow: CodedPositions -> for each level the two codes before it and the coarser codes beside it -> interpolated
Witten-Bell estimates from seven eighths of the windows -> nats of the other eighth, for each eighth.
The bases' own compression, for scale, is in `mixing`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from vqdna.audit.reading import CodedPositions, numbered_rows, places_in
from vqdna.audit.results import CodeCost

ORDER = 2
NUM_FOLDS = 8


def code_nats(positions: CodedPositions, level_sizes: tuple[int, ...]) -> CodeCost:
    """Nats per base of each level given the coarser ones, and of all levels together.

    The model of a level knows the coarser codes of the position and the level's own codes of the two positions before
    it. A sum over levels is therefore a rate that a coder could reach.
    """
    # Whole windows are left out, not positions: neighbors overlap, and would tell the model what it is to price.
    folds = [positions.window % NUM_FOLDS == fold for fold in range(NUM_FOLDS)]
    num_bases = len(positions) * positions.mean_advance
    levels = []
    for level, size in enumerate(level_sizes):
        symbols, contexts = positions.codes[:, level], _contexts(positions, level)
        nats = sum(float(-np.log(witten_bell(symbols, contexts, size, test)).sum()) for test in folds)
        levels.append(nats / num_bases)
    return CodeCost(order=ORDER, num_folds=NUM_FOLDS, levels=levels, total=sum(levels))


def witten_bell(
    symbols: Int[np.ndarray, "position"],
    contexts: list[Int[np.ndarray, "position"]],
    size: int,
    test: Bool[np.ndarray, "position"],
) -> Float[np.ndarray, "tested"]:
    """Probability of each tested symbol, from counts of the others.

    Each context backs off to the one before it in `contexts`, the first to no context at all, and that to the uniform
    distribution over `size`: P(w | h) = (count(h, w) + T(h) P(w | shorter h)) / (count(h) + T(h)), with T(h) the number
    of different symbols seen after h.

    Reference: Witten and Bell 1991, "The zero-frequency problem"; Chen and Goodman 1998, section 2.4.
    """
    probability = np.full(int(test.sum()), 1.0 / size)
    for context in [np.zeros(len(symbols), np.int64), *contexts]:
        # One number per (context, symbol), so that sorted unique values group all symbols of a context together.
        pairs = context * size + symbols
        seen_pairs, pair_counts = np.unique(pairs[~test], return_counts=True)
        seen, first, kinds = np.unique(seen_pairs // size, return_index=True, return_counts=True)
        totals = np.add.reduceat(pair_counts, first) if len(first) else first
        place, pair_place = places_in(context[test], seen), places_in(pairs[test], seen_pairs)
        total, different = (np.where(place >= 0, values[place], 0) if len(seen) else 0 for values in (totals, kinds))
        count = np.where(pair_place >= 0, pair_counts[pair_place], 0) if len(seen_pairs) else 0
        # A context that was never seen says nothing: the shorter one's estimate stands.
        probability = np.where(
            place >= 0, (count + different * probability) / np.maximum(total + different, 1), probability
        )
    return probability


def _contexts(positions: CodedPositions, level: int) -> list[Int[np.ndarray, "position"]]:
    """Number of the coarser codes beside each position, then with one code before it, then with two."""
    coarser = positions.codes[:, :level]
    known = [coarser] if level else []
    contexts = [numbered_rows(coarser)] if level else []
    for distance in range(1, ORDER + 1):
        # -1 stands for the codes before a window's first position.
        before = np.full(len(positions), -1, np.int64)
        same_window = positions.window[distance:] == positions.window[:-distance]
        before[distance:] = np.where(same_window, positions.codes[:-distance, level], -1)
        known.append(before[:, None])
        contexts.append(numbered_rows(np.concatenate(known, axis=1)))
    return contexts
