"""Scores of predictions against labels, one dict of plain floats per task, ready for results.json.

Flow: labels [row] or [row class] + probabilities [row class] (or predicted scores [row]) -> {"mcc": 0.84, ...}.
A score that the data leave undefined (AUROC without positives, correlation of a constant) is None, never NaN: JSON has
no NaN. It must not know models, nor torch.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy import ndarray
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from vqdna.errors import InputError
from vqdna.tasks.loading import Task

Metrics = dict[str, float | None]

PRIMARY_METRICS: dict[Task, str] = {"classification": "mcc", "multilabel": "f1_macro", "regression": "spearman"}


def primary_metric(task: Task) -> str:
    """Name of the metric that picks the best epoch; higher is better for all three.

    MCC for classification, as GUE reports it; macro-F1 for multilabel, where MCC is only a mean over labels; Spearman
    for regression, which does not move with the scale of the scores.
    """
    return PRIMARY_METRICS[task]


def task_metrics(task: Task, labels: ndarray, predictions: ndarray) -> Metrics:
    """Metrics of the task; `predictions` are probabilities `[row class]`, for regression scores `[row]`, `[row 1]`."""
    if task == "classification":
        return classification_metrics(labels, predictions)
    if task == "multilabel":
        return multilabel_metrics(labels, predictions)
    return regression_metrics(labels, predictions.reshape(len(labels)))


def primary_score(task: Task, labels: ndarray, predictions: ndarray) -> float:
    """Primary metric of predictions, for comparisons: see `metric_value`."""
    return metric_value(task_metrics(task, labels, predictions), primary_metric(task))


def metric_value(metrics: Metrics, name: str) -> float:
    """Value of the metric for comparisons: minus infinity where it is undefined, so that any defined value beats it."""
    value = metrics[name]
    return -math.inf if value is None else value


def classification_metrics(labels: Int[ndarray, "row"], probabilities: Float[ndarray, "row class"]) -> Metrics:
    """MCC, macro-F1, accuracy and AUROC of the most probable class.

    MCC is 0 where all labels or all predictions agree. Macro-F1 is over the classes that occur in labels or
    predictions. AUROC is that of class 1 with two classes, the plain mean of one-vs-rest with more; None where a class
    has no record.
    """
    _check_rows(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    return {
        "mcc": matthews_correlation(labels, predicted),
        "f1_macro": float(f1_score(labels, predicted, average="macro", zero_division=0)),
        "accuracy": float(accuracy_score(labels, predicted)),
        "auroc": _class_auroc(labels, probabilities),
    }


def multilabel_metrics(
    labels: Int[ndarray, "row class"], probabilities: Float[ndarray, "row class"], threshold: float = 0.5
) -> Metrics:
    """Macro-F1, micro-F1, mean MCC over labels, accuracy of whole sets, mean AUROC over the labels that have one."""
    _check_rows(labels, probabilities)
    predicted = (probabilities >= threshold).astype(np.int64)
    aurocs = [_binary_auroc(labels[:, one], probabilities[:, one]) for one in range(labels.shape[1])]
    defined = [auroc for auroc in aurocs if auroc is not None]
    mccs = [matthews_correlation(labels[:, one], predicted[:, one]) for one in range(labels.shape[1])]
    return {
        "f1_macro": float(f1_score(labels, predicted, average="macro", zero_division=0)),
        "f1_micro": float(f1_score(labels, predicted, average="micro", zero_division=0)),
        "mcc": float(np.mean(mccs)),
        "accuracy": float((labels == predicted).all(axis=1).mean()),
        "auroc": float(np.mean(defined)) if defined else None,
    }


def regression_metrics(labels: Float[ndarray, "row"], predictions: Float[ndarray, "row"]) -> Metrics:
    """Pearson, Spearman, mean squared error and R2; a correlation with a constant is None, and so is R2 of one."""
    _check_rows(labels, predictions)
    squared_error = float(np.mean((labels - predictions) ** 2))
    variance = float(np.var(labels))
    return {
        "pearson": _correlation(labels, predictions),
        "spearman": _correlation(rankdata(labels), rankdata(predictions)),
        "mse": squared_error,
        "r2": 1 - squared_error / variance if variance > 0 else None,
    }


def matthews_correlation(labels: Int[ndarray, "row"], predicted: Int[ndarray, "row"]) -> float:
    """Matthews correlation coefficient of class ids, any number of classes; 0 where labels or predictions are all one.

    Reference: Gorodkin 2004, the K-category correlation; scikit-learn's differs in warning of a single class.
    """
    classes = np.arange(1 + max(labels.max(), predicted.max()))
    actual, chosen = (labels[:, None] == classes).sum(0), (predicted[:, None] == classes).sum(0)
    rows, hits = len(labels), int((labels == predicted).sum())
    spread = math.sqrt(rows**2 - int(actual @ actual)) * math.sqrt(rows**2 - int(chosen @ chosen))
    return (hits * rows - int(actual @ chosen)) / spread if spread > 0 else 0.0


def _check_rows(labels: ndarray, predictions: ndarray) -> None:
    if len(labels) == 0 or len(labels) != len(predictions):
        raise InputError(f"cannot score {len(predictions)} predictions against {len(labels)} labels")
    if not np.isfinite(predictions).all():
        row = int(np.argwhere(~np.isfinite(predictions))[0][0])
        raise InputError(f"the prediction of record {row} is not a finite number; training has diverged")


def _class_auroc(labels: Int[ndarray, "row"], probabilities: Float[ndarray, "row class"]) -> float | None:
    if probabilities.shape[1] == 2:
        return _binary_auroc(labels, probabilities[:, 1])
    aurocs = [_binary_auroc(labels == one, scores) for one, scores in enumerate(probabilities.T)]
    return None if None in aurocs else float(np.mean(aurocs))  # type: ignore[arg-type]


def _binary_auroc(positive: Shaped[ndarray, "row"], scores: Float[ndarray, "row"]) -> float | None:
    if len(np.unique(positive)) < 2:
        return None
    return float(roc_auc_score(positive, scores))


def _correlation(left: Float[ndarray, "row"], right: Float[ndarray, "row"]) -> float | None:
    if len(left) < 2 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])
