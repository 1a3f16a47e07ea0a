"""Real or shuffled: windows in which some spans are dinucleotide-shuffled, and the question which ones are.

Flow: windows [batch, base] + their numbers -> windows with some spans drawn anew from their own pairs of neighboring
bases, and per base whether it is real (0), shuffled (1) or not asked about (2). Composition does not tell them apart,
every position has an answer, and nothing is masked, as in stage 3. The paper has no such objective. It must not know
models.

Reference: the idea of detecting what was replaced is Clark et al. 2020, "ELECTRA".
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from pydantic import Field

from vqdna.config import StrictModel

REAL, SHUFFLED, NOT_ASKED = 0, 1, 2
_LETTERS = 5
_STREAM = 1


class ShufflingSettings(StrictModel):
    """How many windows are asked about, and in what pieces."""

    # share of the windows that serve this question, of those not cut into views; the others are masked
    fraction: float = Field(default=0.0, ge=0, le=1)
    segment: int = Field(default=128, ge=8)  # bases of a span, real or shuffled with equal probability
    weight: float = Field(default=1.0, ge=0)  # of its loss beside that of masked modelling


def shuffled_windows(
    settings: ShufflingSettings, seed: int, numbers: Sequence[int], windows: UInt8[np.ndarray, "batch base"]
) -> tuple[UInt8[np.ndarray, "batch base"], UInt8[np.ndarray, "batch base"]]:
    """Windows with shuffled spans, and what each base is; each row is a pure function of (seed, its number).

    Rows that are not asked about stay as they are.
    """
    mixed, kinds = windows.copy(), np.full(windows.shape, NOT_ASKED, dtype=np.uint8)
    num_bases, rows, pieces, draws = windows.shape[1], [], [], []
    for row, number in enumerate(numbers):
        generator = np.random.default_rng((seed, number, _STREAM))
        if generator.random() >= settings.fraction:
            continue
        kinds[row] = REAL
        for start in range(0, num_bases, settings.segment):
            if generator.random() < 0.5:
                rows.append(row)
                pieces.append(start)
                draws.append(generator.random(settings.segment))
    for start in sorted(set(pieces)):
        chosen = [place for place, piece in enumerate(pieces) if piece == start]
        at = np.array([rows[place] for place in chosen])
        span = slice(start, min(start + settings.segment, num_bases))
        uniform = np.stack([draws[place] for place in chosen])[:, : span.stop - start]
        mixed[at, span] = chain_of_pairs(windows[at, span], uniform)
        kinds[at, span] = SHUFFLED
    return mixed, kinds


def chain_of_pairs(
    spans: UInt8[np.ndarray, "row base"], uniform: Float[np.ndarray, "row base"]
) -> UInt8[np.ndarray, "row base"]:
    """Rows drawn from the first-order Markov chain of each row's own neighboring bases, by a draw in [0, 1) a base."""
    num_rows, length = spans.shape
    row = np.arange(num_rows)
    pairs: Float[np.ndarray, "row letter letter"] = np.zeros((num_rows, _LETTERS, _LETTERS))
    np.add.at(pairs, (row[:, None], spans[:, :-1], spans[:, 1:]), 1.0)
    # A letter that only stands last has no follower: the chain then goes on as from anywhere.
    anywhere = pairs.sum(axis=1, keepdims=True)
    pairs = np.where(pairs.sum(axis=2, keepdims=True) > 0, pairs, np.where(anywhere.sum() > 0, anywhere, 1.0))
    ends = np.cumsum(pairs, axis=2)
    drawn = np.empty_like(spans)
    drawn[:, 0] = spans[row, (uniform[:, 0] * length).astype(np.int64)]
    for place in range(1, length):
        last = ends[row, drawn[:, place - 1]]
        above = last > (uniform[:, place] * last[:, -1])[:, None]
        drawn[:, place] = above.argmax(axis=1)  # the first letter whose cumulative count is above the draw
    return drawn
