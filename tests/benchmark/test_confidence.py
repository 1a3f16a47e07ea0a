from __future__ import annotations

import numpy as np
import pytest

from vqdna.benchmark.confidence import METRICS, packed_classes, score_intervals, unpacked_classes
from vqdna.tasks.metrics import classification_metrics, matthews_correlation


def predictions_of(random: np.random.Generator, rows: int, classes: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    labels = random.integers(classes, size=rows)
    guesses = random.integers(classes, size=rows)
    return labels, np.where(random.random(rows) < right, labels, guesses)


@pytest.mark.parametrize("classes", [2, 9])
def test_the_interval_is_that_of_records_drawn_again_one_by_one(classes):
    random = np.random.default_rng(0)
    labels, first = predictions_of(random, 120, classes, 0.6)
    second = np.where(random.random(120) < 0.8, first, labels)
    fast = score_intervals(labels, np.stack([first, second]), num_classes=classes, draws=4000)
    draws = [random.integers(120, size=120) for _ in range(1500)]
    means = [
        np.mean([matthews_correlation(labels[rows], predicted[rows]) for predicted in (first, second)])
        for rows in draws
    ]
    assert fast["mcc"] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.02)
    assert all(fast[name][0] < fast[name][1] for name in METRICS)


def test_the_interval_holds_the_score_and_narrows_with_more_records():
    random = np.random.default_rng(1)
    widths = []
    for rows in (100, 10_000):
        labels, predicted = predictions_of(random, rows, 3, 0.7)
        scores = classification_metrics(labels, np.eye(3)[predicted])
        ends = score_intervals(labels, predicted[None], num_classes=3)
        for name in METRICS:
            assert ends[name][0] <= scores[name] <= ends[name][1]
        widths.append(ends["mcc"][1] - ends["mcc"][0])
    assert widths[1] < widths[0] / 5


def test_perfect_predictions_have_no_spread_and_constant_ones_no_correlation():
    labels = np.array([0, 1] * 20)
    assert score_intervals(labels, labels[None], num_classes=2)["mcc"] == (1.0, 1.0)
    assert score_intervals(labels, np.zeros((1, 40), dtype=int), num_classes=2)["mcc"] == (0.0, 0.0)


def test_packed_classes_come_back():
    predicted = np.random.default_rng(2).integers(9, size=5000)
    text = packed_classes(predicted)
    assert len(text) < 5000
    assert (unpacked_classes(text) == predicted).all()
