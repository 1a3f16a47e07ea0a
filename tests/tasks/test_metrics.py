from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef

from vqdna.errors import InputError
from vqdna.tasks.metrics import (
    classification_metrics,
    matthews_correlation,
    metric_value,
    multilabel_metrics,
    primary_metric,
    regression_metrics,
    task_metrics,
)


def test_binary_metrics_by_hand():
    # Predictions 1 1 1 0 0 0 against 1 1 0 0 0 1: TP 2, FP 1, TN 2, FN 1.
    labels = np.array([1, 1, 0, 0, 0, 1])
    positive = np.array([0.9, 0.8, 0.7, 0.1, 0.2, 0.3])
    metrics = classification_metrics(labels, np.stack([1 - positive, positive], axis=1))
    assert metrics["mcc"] == pytest.approx((2 * 2 - 1 * 1) / math.sqrt(3 * 3 * 3 * 3))
    assert metrics["f1_macro"] == pytest.approx(2 / 3)
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["auroc"] == pytest.approx(8 / 9)  # of nine pairs one is in the wrong order: 0.3 under 0.7


@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_matthews_correlation_equals_that_of_scikit_learn(num_classes):
    random = np.random.default_rng(num_classes)
    labels = random.integers(0, num_classes, 300)
    predicted = np.where(random.random(300) < 0.5, labels, random.integers(0, num_classes, 300))
    assert matthews_correlation(labels, predicted) == pytest.approx(matthews_corrcoef(labels, predicted))


def test_multiclass_auroc_is_the_mean_of_one_against_the_rest():
    labels = np.array([0, 1, 2, 0])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.5, 0.3, 0.2], [0.6, 0.2, 0.2]])
    metrics = classification_metrics(labels, probabilities)
    # Class 0: both positives above both others, 1. Class 1: 0.5 above all, 1. Class 2: 0.2 against 0.1, 0.3, 0.2.
    assert metrics["auroc"] == pytest.approx((1 + 1 + 0.5) / 3)
    assert metrics["accuracy"] == 0.75


def test_a_class_without_records_leaves_auroc_undefined_and_the_record_valid_json():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    metrics = classification_metrics(np.array([0, 0]), probabilities)
    assert metrics["auroc"] is None
    assert metrics["mcc"] == 0.0
    assert metrics["accuracy"] == 1.0
    json.dumps(metrics, allow_nan=False)
    assert classification_metrics(np.array([0, 1]), np.full((2, 3), 1 / 3))["auroc"] is None


def test_multilabel_metrics_by_hand():
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])
    probabilities = np.array([[0.9, 0.1, 0.1], [0.2, 0.8, 0.2], [0.7, 0.4, 0.3]])
    metrics = multilabel_metrics(labels, probabilities)
    # Label 0 perfect; label 1: TP 1, FN 1, TN 1; label 2 never occurs and is never predicted.
    assert metrics["f1_micro"] == pytest.approx(2 * 3 / (2 * 3 + 1))
    assert metrics["f1_macro"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert metrics["auroc"] == pytest.approx(1.0)
    assert metrics["mcc"] == pytest.approx((1 + 0.5 + 0) / 3)


def test_regression_metrics_by_hand():
    metrics = regression_metrics(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 4.0, 9.0, 16.0]))
    assert metrics["spearman"] == pytest.approx(1.0)
    assert metrics["pearson"] == pytest.approx(0.984374, abs=1e-6)
    assert metrics["mse"] == pytest.approx((0 + 4 + 36 + 144) / 4)
    assert metrics["r2"] == pytest.approx(1 - 46 / 1.25)


def test_spearman_of_ties_equals_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    labels, predictions = random.integers(0, 5, 200).astype(float), random.integers(0, 5, 200).astype(float)
    expected = stats.spearmanr(labels, predictions).statistic
    assert regression_metrics(labels, predictions)["spearman"] == pytest.approx(expected)


def test_a_constant_has_no_correlation():
    metrics = regression_metrics(np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert metrics["pearson"] is None
    assert metrics["spearman"] is None
    assert metric_value(metrics, "spearman") == -math.inf
    assert regression_metrics(np.array([1.0, 1.0]), np.array([3.0, 2.0]))["r2"] is None


def test_each_task_has_its_primary_metric_among_its_metrics():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert primary_metric("classification") in task_metrics("classification", np.array([0, 1]), probabilities)
    assert primary_metric("multilabel") in task_metrics("multilabel", np.eye(2, dtype=int), probabilities)
    assert primary_metric("regression") in task_metrics("regression", np.array([0.0, 1.0]), np.array([[0.1], [0.8]]))


def test_predictions_that_are_not_numbers_or_none_at_all_are_refused():
    with pytest.raises(InputError, match="record 1 is not a finite number"):
        classification_metrics(np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]]))
    with pytest.raises(InputError, match="0 predictions against 0 labels"):
        regression_metrics(np.zeros(0), np.zeros(0))
