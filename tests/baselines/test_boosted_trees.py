from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from example_tokenizer import planted

from vqdna.baselines.boosted_trees import TreesConfig, run_trees
from vqdna.baselines.results import TreesResults
from vqdna.errors import InputError
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import classification_metrics, regression_metrics

pytest.importorskip("lightgbm")

Splits = tuple[LabelledSequences, LabelledSequences, LabelledSequences]


@pytest.fixture(scope="module")
def splits() -> Splits:
    return planted(600, seed=0), planted(200, seed=1), planted(200, seed=2)


@pytest.fixture(scope="module")
def record(splits) -> TreesResults:
    return run_trees(*splits, seed=3)


def test_a_planted_motif_is_learned_by_k_mers_long_enough_for_it(splits, record):
    assert record.test["mcc"] > 0.8
    assert run_trees(*splits, seed=3, k=1).test["mcc"] < record.test["mcc"] - 0.2


def test_shuffled_labels_are_near_chance():
    train, dev, test = (planted(400, seed, shuffled=True) for seed in (3, 4, 5))
    assert abs(run_trees(train, dev, test, seed=0, k=4).test["mcc"]) < 0.25


def test_the_record_has_the_keys_of_the_other_systems(splits, record):
    _, dev, test = splits
    assert (record.stage, record.system, record.seed) == ("benchmark", "kmer-lightgbm", 3)
    assert record.seconds > 0
    assert record.parameters >= record.num_trees > 0
    assert record.num_features == 4**record.k + 5
    written = record.to_json()
    assert json.loads(json.dumps(written, allow_nan=False)) == written
    for name, part in (("dev", dev), ("test", test)):
        assert record.predictions[name].shape == (200, 2)
        assert np.allclose(record.predictions[name].sum(axis=1), 1)
        assert classification_metrics(part.labels, record.predictions[name]) == getattr(record, name)


def test_k_is_the_one_with_the_best_dev_score(splits, record):
    by_k = record.dev_by_k
    assert list(by_k) == ["3", "4", "5", "6"]
    assert record.k == min(int(k) for k in by_k if by_k[k] == max(by_k.values()))
    alone = run_trees(*splits, seed=3, k=record.k)
    assert alone.test == record.test
    assert alone.dev["mcc"] == by_k[str(record.k)]


def test_a_seed_fixes_every_number_and_another_gives_other_trees(splits):
    first, again, other = (run_trees(*splits, seed=seed, k=3).predictions["test"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dev_says_when_to_stop(splits):
    """Of labels drawn by lot nothing is to be learned: trees that fit them are not kept; where dev agrees, many are."""
    train, dev, test = splits
    config = TreesConfig(max_trees=200, patience=10)
    drawn = LabelledSequences(dev.base_ids, np.random.default_rng(0).permutation(dev.labels))
    stopped, went_on = (run_trees(train, part, test, seed=0, k=4, config=config) for part in (drawn, dev))
    assert stopped.num_trees < 10 < went_on.num_trees


def test_test_labels_choose_nothing(splits):
    train, dev, test = splits
    flipped = LabelledSequences(test.base_ids, 1 - test.labels)
    honest, turned = (run_trees(train, dev, part, seed=0, k=(3, 4)) for part in (test, flipped))
    assert honest.dev == turned.dev
    assert turned.test["mcc"] == pytest.approx(-honest.test["mcc"])


def test_more_than_two_classes_even_where_train_lacks_one():
    train, dev, test = (planted(600, seed, num_classes=3) for seed in (6, 7, 8))
    record = run_trees(train, dev, test, seed=0, k=4)
    assert record.test["f1_macro"] > 0.6
    without = train.subset(np.flatnonzero(train.labels != 1))
    lacking = run_trees(without, dev, test, seed=0, k=4)
    assert lacking.predictions["test"].shape == (600, 3)
    assert lacking.predictions["test"][:, 1].max() < 0.01


def test_scores_are_learned_too(splits):
    parts = [
        LabelledSequences(part.base_ids, 100.0 + 5.0 * part.labels + 0.01 * np.arange(len(part)), task="regression")
        for part in splits
    ]
    record = run_trees(*parts, seed=0, k=(3, 4))
    assert record.test["pearson"] > 0.7
    assert record.test == regression_metrics(parts[2].labels, record.predictions["test"][:, 0])
    assert set(record.dev_by_k) == {"3", "4"}


def test_what_trees_cannot_learn_is_refused(splits):
    train, dev, test = splits
    sets = LabelledSequences(train.base_ids, np.stack([train.labels, 1 - train.labels], axis=1), task="multilabel")
    with pytest.raises(InputError, match="expected classes or scores"):
        run_trees(sets, dev, test, seed=0)
    with pytest.raises(InputError, match="expected at least two classes"):
        run_trees(train.subset(np.flatnonzero(train.labels == 1)), dev, test, seed=0)
    with pytest.raises(InputError, match="the dev split holds no sequence"):
        run_trees(train, dev.subset([]), test, seed=0)


def test_without_lightgbm_one_line_says_how_to_get_it(splits, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(InputError, match=r"^kmer-lightgbm needs LightGBM: pip install 'vqdna\[baselines\]'$"):
        run_trees(*splits, seed=0)
