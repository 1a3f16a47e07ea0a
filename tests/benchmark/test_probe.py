from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from vqdna.benchmark.probe import code_histogram, extract_features, mean_code_vector, run_probe
from vqdna.errors import InputError
from vqdna.tasks.loading import LabelledSequences
from vqdna.tokenizers import Tokenizer, Tokens, load_tokenizer

MOTIF = np.array([3, 0, 3, 0, 0, 0], dtype=np.uint8)  # TATAAA


class TwoLevelTokenizer(Tokenizer):
    """Learned tokenizers' shape at no cost: level 0 is purine or pyrimidine, level 1 the base; vectors are 5 wide."""

    kind = "two-level"

    def __init__(self) -> None:
        super().__init__()
        self.level_sizes = (2, 5)
        self.bases_per_position = 1.0
        self.vector_size = 5

    def encode(self, base_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tokens:
        tokens = load_tokenizer("nucleotide").encode(base_ids, attention_mask)
        return Tokens(torch.cat([tokens.codes % 2, tokens.codes], dim=-1), tokens.spans, tokens.attention_mask)

    def code_vectors(self, codes: torch.Tensor) -> torch.Tensor:
        return torch.eye(5)[codes[..., 1]]

    def settings(self) -> dict[str, Any]:
        return {"kind": self.kind}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> TwoLevelTokenizer:
        return cls()


def planted(num_rows: int, seed: int, num_classes: int = 2, shuffled: bool = False) -> LabelledSequences:
    """Random sequences; class 1 holds a motif, further classes a run of one base, class 0 nothing."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_rows) % num_classes
    rows = []
    for label in labels:
        row = random.integers(0, 4, size=int(random.integers(40, 60)), dtype=np.uint8)
        start = int(random.integers(0, 30))
        if label:
            row[start : start + 6] = MOTIF if label == 1 else label - 1
        rows.append(row)
    return LabelledSequences(rows, random.permutation(labels) if shuffled else labels)


@pytest.fixture(scope="module")
def splits() -> tuple[LabelledSequences, LabelledSequences, LabelledSequences]:
    return planted(600, seed=0), planted(200, seed=1), planted(200, seed=2)


def test_kmers_find_a_planted_motif_that_single_bases_miss(splits):
    train, dev, test = splits
    kmers = run_probe(load_tokenizer("kmer:4"), train, test, dev, seed=0)
    bases = run_probe(load_tokenizer("nucleotide"), train, test, dev, seed=0)
    assert kmers["test"]["mcc"] > 0.7
    assert bases["test"]["mcc"] < kmers["test"]["mcc"] - 0.1


def test_shuffled_labels_are_near_chance():
    train, dev, test = (planted(400, seed, shuffled=True) for seed in (3, 4, 5))
    assert abs(run_probe(load_tokenizer("kmer:4"), train, test, dev, seed=0)["test"]["mcc"]) < 0.25


def test_the_record_has_the_agreed_keys(splits):
    train, dev, test = splits
    record = run_probe(load_tokenizer("kmer:3:3"), train, test, dev, seed=11)
    assert json.loads(json.dumps(record)) == record
    assert (record["stage"], record["system"], record["seed"]) == ("probe", "kmer:3:3", 11)
    assert record["seconds"] > 0
    assert record["features"] == "histogram"
    assert list(record["representations"]) == ["histogram"]
    assert record["representations"]["histogram"]["test"] == record["test"]
    assert {"mcc", "f1_macro", "accuracy", "auroc"} <= set(record["test"])
    assert set(record["dev"]) == set(record["test"])


def test_the_representation_with_the_better_dev_score_is_reported(splits):
    train, dev, test = splits
    record = run_probe(TwoLevelTokenizer(), train, test, dev, seed=0)
    assert set(record["representations"]) == {"mean", "histogram"}
    best = max(record["representations"].values(), key=lambda one: one["dev"]["mcc"])
    assert record["dev"] == best["dev"] == record["representations"][record["features"]]["dev"]
    assert record["test"] == record["representations"][record["features"]]["test"]


def test_test_labels_choose_nothing(splits):
    train, dev, test = splits
    flipped = LabelledSequences(test.base_ids, 1 - test.labels)
    honest = run_probe(load_tokenizer("kmer:3"), train, test, dev, seed=0)
    reversed_ = run_probe(load_tokenizer("kmer:3"), train, flipped, dev, seed=0)
    assert honest["dev"] == reversed_["dev"]
    assert reversed_["test"]["mcc"] == pytest.approx(-honest["test"]["mcc"])


def test_without_dev_a_seeded_tenth_of_train_is_held_out(splits):
    train, _, test = splits
    first, again = (run_probe(load_tokenizer("kmer:4"), train, test, None, seed=5) for _ in range(2))
    assert first["num_sequences"] == {"train": 540, "dev": 60, "test": 200}
    assert first["dev_source"] == "held out of train"
    assert first["test"] == again["test"]
    assert first["dev"] == again["dev"]
    assert first["test"]["mcc"] > 0.6
    assert run_probe(load_tokenizer("kmer:4"), train, test, None, seed=6)["dev"] != first["dev"]


def test_more_than_two_classes():
    train, dev, test = (planted(600, seed, num_classes=3) for seed in (6, 7, 8))
    record = run_probe(load_tokenizer("kmer:4"), train, test, dev, seed=0)
    assert record["num_classes"] == 3
    assert record["test"]["f1_macro"] > 0.6


def test_a_class_without_training_sequences_gets_probability_zero():
    train, dev, test = (planted(300, seed, num_classes=3) for seed in (9, 10, 11))
    without = train.subset(np.flatnonzero(train.labels != 1))
    record = run_probe(load_tokenizer("kmer:4"), without, test, dev, seed=0)
    assert 0.3 < record["test"]["accuracy"] <= 2 / 3


def test_histogram_by_hand():
    base_ids = torch.tensor([[0, 0, 1, 3], [2, 4, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    histogram = code_histogram(TwoLevelTokenizer().encode(base_ids, mask), (2, 5)).toarray()
    assert histogram.tolist() == [[0.5, 0.5, 0.5, 0.25, 0, 0.25, 0], [1, 0, 0, 0, 0.5, 0, 0.5]]


def test_mean_vector_leaves_out_padding():
    base_ids = torch.tensor([[0, 1, 1, 1], [2, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.uint8)
    mask = torch.tensor([[True] * 4, [True, False, False, False], [False] * 4])
    tokenizer = TwoLevelTokenizer()
    means = mean_code_vector(tokenizer, tokenizer.encode(base_ids, mask))
    assert means.tolist() == [[0.25, 0.75, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]


@pytest.mark.parametrize("bases_per_batch", [1, 100, 333])
def test_features_do_not_depend_on_the_batch_size(splits, bases_per_batch: int):
    rows = [*splits[0].base_ids[:40], np.array([], np.uint8), np.array([1], np.uint8)]
    for tokenizer in (TwoLevelTokenizer(), load_tokenizer("kmer:3"), load_tokenizer("kmer:4:4")):
        whole = extract_features(tokenizer, rows, bases_per_batch=10**6)
        parts = extract_features(tokenizer, rows, bases_per_batch=bases_per_batch)
        assert list(whole) == list(parts)
        assert np.array_equal(whole["histogram"].toarray(), parts["histogram"].toarray())
        if "mean" in whole:
            np.testing.assert_allclose(whole["mean"], parts["mean"], rtol=0, atol=1e-12)


def test_features_stand_in_the_order_of_the_rows():
    rows = [np.full(length, base, np.uint8) for length, base in ((9, 3), (2, 0), (5, 2))]
    features = extract_features(load_tokenizer("nucleotide"), rows)["histogram"].toarray()
    assert features.argmax(axis=1).tolist() == [3, 0, 2]


def test_what_cannot_be_classified_is_refused(splits):
    train, dev, test = splits
    tokenizer = load_tokenizer("kmer:3")
    scores = LabelledSequences(train.base_ids, np.linspace(0, 1, len(train)), task="regression")
    with pytest.raises(InputError, match="training labels are regression"):
        run_probe(tokenizer, scores, test, dev, seed=0)
    with pytest.raises(InputError, match="at least two classes"):
        run_probe(tokenizer, train.subset(np.flatnonzero(train.labels == 1)), test, dev, seed=0)
    with pytest.raises(InputError, match="test split holds no sequence"):
        run_probe(tokenizer, train, test.subset([]), dev, seed=0)
    with pytest.raises(InputError, match="dev split holds no sequence"):
        run_probe(tokenizer, train, test, dev.subset([]), seed=0)
