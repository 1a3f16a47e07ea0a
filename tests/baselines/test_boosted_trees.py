from __future__ import annotations

import sys

import numpy as np
import pytest
from example_tokenizer import planted

from vqdna.baselines import boosted_trees
from vqdna.baselines.boosted_trees import GrownTrees, grow_trees
from vqdna.errors import InputError
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import classification_metrics, regression_metrics

pytest.importorskip("lightgbm")

Splits = tuple[LabelledSequences, LabelledSequences, LabelledSequences]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return planted(600, seed=0), planted(200, seed=1), planted(200, seed=2)


@pytest.fixture(scope="module")
def trees(splits) -> GrownTrees:
    return grow_trees(*splits[:2], seed=3)


def scored(trees: GrownTrees, part: LabelledSequences) -> dict[str, float | None]:
    return classification_metrics(part.labels, trees.predict(part.base_ids))


def test_a_planted_motif_is_learned_by_k_mers_long_enough_for_it(splits, trees):
    train, dev, test = splits
    mcc = scored(trees, test)["mcc"]
    assert mcc > 0.8
    assert scored(grow_trees(train, dev, seed=3, k=[1]), test)["mcc"] < mcc - 0.2


def test_shuffled_labels_are_near_chance():
    train, dev, test = (planted(400, seed, shuffled=True) for seed in (3, 4, 5))
    assert abs(scored(grow_trees(train, dev, seed=0, k=[4]), test)["mcc"]) < 0.25


def test_predictions_of_dev_are_kept_and_trees_are_counted(splits, trees):
    _, dev, test = splits
    assert trees.parameters >= trees.num_trees > 0
    assert np.array_equal(trees.predict(dev.base_ids), trees.dev)
    assert trees.predict(test.base_ids).shape == (200, 2)
    assert np.allclose(trees.dev.sum(axis=1), 1)


def test_k_is_the_one_with_the_best_dev_score(splits, trees):
    train, dev, test = splits
    by_k = trees.dev_by_k
    assert list(by_k) == ["3", "4", "5", "6"]
    assert trees.k == min(int(k) for k in by_k if by_k[k] == max(by_k.values()))
    alone = grow_trees(train, dev, seed=3, k=[trees.k])
    assert scored(alone, test) == scored(trees, test)
    assert scored(alone, dev)["mcc"] == by_k[str(trees.k)]


def test_a_seed_fixes_every_number_and_another_gives_other_trees(splits):
    first, again, other = (grow_trees(*splits[:2], seed=seed, k=[3]).dev for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dev_says_when_to_stop(splits, monkeypatch):
    """Of labels drawn by lot nothing is to be learned: trees that fit them are not kept; where dev agrees, many are."""
    monkeypatch.setattr(boosted_trees, "MAX_TREES", 200)
    monkeypatch.setattr(boosted_trees, "PATIENCE", 10)
    train, dev, _ = splits
    drawn = LabelledSequences(dev.base_ids, np.random.default_rng(0).permutation(dev.labels))
    stopped, went_on = (grow_trees(train, part, seed=0, k=[4]) for part in (drawn, dev))
    assert stopped.num_trees < 10 < went_on.num_trees


def test_more_than_two_classes_even_where_train_lacks_one():
    train, dev, test = (planted(600, seed, num_classes=3) for seed in (6, 7, 8))
    assert scored(grow_trees(train, dev, seed=0, k=[4]), test)["f1_macro"] > 0.6
    without = train.subset(np.flatnonzero(train.labels != 1))
    lacking = grow_trees(without, dev, seed=0, k=[4]).predict(test.base_ids)
    assert lacking.shape == (600, 3)
    assert lacking[:, 1].max() < 0.01


def test_scores_are_learned_too(splits):
    train, dev, test = (
        LabelledSequences(part.base_ids, 100.0 + 5.0 * part.labels + 0.01 * np.arange(len(part)), task="regression")
        for part in splits
    )
    trees = grow_trees(train, dev, seed=0, k=(3, 4))
    assert regression_metrics(test.labels, trees.predict(test.base_ids)[:, 0])["pearson"] > 0.7
    assert set(trees.dev_by_k) == {"3", "4"}


def test_what_trees_cannot_learn_is_refused(splits):
    train, dev, _ = splits
    sets = LabelledSequences(train.base_ids, np.stack([train.labels, 1 - train.labels], axis=1), task="multilabel")
    with pytest.raises(InputError, match="expected classes or scores"):
        grow_trees(sets, dev, seed=0)
    with pytest.raises(InputError, match="expected at least two classes"):
        grow_trees(train.subset(np.flatnonzero(train.labels == 1)), dev, seed=0)
    with pytest.raises(InputError, match="the dev split holds no sequence"):
        grow_trees(train, dev.subset([]), seed=0)


def test_without_lightgbm_one_line_says_how_to_get_it(splits, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"^kmer-lightgbm needs LightGBM: pip install 'vqdna\[baselines\]'$"):
        grow_trees(*splits[:2], seed=0)
