from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from vqdna.baselines import logistic_regression as regression
from vqdna.baselines.logistic_regression import INVERSE_REGULARIZATIONS, fit_probe


def counts(num_rows: int, seed: int, width: int = 40) -> tuple[csr_matrix, np.ndarray]:
    """Sparse rows whose first columns are a little fuller in class 1."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_rows) % 2
    rate = np.where((np.arange(width) < 5) & (labels[:, None] == 1), 0.3, 0.15)
    return csr_matrix((random.random((num_rows, width)) < rate).astype(float)), labels


def test_filled_and_centered_features_score_as_sparse_ones_do(monkeypatch):
    (train, labels), (dev, dev_labels), (test, test_labels) = (counts(2000, seed) for seed in range(3))
    scores = {}
    for name, share in (("sparse", 1.0), ("filled", 0.0)):
        monkeypatch.setattr(regression, "MIN_FILLED_SHARE", share)
        probe = fit_probe(train, labels, dev, dev_labels, 2)
        assert probe.scaler.with_mean == (name == "filled")
        scores[name] = probe.score(test, test_labels)["mcc"]
    assert scores["sparse"] > 0.2
    assert scores["filled"] == pytest.approx(scores["sparse"], abs=0.03)


def test_a_matrix_too_large_to_fill_stays_sparse(monkeypatch):
    (train, labels), (dev, dev_labels) = (counts(200, seed) for seed in range(2))
    monkeypatch.setattr(regression, "MAX_FILLED", 200 * 40 - 1)
    assert not fit_probe(train, labels, dev, dev_labels, 2).scaler.with_mean


def test_the_grid_ends_when_dev_falls_twice_in_a_row(monkeypatch):
    tried = []
    real = regression._fit

    def watched(features, labels, inverse_regularization, start):
        tried.append(inverse_regularization)
        return real(features, labels, inverse_regularization, start)

    falling = iter([0.5, 0.6, 0.55, 0.55, 0.5, 0.5, 0.4, 0.4])
    monkeypatch.setattr(regression, "_fit", watched)
    monkeypatch.setattr(regression, "classification_metrics", lambda *arguments: {"mcc": next(falling)})
    (train, labels), (dev, dev_labels) = (counts(100, seed) for seed in range(2))
    probe = fit_probe(train, labels, dev, dev_labels, 2)
    assert probe.inverse_regularization == INVERSE_REGULARIZATIONS[1]
    assert tried == list(INVERSE_REGULARIZATIONS)

    tried.clear()
    falling = iter([0.6, 0.55, 0.5])
    assert fit_probe(train, labels, dev, dev_labels, 2).inverse_regularization == INVERSE_REGULARIZATIONS[0]
    assert len(tried) == 3
