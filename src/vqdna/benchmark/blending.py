"""An encoder's predictions averaged with those of logistic regression on its tokens' counts, the share chosen on dev.

What single words say and what an encoder makes of their order are different evidence; on a thousand sequences either
may be the better half. Both are calibrated first: strong regularization leaves a regression's probabilities near even,
fine-tuning drives a network's to the ends, and neither says how sure it may be. Every tokenizer's encoder gets the same
five shares to choose from, the two extremes among them. It must not know tokenizers; test labels play no part.

Reference: Guo et al. 2017, "On calibration of modern neural networks" (temperature scaling).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import minimize_scalar

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the encoder in the average."""

EVEN, LEAST = 0.5, 1e-6
TEMPERATURES = (1e-5, 1e2)


@dataclass(frozen=True)
class Blend:
    """How two systems' probabilities are averaged.

    Attributes:
        encoder_temperature: by which the encoder's log-probabilities are divided.
        counts_temperature: likewise the regression's.
        share: of the encoder.
        losses: cross-entropy on dev of each share, in nats a record.
    """

    encoder_temperature: float
    counts_temperature: float
    share: float
    losses: dict[str, float]

    def of(
        self, encoder: Float[ndarray, "row class"], counts: Float[ndarray, "row class"]
    ) -> Float[ndarray, "row class"]:
        """The average of two systems' probabilities."""
        warm, cool = calibrated(encoder, self.encoder_temperature), calibrated(counts, self.counts_temperature)
        return self.share * warm + (1 - self.share) * cool


def fitted_blend(
    encoder: Float[ndarray, "row class"], counts: Float[ndarray, "row class"], labels: Int[ndarray, "row"]
) -> Blend:
    """Temperatures, then the share, with the lowest cross-entropy on dev; the share nearest to even on a tie.

    Cross-entropy, for on some hundred records the share with the best MCC is a matter of chance.
    """
    temperatures = fitted_temperature(encoder, labels), fitted_temperature(counts, labels)
    losses = {share: cross_entropy(Blend(*temperatures, share, {}).of(encoder, counts), labels) for share in SHARES}
    best = min(SHARES, key=lambda share: (losses[share], abs(share - EVEN)))
    return Blend(*temperatures, best, {str(share): loss for share, loss in losses.items()})


def fitted_temperature(probabilities: Float[ndarray, "row class"], labels: Int[ndarray, "row"]) -> float:
    """Temperature with the lowest cross-entropy."""
    low, high = (math.log(end) for end in TEMPERATURES)
    found = minimize_scalar(
        lambda logarithm: cross_entropy(calibrated(probabilities, math.exp(logarithm)), labels),
        bounds=(low, high),
        method="bounded",
    )
    return math.exp(found.x)


def calibrated(probabilities: Float[ndarray, "row class"], temperature: float) -> Float[ndarray, "row class"]:
    """Probabilities whose logarithms are divided by the temperature: above 1 they grow even, below 1 sure."""
    scaled = np.log(np.clip(probabilities.astype(np.float64), LEAST, None)) / temperature
    scaled = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    even: ndarray = scaled / scaled.sum(axis=1, keepdims=True)
    return even


def cross_entropy(probabilities: Float[ndarray, "row class"], labels: Int[ndarray, "row"]) -> float:
    """Mean negative logarithm of the probability of each record's class; a millionth at least counts."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, LEAST, None)).mean())
