from __future__ import annotations

import numpy as np
import pytest

from vqdna.benchmark.blending import calibrated, cross_entropy, fitted_blend, fitted_temperature


def noisy(random: np.random.Generator, labels: np.ndarray, noise: float) -> np.ndarray:
    """Calibrated probabilities from evidence that is 2 or -2 with normal noise."""
    odds = 4 / noise**2 * (2 * (2 * labels - 1) + noise * random.normal(size=len(labels)))
    return np.stack([1 / (1 + np.exp(odds)), 1 / (1 + np.exp(-odds))], axis=1)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(2, size=4000)


def test_a_temperature_undoes_shrinking_and_stretching(labels):
    sound = noisy(np.random.default_rng(1), labels, 2.0)
    assert fitted_temperature(sound, labels) == pytest.approx(1, rel=0.15)
    for factor in (1e-3, 3.0):
        distorted = calibrated(sound, 1 / factor)
        undone = calibrated(distorted, fitted_temperature(distorted, labels))
        assert cross_entropy(undone, labels) == pytest.approx(cross_entropy(sound, labels), abs=0.02)
        assert (distorted.argmax(1) == sound.argmax(1)).all()


def test_independent_evidence_is_averaged_however_sure_each_half_pretends_to_be(labels):
    random = np.random.default_rng(2)
    one, other = noisy(random, labels, 2.0), noisy(random, labels, 2.0)
    shrunk = calibrated(other, 1e3)
    halves = {"one": one, "other": shrunk}
    blend = fitted_blend(halves, labels)
    assert blend.shares == {"one": 0.5, "other": 0.5}
    accuracy = (blend.of(halves).argmax(1) == labels).mean()
    assert accuracy > max((half.argmax(1) == labels).mean() for half in (one, other)) + 0.02


def test_a_half_that_knows_nothing_gets_no_share(labels):
    one, nothing = noisy(np.random.default_rng(3), labels, 1.5), np.full((4000, 2), 0.5)
    blend = fitted_blend({"one": one, "nothing": nothing}, labels)
    assert blend.shares == {"one": 1.0, "nothing": 0.0}
    assert fitted_blend({"nothing": nothing, "one": one}, labels).shares == {"nothing": 0.0, "one": 1.0}
    assert set(blend.losses) == {"0.0 1.0", "0.25 0.75", "0.5 0.5", "0.75 0.25", "1.0 0.0"}


def test_of_three_parts_the_better_ones_share_what_a_poor_one_does_not_get(labels):
    random = np.random.default_rng(4)
    parts = {
        "one": noisy(random, labels, 2.0),
        "poor": noisy(random, labels, 20.0),
        "other": noisy(random, labels, 2.0),
    }
    blend = fitted_blend(parts, labels)
    assert blend.shares == {"one": 0.5, "poor": 0.0, "other": 0.5}
    assert len(blend.losses) == 15
    assert min(blend.losses.values()) == blend.losses["0.5 0.0 0.5"]
    np.testing.assert_allclose(blend.of(parts).sum(axis=1), 1)


def test_parts_alike_are_shared_evenly(labels):
    part = noisy(np.random.default_rng(5), labels, 2.0)
    assert fitted_blend({"one": part, "same": part}, labels).shares == {"one": 0.5, "same": 0.5}


def test_a_sure_mistake_costs_much_but_not_everything():
    certain = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert cross_entropy(certain, np.array([0, 1])) == pytest.approx(-np.log(1e-6) / 2)
