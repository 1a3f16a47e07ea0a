"""Gradient-boosted trees on k-mer counts: the baseline that needs neither a GPU nor a pre-trained model.

Flow: base id rows -> k-mer histogram [row, word] (sparse) for each k -> LightGBM, stopped where the loss on dev no
longer falls -> the k that scores best on dev -> results record; test is scored once, afterwards. It must not know
encoders or learned vocabularies.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from vqdna.baselines.code_features import Features, extract_features
from vqdna.errors import InputError
from vqdna.results import command_line
from vqdna.tasks.loading import LabelledSequences, Task, check_trainable
from vqdna.tasks.metrics import Metrics, metric_value, primary_metric, task_metrics
from vqdna.tokenizers import load_tokenizer

SYSTEM = "kmer-lightgbm"
KMER_SIZES = (3, 4, 5, 6)
"""Those that logistic regression on k-mer counts chooses among."""


@dataclass(frozen=True)
class TreesConfig:
    """Shape and training of the trees.

    Half the learning rate takes twice the time or more (70 s in place of 30 s for tf/3) for 0.03 of mean dev MCC and
    0.01 of test MCC on GUE mouse/3, prom_core_tata and tf/3.

    Attributes:
        learning_rate: weight of each tree.
        num_leaves: of a tree, at most.
        feature_fraction: share of the words that a tree may look at.
        bagging_fraction: share of the records that a tree is grown on.
        patience: trees (of each class) without a lower loss on dev after which no more are grown.
        max_trees: grown at most, of each class.
    """

    learning_rate: float = 0.1
    num_leaves: int = 31
    feature_fraction: float = 0.3
    bagging_fraction: float = 0.8
    patience: int = 50
    max_trees: int = 2000


@dataclass(frozen=True)
class _Grown:
    """Trees on the counts of one k."""

    booster: Any
    predictions: Float[ndarray, "row class"]
    dev: Metrics


def run_trees(
    train: LabelledSequences,
    dev: LabelledSequences,
    test: LabelledSequences,
    *,
    seed: int,
    k: int | Sequence[int] = KMER_SIZES,
    config: TreesConfig | None = None,
) -> dict[str, Any]:
    """Results record of boosted trees on k-mer counts, their number and k chosen on `dev`, scored on `dev` and `test`.

    One thread and LightGBM's deterministic mode: a seed gives the same numbers again. `predictions` holds class
    probabilities [row class] (for regression scores [row 1]) of every record of dev and test, as arrays: take them out
    before the record is written.

    Args:
        train: grows the trees; its classes are those of dev and test.
        dev: says when to stop, by its loss, and which k, by the task's metric (ties: the smallest).
        test: scored once, when both are chosen.
        seed: of the draws of words and records for each tree.
        k: length of the words, or lengths to choose among.
        config: None is the default.

    Raises:
        InputError: LightGBM is not installed, sets of labels, a training split with nothing to learn, an empty split.
    """
    started = time.monotonic()
    _check(train, dev, test)
    config, sizes, metric = (
        config or TreesConfig(),
        [k] if isinstance(k, int) else sorted(k),
        primary_metric(train.task),
    )
    grown = {size: _grow(train, dev, size, seed, config) for size in sizes}
    best = max(grown, key=lambda size: metric_value(grown[size].dev, metric))
    chosen = grown[best]
    held_out = _counts(best, test)
    predictions = {"dev": chosen.predictions, "test": _predicted(chosen.booster, held_out, train.task)}
    return {
        "stage": "benchmark",
        "system": SYSTEM,
        "command": command_line(),
        "seed": seed,
        "seconds": time.monotonic() - started,
        "task": train.task,
        "num_classes": train.num_classes,
        "k": best,
        f"dev_{metric}_by_k": {str(size): one.dev[metric] for size, one in grown.items()},
        "num_features": held_out.shape[1],
        "num_trees": chosen.booster.best_iteration,
        "parameters": _num_parameters(chosen.booster),
        "dev": chosen.dev,
        "test": task_metrics(train.task, test.labels, predictions["test"]),
        "predictions": predictions,
    }


def _grow(train: LabelledSequences, dev: LabelledSequences, k: int, seed: int, config: TreesConfig) -> _Grown:
    """Trees on the counts of one k, as many as have the lowest loss on dev."""
    lightgbm = _library()
    fitting, choosing = (_counts(k, part) for part in (train, dev))
    settings = _settings(train, seed, config)
    data = lightgbm.Dataset(fitting, train.labels, params=settings)
    booster = lightgbm.train(
        settings,
        data,
        num_boost_round=config.max_trees,
        valid_sets=[lightgbm.Dataset(choosing, dev.labels, reference=data)],
        callbacks=[lightgbm.early_stopping(config.patience, verbose=False)],
    )
    predictions = _predicted(booster, choosing, train.task)
    return _Grown(booster, predictions, task_metrics(train.task, dev.labels, predictions))


def _counts(k: int, sequences: LabelledSequences) -> Features:
    """How often each word of k bases stands in each sequence, as a share of its words."""
    return extract_features(load_tokenizer(f"kmer:{k}"), sequences.base_ids)["histogram"]


def _settings(train: LabelledSequences, seed: int, config: TreesConfig) -> dict[str, Any]:
    """What LightGBM is told: the loss of the task, and to give the same trees again."""
    loss: dict[str, Any] = {"objective": "regression"}
    if train.task == "classification":
        several = {"objective": "multiclass", "num_class": train.num_classes}
        loss = {"objective": "binary"} if train.num_classes == 2 else several
    return {
        **loss,
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "feature_fraction": config.feature_fraction,
        "bagging_fraction": config.bagging_fraction,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }


def _predicted(booster: Any, features: Features, task: Task) -> Float[ndarray, "row class"]:
    """Class probabilities, or scores in one column, of the trees up to the best one."""
    given = np.asarray(booster.predict(features, num_iteration=booster.best_iteration), dtype=np.float64)
    if given.ndim == 2:
        return given
    return np.stack([1 - given, given], axis=1) if task == "classification" else given[:, None]


def _num_parameters(booster: Any) -> int:
    """Thresholds and leaf values of the trees up to the best one."""
    trees = booster.dump_model(num_iteration=booster.best_iteration)["tree_info"]
    return sum(2 * int(tree["num_leaves"]) - 1 for tree in trees)


def _check(train: LabelledSequences, dev: LabelledSequences, test: LabelledSequences) -> None:
    _library()
    if train.task == "multilabel":
        raise InputError(f"{SYSTEM}: got sets of labels (multilabel), expected classes or scores")
    for name, split in (("dev", dev), ("test", test)):
        if not len(split):
            raise InputError(f"{SYSTEM}: the {name} split holds no sequence")
    check_trainable(train, "the training split")


def _library() -> Any:
    """LightGBM.

    Raises:
        InputError: it is not installed.
    """
    try:
        import lightgbm
    except ImportError:
        raise InputError(f"{SYSTEM} needs LightGBM: pip install 'vqdna[baselines]'") from None
    return lightgbm
