"""Gradient-boosted trees on k-mer counts: the baseline that needs neither a GPU nor a pre-trained model.

Flow: base id rows -> k-mer histogram [row, k-mer] (sparse) for each k -> LightGBM, stopped where the loss on dev no
longer falls -> the k that scores best on dev. It must not know encoders or learned vocabularies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from vqdna.baselines.code_features import Features, extract_features
from vqdna.errors import InputError
from vqdna.tasks.loading import LabelledSequences, Task, check_trainable
from vqdna.tasks.metrics import metric_value, primary_metric, task_metrics
from vqdna.tokenizers import load_tokenizer

SYSTEM = "kmer-lightgbm"
KMER_SIZES = (3, 4, 5, 6)
"""Those that logistic regression on k-mer counts chooses among."""

SETTINGS = {
    # Half the rate takes twice the time or more (70 s in place of 30 s for tf/3) for 0.03 of mean dev MCC and 0.01 of
    # test MCC on GUE mouse/3, prom_core_tata and tf/3.
    "learning_rate": 0.1,
    "num_leaves": 31,
    "feature_fraction": 0.3,  # of the k-mers that a tree may look at
    "bagging_fraction": 0.8,  # of the records that a tree is grown on
    "bagging_freq": 1,
    # A seed gives the same trees again.
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
PATIENCE, MAX_TREES = 50, 2000
"""Trees (of each class) without a lower loss on dev after which no more are grown; those that are grown at most."""


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

    @property
    def num_trees(self) -> int:
        """Of each class, where the loss on dev was lowest."""
        return int(self.booster.best_iteration)

    @property
    def parameters(self) -> int:
        """Thresholds and leaf values: a tree of n leaves has n - 1 thresholds."""
        trees = self.booster.dump_model(num_iteration=self.num_trees)["tree_info"]
        return sum(2 * int(tree["num_leaves"]) - 1 for tree in trees)

    def predict(self, base_ids: Sequence[UInt8[ndarray, "_"]]) -> Float[ndarray, "row class"]:
        return _predicted(self.booster, _counts(self.k, base_ids), self.task)


def grow_trees(
    train: LabelledSequences, dev: LabelledSequences, *, seed: int, k: Sequence[int] = KMER_SIZES
) -> GrownTrees:
    """Boosted trees on k-mer counts of `train`; a seed gives the same trees again.

    `dev` says when to stop, by its loss, and which k, by the task's metric (ties: the smallest).

    Raises:
        InputError: LightGBM is not installed, sets of labels, a training split with nothing to learn, an empty split.
    """
    try:
        import lightgbm
    except ImportError:
        raise InputError(f"{SYSTEM} needs LightGBM: pip install 'vqdna[baselines]'") from None
    if train.task == "multilabel":
        raise InputError(f"{SYSTEM}: got sets of labels (multilabel), expected classes or scores")
    if not len(dev):
        raise InputError(f"{SYSTEM}: the dev split holds no sequence")
    check_trainable(train, "the training split")
    loss: dict[str, Any] = {"objective": "regression"}
    if train.task == "classification":
        several = {"objective": "multiclass", "num_class": train.num_classes}
        loss = {"objective": "binary"} if train.num_classes == 2 else several
    settings, metric = {**loss, **SETTINGS, "seed": seed}, primary_metric(train.task)
    grown, scores = {}, {}
    for size in sorted(k):
        fitting, choosing = (_counts(size, part.base_ids) for part in (train, dev))
        data = lightgbm.Dataset(fitting, train.labels, params=settings)
        booster = lightgbm.train(
            settings,
            data,
            num_boost_round=MAX_TREES,
            valid_sets=[lightgbm.Dataset(choosing, dev.labels, reference=data)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        grown[size] = (booster, _predicted(booster, choosing, train.task))
        scores[size] = task_metrics(train.task, dev.labels, grown[size][1])
    best = max(grown, key=lambda size: metric_value(scores[size], metric))
    by_k = {str(size): found[metric] for size, found in scores.items()}
    return GrownTrees(grown[best][0], best, train.task, grown[best][1], by_k)


def _counts(k: int, base_ids: Sequence[UInt8[ndarray, "_"]]) -> Features:
    """How often each k-mer stands in each sequence, as a share of its k-mers."""
    return extract_features(load_tokenizer(f"kmer:{k}"), base_ids)["histogram"]


def _predicted(booster: Any, features: Features, task: Task) -> Float[ndarray, "row class"]:
    """Class probabilities, or scores in one column, of the trees up to the best one."""
    given = np.asarray(booster.predict(features, num_iteration=booster.best_iteration), dtype=np.float64)
    if given.ndim == 2:
        return given
    return np.stack([1 - given, given], axis=1) if task == "classification" else given[:, None]
