"""The estimator: scikit-learn's own checks as far as text allows, pipelines, grid search, pickling, learning."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_tasks import config, saved_encoder, write_task
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from vqdna.errors import InputError
from vqdna.finetune.classifier import VqdnaClassifier
from vqdna.genome.bases import from_base_ids
from vqdna.tasks.loading import read_labelled

QUICK = config(method="linear", head={"hidden_size": 0, "start": {"epochs": 30, "learning_rate": 0.02}},
               training={"epochs": 1, "learning_rate": 1e-6})  # fmt: skip
NUMERIC = (
    "scikit-learn gives it a matrix of numbers, and this estimator reads text; what it asks is tested on text below"
)
"""Why the checks of `NEED_NUMBERS` are skipped."""
NEED_NUMBERS = {
    "check_array_api_input",
    "check_classifier_data_not_an_array",
    "check_classifiers_classes",
    "check_classifiers_one_label",
    "check_classifiers_one_label_sample_weights",
    "check_classifiers_regression_target",
    "check_classifiers_train",
    "check_complex_data",
    "check_decision_proba_consistency",
    "check_dict_unchanged",
    "check_dont_overwrite_parameters",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimator_sparse_tag",
    "check_estimators_dtypes",
    "check_estimators_empty_data_messages",
    "check_estimators_fit_returns_self",
    "check_estimators_nan_inf",
    "check_estimators_overwrite_params",
    "check_estimators_partial_fit_n_features",
    "check_estimators_pickle",
    "check_estimators_unfitted",
    "check_f_contiguous_array_estimator",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit2d_predict1d",
    "check_fit_check_is_fitted",
    "check_fit_idempotent",
    "check_fit_score_takes_y",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_n_features_in",
    "check_n_features_in_after_fitting",
    "check_non_transformer_estimators_n_iter",
    "check_pipeline_consistency",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
    "check_requires_y_none",
    "check_supervised_y_2d",
    "check_supervised_y_no_nan",
}


class TakenForNumeric(VqdnaClassifier):
    """Says that it takes matrices, for scikit-learn makes no checks at all for estimators that do not."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


CHECKED_APART = "check_do_not_raise_errors_in_init_or_set_params"


@parametrize_with_checks([TakenForNumeric()], expected_failed_checks=lambda _: {})
def test_scikit_learn_checks(estimator: TakenForNumeric, check: Any):
    name = getattr(check, "func", check).__name__
    if name in NEED_NUMBERS:
        pytest.skip(NUMERIC)
    if name == CHECKED_APART:
        pytest.skip("gives values of wrong types, which the check of annotations refuses; run without it below")
    check(estimator)


def test_making_an_estimator_checks_nothing_yet():
    code = f"""
from sklearn.utils.estimator_checks import {CHECKED_APART}
from vqdna import VqdnaClassifier
{CHECKED_APART}("VqdnaClassifier", VqdnaClassifier())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    saved_encoder(folder / "encoder")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> tuple[list[str], np.ndarray]:
    records = read_labelled(write_task(folder / "t.csv", "multiclass", 200, 0))
    return [from_base_ids(bases) for bases in records.base_ids], np.array(["tata", "gc", "e-box"])[records.labels]


def estimator(folder: Path, **changes: Any) -> VqdnaClassifier:
    return VqdnaClassifier(**{"model": str(folder / "encoder"), "config": QUICK} | changes)


@pytest.fixture(scope="module")
def fitted(folder: Path, data: tuple[list[str], np.ndarray]) -> VqdnaClassifier:
    return estimator(folder).fit(*data)


def test_it_learns_and_speaks_in_the_labels_given(fitted: VqdnaClassifier, data: tuple[list[str], np.ndarray]):
    texts, labels = data
    assert fitted.classes_.tolist() == ["e-box", "gc", "tata"]
    probabilities = fitted.predict_proba(texts)
    assert probabilities.shape == (200, 3)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (fitted.predict(texts) == fitted.classes_[probabilities.argmax(axis=1)]).all()
    assert fitted.score(texts, labels) > 0.6


def test_order_and_company_change_no_prediction(fitted: VqdnaClassifier, data: tuple[list[str], np.ndarray]):
    texts = data[0][:20]
    whole = fitted.predict_proba(texts)
    assert np.allclose(fitted.predict_proba(texts[::-1])[::-1], whole, atol=1e-5)
    assert np.allclose(fitted.predict_proba(texts[3:4]), whole[3:4], atol=1e-5)
    assert np.allclose(fitted.predict_proba(np.array(texts)[:, None]), whole, atol=1e-5)


def test_it_is_cloned_and_pickled(fitted: VqdnaClassifier, folder: Path, data: tuple[list[str], np.ndarray]):
    copied = clone(fitted)
    assert not hasattr(copied, "model_")
    with pytest.raises(NotFittedError):
        copied.predict(data[0])
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(data[0][:9]), fitted.predict_proba(data[0][:9]))
    same = estimator(folder).fit(*data)
    assert np.array_equal(same.predict_proba(data[0][:9]), fitted.predict_proba(data[0][:9]))


def test_pipelines_and_grid_searches_take_it(folder: Path, data: tuple[list[str], np.ndarray]):
    trimmed = FunctionTransformer(lambda texts: [text[:60] for text in texts])
    pipeline = Pipeline([("trim", trimmed), ("learn", estimator(folder))])
    search = GridSearchCV(pipeline, {"learn__random_state": [0, 1]}, cv=2)
    search.fit(data[0][:60], data[1][:60])
    assert search.predict(data[0][:5]).shape == (5,)
    assert len(cross_val_score(estimator(folder), data[0][:40], data[1][:40], cv=2)) == 2


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        (["ACGT", "GGGG"], [1, 1], "one class only"),
        (["ACGT"], [1, 0], "got 1 sequences and 2 labels"),
        ([1.5, 2.5], [1, 0], "record 0: got float, expected bases as text"),
        ("ACGT", [1], "got one text, expected a list"),
        ([], [], "got no sequence"),
        (["ACGT", "GG"], None, "y is None"),
        (["ACGT", "GG"], [0.5, 0.25], "Unknown label type"),
    ],
)
def test_bad_input_is_told_in_a_line(folder: Path, texts: Any, labels: Any, said: str):
    with pytest.raises(ValueError, match=said):
        estimator(folder).fit(texts, labels)


def test_overrides_change_a_named_configuration_alone(folder: Path, data: tuple[list[str], np.ndarray]):
    named = estimator(folder, config="probe", overrides=("head.start.epochs=2",), out=folder / "run")
    assert named.fit(data[0][:30], data[1][:30]).results_.method == "linear"
    assert (folder / "run" / "results.json").is_file()
    with pytest.raises(InputError, match="overrides go with a configuration's name"):
        estimator(folder, overrides=("training.epochs=2",)).fit(*data)
