"""Outcomes of several systems on one dataset as the outcome of their average.

Flow: outcomes by name + labels of dev -> calibrated and shared out on dev (`vqdna.benchmark.blending`) -> Outcome whose
parts are those that were averaged, and which cost what they cost together. It must not know what the systems are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from vqdna.benchmark.blending import fitted_blend
from vqdna.benchmark.outcomes import Outcome, Record
from vqdna.tasks.loading import LabelledSequences

ADDED = ("seconds", "training_bases", "pretraining_bases", "flops_per_base")
"""Costs of an average that are the sum of its members'."""


def averaged(outcomes: Mapping[str, Outcome], split: LabelledSequences) -> Outcome:
    """Calibrated probabilities averaged in shares that dev chooses; tasks without classes get the plain mean.

    Args:
        outcomes: by the name that they have among the `parts`.
        split: the records of dev.
    """
    dev = {name: outcome.dev for name, outcome in outcomes.items()}
    test = {name: outcome.test for name, outcome in outcomes.items()}
    parts = {name: (dev[name], test[name]) for name in outcomes}
    if split.task != "classification":
        return Outcome(np.mean([*dev.values()], axis=0), np.mean([*test.values()], axis=0), _costs(outcomes), parts)
    blend = fitted_blend(dev, split.labels)
    return Outcome(blend.of(dev), blend.of(test), {**_costs(outcomes), "blend": asdict(blend)}, parts)


def _costs(outcomes: Mapping[str, Outcome]) -> Record:
    """Sums; None where a member does not say."""
    held = [outcome.details for outcome in outcomes.values()]
    parameters = {
        kind: sum(details["parameters"][kind] for details in held)
        for kind in ("total", "trainable")
        if all(details.get("parameters") for details in held)
    }
    return {**{key: _sum([details.get(key) for details in held]) for key in ADDED}, "parameters": parameters or None}


def _sum(values: Sequence[int | float | None]) -> int | float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
