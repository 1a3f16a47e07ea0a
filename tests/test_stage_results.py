from __future__ import annotations

import json

import pytest

from vqdna.stage_results import (
    AuditOverview,
    LabelledResults,
    PretrainResults,
    StageResults,
    VocabularyResults,
    finite,
    read_results,
)


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("vocabulary", VocabularyResults),
        ("pretrain", PretrainResults),
        ("finetune", LabelledResults),
        ("probe", LabelledResults),
        ("benchmark", LabelledResults),
        ("audit", AuditOverview),
        ("study", StageResults),
        (None, StageResults),
    ],
)
def test_a_stage_has_its_record_and_needs_nothing_but_its_name(stage, kind):
    results = read_results({"stage": stage})
    assert type(results) is kind
    assert results.stage == (stage or "")
    assert results.seed is None
    assert results.data.source == ""


@pytest.mark.parametrize("value", [None, True, "3", float("nan"), float("inf"), [1]])
def test_what_is_no_finite_number_counts_as_none(value):
    assert finite(value) is None


def test_values_of_the_wrong_kind_read_as_missing():
    results = read_results(
        {
            "stage": "vocabulary", "seed": "three", "system": 5, "data": "here", "parameters": [1],
            "evaluation": {"reconstruction_accuracy": "high", "levels": [{"size": None, "usage": True}, 7]},
            "code_usage": [[0, 2], "none", [None, 3]], "code_map": "far away",
        }
    )  # fmt: skip
    assert isinstance(results, VocabularyResults)
    assert (results.seed, results.system, results.num_parameters) == (None, "5", None)
    assert results.evaluation.reconstruction_accuracy is None
    assert [level.usage for level in results.evaluation.levels] == [None, None]
    assert results.code_usage == [[0, 2], [], [None, 3]]
    assert results.code_map == []


def test_parameters_are_one_number_or_parts_with_a_total():
    assert read_results({"stage": "probe", "parameters": 7}).num_parameters == 7
    assert read_results({"stage": "pretrain", "parameters": {"backbone": 5, "total": 7}}).num_parameters == 7
    assert read_results({"stage": "pretrain", "parameters": {"backbone": 5}}).num_parameters is None


def test_scores_that_a_run_lacks_are_none():
    results = read_results({"stage": "finetune", "dev": None, "test": {"mcc": 0.5, "auroc": None}})
    assert isinstance(results, LabelledResults)
    assert (results.test_score("mcc"), results.test_score("auroc"), results.test_score("accuracy")) == (0.5, None, None)
    assert results.dev_score("mcc") is None


def test_writing_what_was_read_gives_the_same_json():
    record = {
        "stage": "pretrain", "seed": 3, "seconds": 88.2, "steps": 400, "target": "codes",
        "parameters": {"backbone": 5, "total": 7}, "masking": {"unit": "spans", "fraction": 0.25, "span": 12},
        "evaluation": {"masked_accuracy": [0.4, 0.2], "base_nats": 1.3, "perplexity": 2},
        "leak": [{"distance": 1, "accuracy": [0.9, None], "count": 40}],
    }  # fmt: skip
    assert json.loads(read_results(record).model_dump_json(exclude_unset=True)) == record


EVALUATION = {
    "reconstruction_accuracy": 0.9,
    "reconstruction": 0.2,
    "bits_per_base": 9.0,
    "levels": [{"size": 512, "usage": 0.5, "perplexity": 100.0, "dead_codes": 256}],
    "num_bases": 1000,
}


def test_a_file_reads_back_to_the_bit_keys_of_other_versions_included():
    """Also one of a version that wrote less, or more."""
    for held in (
        {"stage": "vocabulary", "system": "vq", "evaluation": EVALUATION, "later": {"key": [1, None]}},
        {"stage": "vocabulary", "evaluation": {key: EVALUATION[key] for key in list(EVALUATION)[:4]}, "steps": None},
    ):
        assert VocabularyResults.model_validate(held).model_dump(mode="json", exclude_unset=True) == held


def test_numbers_of_an_evaluation_by_name():
    results = VocabularyResults.model_validate({"stage": "vocabulary", "evaluation": EVALUATION})
    assert results.evaluation.numbers() == {
        "reconstruction_accuracy": 0.9, "reconstruction": 0.2, "usage_level_0": 0.5, "perplexity_level_0": 100.0,
    }  # fmt: skip
