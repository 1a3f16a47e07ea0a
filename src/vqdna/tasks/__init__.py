"""Labelled datasets: reading them, scoring predictions on them, and finding the published ones."""

from vqdna.tasks.loading import (
    LabelledSequences,
    Splits,
    labelled_from_text,
    read_labelled,
    read_splits,
    read_unlabelled,
    split_off,
    task_named,
)
from vqdna.tasks.metrics import primary_metric, task_metrics

__all__ = [
    "LabelledSequences",
    "Splits",
    "labelled_from_text",
    "primary_metric",
    "read_labelled",
    "read_splits",
    "read_unlabelled",
    "split_off",
    "task_metrics",
    "task_named",
]
