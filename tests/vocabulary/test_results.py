"""The records of stage 1 against the files that runs have left."""

from __future__ import annotations

from vqdna.vocabulary.results import VocabularyResults

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
