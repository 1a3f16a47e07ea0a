"""Gradient-boosted trees on k-mer counts: the baseline that needs neither a GPU nor a pre-trained model.

Flow: base id rows -> k-mer histogram [row, k-mer] (sparse) for each k -> LightGBM, stopped where the loss on dev no
longer falls -> the k that scores best on dev -> results record; test is scored once, afterwards. It must not know
encoders or learned vocabularies.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from vqdna.baselines.code_features import Features, extract_features
from vqdna.baselines.results import TreesResults
from vqdna.errors import InputError
from vqdna.results import command_line
from vqdna.tasks.loading import LabelledSequences, Task, check_trainable
from vqdna.tasks.metrics import metric_value, primary_metric, task_metrics
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
        feature_fraction: share of the k-mers that a tree may look at.
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
class GrownTrees:
    """Trees on the counts of one k, the best of those tried.

    Attributes:
        dev: predictions for the split that chose.
        dev_by_k: its score for each k tried.
    """

    booster: Any
    k: int
    task: Task
    dev: Float[ndarray, "row class"]
    dev_by_k: Mapping[str, float | None]

    def predict(self, base_ids: Sequence[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        """Class probabilities, or scores in one column, of the trees up to the best one."""
        return _predicted(self.booster, _counts(self.k, base_ids), self.task)


def grow_trees(
    train: LabelledSequences,
    dev: LabelledSequences,
    *,
    seed: int,
    k: int | Sequence[int] = KMER_SIZES,
    config: TreesConfig | None = None,
) -> GrownTrees:
    """Boosted trees on k-mer counts, one thread and LightGBM's deterministic mode: a seed gives the same trees again.

    Args:
        train: grows the trees.
        dev: says when to stop, by its loss, and which k, by the task's metric (ties: the smallest).
        seed: of the draws of k-mers and records for each tree.
        k: length of the k-mers, or lengths to choose among.
        config: None is the default.

    Raises:
        InputError: LightGBM is not installed, sets of labels, a training split with nothing to learn, an empty split.
    """
    lightgbm = _library()
    if train.task == "multilabel":
        raise InputError(f"{SYSTEM}: got sets of labels (multilabel), expected classes or scores")
    if not len(dev):
        raise InputError(f"{SYSTEM}: the dev split holds no sequence")
    check_trainable(train, "the training split")
    config, metric = config or TreesConfig(), primary_metric(train.task)
    settings = _settings(train, seed, config)
    grown, scores = {}, {}
    for size in [k] if isinstance(k, int) else sorted(k):
        fitting, choosing = (_counts(size, part.base_ids) for part in (train, dev))
        data = lightgbm.Dataset(fitting, train.labels, params=settings)
        booster = lightgbm.train(
            settings,
            data,
            num_boost_round=config.max_trees,
            valid_sets=[lightgbm.Dataset(choosing, dev.labels, reference=data)],
            callbacks=[lightgbm.early_stopping(config.patience, verbose=False)],
        )
        grown[size] = (booster, _predicted(booster, choosing, train.task))
        scores[size] = task_metrics(train.task, dev.labels, grown[size][1])
    best = max(grown, key=lambda size: metric_value(scores[size], metric))
    return GrownTrees(
        *(grown[best][0], best, train.task, grown[best][1]),
        dev_by_k={str(size): found[metric] for size, found in scores.items()},
    )


def run_trees(
    train: LabelledSequences,
    dev: LabelledSequences,
    test: LabelledSequences,
    *,
    seed: int,
    k: int | Sequence[int] = KMER_SIZES,
    config: TreesConfig | None = None,
) -> TreesResults:
    """Results of `grow_trees` on `dev`, and on `test`, which is scored once.

    Raises:
        InputError: see `grow_trees`; an empty test split.
    """
    started = time.monotonic()
    if not len(test):
        raise InputError(f"{SYSTEM}: the test split holds no sequence")
    trees = grow_trees(train, dev, seed=seed, k=k, config=config)
    predictions = {"dev": trees.dev, "test": trees.predict(test.base_ids)}
    leaves = trees.booster.dump_model(num_iteration=trees.booster.best_iteration)["tree_info"]
    return TreesResults(
        system=SYSTEM,
        command=command_line(),
        seed=seed,
        seconds=time.monotonic() - started,
        task=train.task,
        num_classes=train.num_classes,
        k=trees.k,
        dev_by_k=dict(trees.dev_by_k),
        num_features=load_tokenizer(f"kmer:{trees.k}").level_sizes[0],
        num_trees=trees.booster.best_iteration,
        # A tree of n leaves has n - 1 thresholds.
        parameters=sum(2 * int(tree["num_leaves"]) - 1 for tree in leaves),
        dev=task_metrics(train.task, dev.labels, predictions["dev"]),
        test=task_metrics(train.task, test.labels, predictions["test"]),
        predictions=predictions,
    )


def _counts(k: int, base_ids: Sequence[UInt8[ndarray, "_"]]) -> Features:
    """How often each k-mer stands in each sequence, as a share of its k-mers."""
    return extract_features(load_tokenizer(f"kmer:{k}"), base_ids)["histogram"]


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
