"""Bootstrap intervals of classification scores: how far a mean over seeds would move with other test records.

Flow: labels [row] + predicted classes [seed, row] -> records drawn again, the same ones for every seed -> score of
each seed on each draw -> mean over seeds -> its 2.5 and 97.5 percentiles. Records with the same label and the same
predictions are alike, so a draw is one multinomial draw of how often each kind comes. It must not know systems.

Reference: Efron 1979, the percentile interval.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

DRAWS = 2000
CONFIDENCE = 0.95
METRICS = ("mcc", "f1_macro", "accuracy")


def score_intervals(
    labels: Int[ndarray, "row"],
    predicted: Int[ndarray, "seed row"],
    *,
    num_classes: int,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Lower and upper end of the 95 % interval of each metric's mean over seeds."""
    # Records with one label and the same predictions by all seeds are exchangeable: `kinds` [1 + seed, kind] has each
    # combination once. A bootstrap draw then is how often each kind comes, not a list of rows: thousands of draws of a
    # large test set cost as much as those of a small one.
    kinds, counts = np.unique(np.vstack([labels, predicted]), axis=1, return_counts=True)
    random = np.random.default_rng(seed)
    # One draw serves all seeds. Drawn for each seed apart, the mean over seeds would average away the chance of which
    # records are tested, and the interval would shrink with the number of seeds.
    drawn = random.multinomial(len(labels), counts / len(labels), size=draws)
    tables = [_confusions(drawn, kinds[0], one, num_classes) for one in kinds[1:]]
    tails = 100 * np.array([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    means = {name: np.mean([score(table) for table in tables], axis=0) for name, score in _SCORES.items()}
    ends = {name: np.percentile(values, tails) for name, values in means.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


def _confusions(
    drawn: Int[ndarray, "draw kind"], labels: Int[ndarray, "kind"], predicted: Int[ndarray, "kind"], num_classes: int
) -> Float[ndarray, "draw actual chosen"]:
    pairs = labels * num_classes + predicted  # place of a kind in the flattened matrix
    table = np.zeros((drawn.shape[0], num_classes * num_classes))
    for pair in np.unique(pairs):
        table[:, pair] = drawn[:, pairs == pair].sum(1)
    return table.reshape(-1, num_classes, num_classes)


def _accuracy(table: Float[ndarray, "draw actual chosen"]) -> Float[ndarray, "draw"]:
    hits: ndarray = np.trace(table, axis1=1, axis2=2) / table.sum((1, 2))
    return hits


def _mcc(table: Float[ndarray, "draw actual chosen"]) -> Float[ndarray, "draw"]:
    """As `vqdna.tasks.metrics.matthews_correlation`, draw by draw."""
    rows, hits = table.sum((1, 2)), np.trace(table, axis1=1, axis2=2)
    actual, chosen = table.sum(2), table.sum(1)
    spread = np.sqrt((rows**2 - (actual**2).sum(1)) * (rows**2 - (chosen**2).sum(1)))
    covariance = hits * rows - (actual * chosen).sum(1)
    scores: ndarray = np.divide(covariance, spread, out=np.zeros_like(rows), where=spread > 0)
    return scores


def _f1_macro(table: Float[ndarray, "draw actual chosen"]) -> Float[ndarray, "draw"]:
    """Mean F1 over the classes that a draw's labels or predictions hold."""
    hits, total = np.diagonal(table, axis1=1, axis2=2), table.sum(1) + table.sum(2)
    known = total > 0
    scores = np.divide(2 * hits, total, out=np.zeros_like(total), where=known)
    mean: ndarray = scores.sum(1) / known.sum(1)
    return mean


_SCORES = {"mcc": _mcc, "f1_macro": _f1_macro, "accuracy": _accuracy}


def packed_classes(predicted: Sequence[int] | ndarray) -> str:
    """Predicted classes as a short text: a byte a record, compressed, in base 85."""
    return base64.b85encode(zlib.compress(np.asarray(predicted, dtype=np.uint8).tobytes(), 9)).decode()


def unpacked_classes(text: str) -> Int[ndarray, "row"]:
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype=np.uint8).astype(np.int64)
