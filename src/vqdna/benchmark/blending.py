"""An encoder's predictions averaged with those of logistic regression on its tokens' counts, the share chosen on dev.

What single words say and what an encoder makes of their order are different evidence; on a thousand sequences either
may be the better half. Every tokenizer's encoder gets the same five shares to choose from, the two extremes among them.
It must not know tokenizers; test labels play no part.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from vqdna.benchmark.outcomes import Predictions

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the encoder in the average."""

EVEN, LEAST = 0.5, 1e-6


def blended(encoder: Predictions, counts: Predictions, share: float) -> Predictions:
    """Average of two systems' probabilities, `share` of it the encoder's."""
    return share * encoder + (1 - share) * counts


def best_share(
    encoder: Float[ndarray, "row class"], counts: Float[ndarray, "row class"], labels: Int[ndarray, "row"]
) -> tuple[float, dict[str, float]]:
    """Share with the lowest cross-entropy on dev, the one nearest to even on a tie; and the cross-entropy of each.

    Cross-entropy, in nats a record, for on some hundred records the share with the best MCC is a matter of chance.
    """
    losses = {share: cross_entropy(blended(encoder, counts, share), labels) for share in SHARES}
    best = min(SHARES, key=lambda share: (losses[share], abs(share - EVEN)))
    return best, {str(share): loss for share, loss in losses.items()}


def cross_entropy(probabilities: Float[ndarray, "row class"], labels: Int[ndarray, "row"]) -> float:
    """Mean negative logarithm of the probability of each record's class; a millionth at least counts."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, LEAST, None)).mean())
