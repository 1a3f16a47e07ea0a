"""Baselines as estimators: the contract of scikit-learn, and the numbers of the functions they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from example_tokenizer import planted
from sklearn.base import clone

from vqdna.baselines.boosted_trees import run_trees
from vqdna.baselines.estimators import BoostedTrees, Cnn, KmerRegression, LinearProbe
from vqdna.baselines.probe import run_probe
from vqdna.genome.bases import from_base_ids
from vqdna.tokenizers import load_tokenizer

TRAIN, DEV, TEST = planted(300, seed=0), planted(100, seed=1), planted(60, seed=2)
NAMES = np.array(["other", "motif"])


def fitted(estimator):
    return estimator.fit(TRAIN.base_ids, TRAIN.labels, dev=(DEV.base_ids, DEV.labels))


def test_a_probe_gives_the_predictions_of_its_record():
    found = run_probe(load_tokenizer("kmer:3"), TRAIN, TEST, DEV, seed=0)
    estimator = fitted(LinearProbe("kmer:3"))
    assert np.array_equal(estimator.predict_proba(TEST.base_ids), found.predictions["test"])


def test_the_best_k_is_taken():
    by_k = {k: run_probe(load_tokenizer(f"kmer:{k}"), TRAIN, TEST, DEV, seed=0) for k in (3, 4)}
    best = max(by_k, key=lambda k: by_k[k].dev["mcc"])
    estimator = fitted(KmerRegression(k=(4, 3)))
    assert estimator.k_ == best
    assert np.array_equal(estimator.predict_proba(TEST.base_ids), by_k[best].predictions["test"])


def test_trees_give_the_predictions_of_their_record():
    pytest.importorskip("lightgbm")
    found = run_trees(TRAIN, DEV, TEST, seed=3, k=(3, 4))
    estimator = fitted(BoostedTrees(k=(3, 4), random_state=3))
    assert np.array_equal(estimator.predict_proba(TEST.base_ids), found.predictions["test"])


@pytest.mark.parametrize("estimator", [LinearProbe("kmer:4"), KmerRegression(k=(3,))], ids=["probe", "k-mers"])
def test_text_and_names_serve_too_and_a_tenth_is_held_out(estimator):
    texts = [from_base_ids(bases) for bases in TRAIN.base_ids]
    learned = clone(estimator).fit(texts, NAMES[TRAIN.labels])
    assert learned.classes_.tolist() == ["motif", "other"]
    tests = [from_base_ids(bases) for bases in TEST.base_ids]
    assert set(learned.predict(tests)) <= set(NAMES)
    assert learned.predict_proba(tests).shape == (60, 2)


def test_a_network_is_stage_three_with_its_own_configuration():
    network = clone(Cnn(overrides=("training.epochs=1",)))
    learned = network.fit(TRAIN.base_ids[:64], TRAIN.labels[:64])
    assert learned.predict_proba(TEST.base_ids).shape == (60, 2)
    assert learned.results_.method == "full"
    assert learned.results_.system == "nucleotide"


def test_a_dev_label_that_train_lacks_is_told():
    with pytest.raises(ValueError, match="dev: record 0: the label '7' is not among the training classes"):
        LinearProbe("kmer:3").fit(TRAIN.base_ids, TRAIN.labels, dev=(DEV.base_ids[:1], [7]))
