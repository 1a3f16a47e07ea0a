"""Predictions of several systems averaged, each calibrated first, their shares chosen on dev.

What single tokens say and what a network makes of their order are different evidence; on a thousand sequences either
may be the better half. All are calibrated first: strong regularization leaves a regression's probabilities near even,
fine-tuning drives a network's to the ends, and neither says how sure it may be. Shares are quarters, none and all among
them. It must not know tokenizers; test labels play no part.

Reference: Guo et al. 2017, "On calibration of modern neural networks" (temperature scaling).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from vqdna.benchmark.outcomes import Outcome
from vqdna.benchmark.results import Details
from vqdna.tasks.loading import LabelledSequences

QUARTERS = 4
"""Shares are whole numbers of quarters."""

ADDED = ("seconds", "training_bases", "pretraining_bases", "flops_per_base")
"""Costs of an average that are the sum of its members'."""

LEAST = 1e-6
TEMPERATURES = (1e-5, 1e2)

Probabilities = Float[ndarray, "row class"]


@dataclass(frozen=True)
class Blend:
    """How systems' probabilities are averaged; keys are the names of the parts.

    Attributes:
        temperatures: by which each part's log-probabilities are divided.
        losses: cross-entropy on dev of each choice of shares, in nats a record; its key has them in the parts' order.
    """

    temperatures: dict[str, float]
    shares: dict[str, float]
    losses: dict[str, float]

    def of(self, parts: Mapping[str, Probabilities]) -> Probabilities:
        return _averaged(self.shares, {name: calibrated(parts[name], self.temperatures[name]) for name in self.shares})


def fitted_blend(parts: Mapping[str, Probabilities], labels: Int[ndarray, "row"]) -> Blend:
    """Temperatures, then the shares, with the lowest cross-entropy on dev; the shares nearest to even on a tie.

    Cross-entropy, for on some hundred records the share with the best MCC is a matter of chance.
    """
    # Calibrated first: of an overconfident part any share would do harm, so the other would get all.
    temperatures = {name: fitted_temperature(part, labels) for name, part in parts.items()}
    ready = {name: calibrated(part, temperatures[name]) for name, part in parts.items()}
    # All ways to share out the quarters: 5 for two parts, 15 for three.
    quarters = itertools.product(range(QUARTERS + 1), repeat=len(parts))
    shared_out = [[count / QUARTERS for count in counts] for counts in quarters if sum(counts) == QUARTERS]
    choices = [dict(zip(parts, shares, strict=True)) for shares in shared_out]
    losses = [cross_entropy(_averaged(shares, ready), labels) for shares in choices]
    # Second key: the sum of squares is lowest where shares are even.
    best = min(range(len(choices)), key=lambda choice: (losses[choice], sum(s * s for s in choices[choice].values())))
    named = {" ".join(map(str, shares.values())): loss for shares, loss in zip(choices, losses, strict=True)}
    return Blend(temperatures, choices[best], named)


def _averaged(shares: Mapping[str, float], parts: Mapping[str, Probabilities]) -> Probabilities:
    average: ndarray = np.sum([share * parts[name] for name, share in shares.items()], axis=0)
    return average


def fitted_temperature(probabilities: Probabilities, labels: Int[ndarray, "row"]) -> float:
    # Searched by its logarithm: temperatures span seven orders of magnitude, and 1e-5 matters as much as 1e2.
    low, high = (math.log(end) for end in TEMPERATURES)
    found = minimize_scalar(
        lambda logarithm: cross_entropy(calibrated(probabilities, math.exp(logarithm)), labels),
        bounds=(low, high),
        method="bounded",
    )
    return math.exp(found.x)


def calibrated(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Probabilities whose logarithms are divided by the temperature: above 1 they grow even, below 1 sure."""
    # Clipped, or one probability of zero would stay zero at every temperature and cost infinitely much on dev.
    scaled: ndarray = softmax(np.log(np.clip(probabilities.astype(np.float64), LEAST, None)) / temperature, axis=1)
    return scaled


def cross_entropy(probabilities: Probabilities, labels: Int[ndarray, "row"]) -> float:
    """Mean negative logarithm of the probability of each record's class; a millionth at least counts."""
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(chosen, LEAST, None)).mean())


def averaged(outcomes: Mapping[str, Outcome], split: LabelledSequences) -> Outcome:
    """Calibrated probabilities averaged in shares that dev chooses; tasks without classes get the plain mean."""
    dev = {name: outcome.dev for name, outcome in outcomes.items()}
    test = {name: outcome.test for name, outcome in outcomes.items()}
    parts = {name: (dev[name], test[name]) for name in outcomes}
    members = [outcome.details for outcome in outcomes.values()]
    added = {
        key: _sum([getattr(one, key) if key in one.model_fields_set else None for one in members]) for key in ADDED
    }
    sizes = [one.parameters for one in members]
    size = {key: _sum([getattr(one, key, None) for one in sizes]) for key in ("total", "trainable")}
    costs = Details.model_validate({**added, "parameters": None if None in size.values() else size})
    if split.task != "classification":
        return Outcome(np.mean([*dev.values()], axis=0), np.mean([*test.values()], axis=0), costs, parts)
    blend = fitted_blend(dev, split.labels)
    return Outcome(blend.of(dev), blend.of(test), costs.more(blend=asdict(blend)), parts)


def _sum(values: Sequence[float | None]) -> float | None:
    """None where a member does not say."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
