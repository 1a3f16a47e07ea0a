from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from example_tokenizer import TwoLevelTokenizer, planted

from vqdna.baselines.probe import Limits, probe_files, run_probe
from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids
from vqdna.results import read_json
from vqdna.tasks.loading import LabelledSequences, limited
from vqdna.tasks.metrics import classification_metrics
from vqdna.tokenizers import load_tokenizer


def probed(*splits, **options):
    """The probe's record as it is written, and its predictions."""
    found = run_probe(*splits, **options)
    return {**found.to_json(), "predictions": found.predictions}


@pytest.fixture(scope="module")
def splits() -> tuple[LabelledSequences, LabelledSequences, LabelledSequences]:
    return planted(600, seed=0), planted(200, seed=1), planted(200, seed=2)


def test_kmers_find_a_planted_motif_that_single_bases_miss(splits):
    train, dev, test = splits
    kmers = probed(load_tokenizer("kmer:4"), train, test, dev, seed=0)
    bases = probed(load_tokenizer("nucleotide"), train, test, dev, seed=0)
    assert kmers["test"]["mcc"] > 0.7
    assert bases["test"]["mcc"] < kmers["test"]["mcc"] - 0.1


def test_shuffled_labels_are_near_chance():
    train, dev, test = (planted(400, seed, shuffled=True) for seed in (3, 4, 5))
    assert abs(probed(load_tokenizer("kmer:4"), train, test, dev, seed=0)["test"]["mcc"]) < 0.25


def test_the_record_has_the_agreed_keys(splits):
    train, dev, test = splits
    record = probed(load_tokenizer("kmer:3:3"), train, test, dev, seed=11)
    del record["predictions"]
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
    record = probed(TwoLevelTokenizer(), train, test, dev, seed=0)
    assert set(record["representations"]) == {"mean", "histogram", "coarse", "fine"}
    best = max(record["representations"].values(), key=lambda one: one["dev"]["mcc"])
    assert record["dev"] == best["dev"] == record["representations"][record["features"]]["dev"]
    assert record["test"] == record["representations"][record["features"]]["test"]


def test_the_predictions_are_those_that_the_scores_are_of(splits):
    train, dev, test = splits
    record = probed(TwoLevelTokenizer(), train, test, dev, seed=0)
    for name, part in (("dev", dev), ("test", test)):
        probabilities = record["predictions"][name]
        assert probabilities.shape == (200, 2)
        assert np.allclose(probabilities.sum(axis=1), 1)
        assert classification_metrics(part.labels, probabilities) == record[name]


def test_predictions_are_not_written(tmp_path):
    for name, seed in (("train", 0), ("test", 1)):
        rows = planted(60, seed)
        lines = [f"{from_base_ids(bases)},{label}" for bases, label in zip(rows.base_ids, rows.labels, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,label", *lines]))
    files = {"train": tmp_path / "train.csv", "dev": None, "test": tmp_path / "test.csv"}
    record = probe_files("kmer:2", **files, out=tmp_path / "out", seed=0).to_json()
    assert "predictions" not in record
    assert read_json(tmp_path / "out" / "results.json") == record


def test_test_labels_choose_nothing(splits):
    train, dev, test = splits
    flipped = LabelledSequences(test.base_ids, 1 - test.labels)
    honest = probed(load_tokenizer("kmer:3"), train, test, dev, seed=0)
    reversed_ = probed(load_tokenizer("kmer:3"), train, flipped, dev, seed=0)
    assert honest["dev"] == reversed_["dev"]
    assert reversed_["test"]["mcc"] == pytest.approx(-honest["test"]["mcc"])


def test_without_dev_a_seeded_tenth_of_train_is_held_out(splits):
    train, _, test = splits
    first, again = (probed(load_tokenizer("kmer:4"), train, test, None, seed=5) for _ in range(2))
    assert first["num_sequences"] == {"train": 540, "dev": 60, "test": 200}
    assert first["dev_source"] == "held out of train"
    assert first["test"] == again["test"]
    assert first["dev"] == again["dev"]
    assert first["test"]["mcc"] > 0.6
    assert probed(load_tokenizer("kmer:4"), train, test, None, seed=6)["dev"] != first["dev"]


def test_more_than_two_classes():
    train, dev, test = (planted(600, seed, num_classes=3) for seed in (6, 7, 8))
    record = probed(load_tokenizer("kmer:4"), train, test, dev, seed=0)
    assert record["num_classes"] == 3
    assert record["test"]["f1_macro"] > 0.6


def test_a_class_without_training_sequences_gets_probability_zero():
    train, dev, test = (planted(300, seed, num_classes=3) for seed in (9, 10, 11))
    without = train.subset(np.flatnonzero(train.labels != 1))
    record = probed(load_tokenizer("kmer:4"), without, test, dev, seed=0)
    assert 0.3 < record["test"]["accuracy"] <= 2 / 3


def test_what_cannot_be_classified_is_refused(splits):
    train, dev, test = splits
    tokenizer = load_tokenizer("kmer:3")
    scores = LabelledSequences(train.base_ids, np.linspace(0, 1, len(train)), task="regression")
    with pytest.raises(InputError, match="training labels are regression"):
        probed(tokenizer, scores, test, dev, seed=0)
    with pytest.raises(InputError, match="at least two classes"):
        probed(tokenizer, train.subset(np.flatnonzero(train.labels == 1)), test, dev, seed=0)
    with pytest.raises(InputError, match="test split holds no sequence"):
        probed(tokenizer, train, test.subset([]), dev, seed=0)
    with pytest.raises(InputError, match="dev split holds no sequence"):
        probed(tokenizer, train, test, dev.subset([]), seed=0)


def test_limits_draw_a_seeded_part_that_keeps_each_class_its_share(splits):
    train = splits[0].subset([*range(0, 600, 2), *range(1, 600, 6)])  # 300 of class 0, 100 of class 1
    part, again, other = (limited(train, 40, seed) for seed in (0, 0, 1))
    assert np.bincount(part.labels).tolist() == [30, 10]
    assert all(np.array_equal(one, same) for one, same in zip(part.base_ids, again.base_ids, strict=True))
    assert not all(np.array_equal(one, same) for one, same in zip(part.base_ids, other.base_ids, strict=True))
    assert limited(train, 1000, 0) is train


def test_limits_are_named_in_the_record_where_they_cut(splits):
    train, dev, test = splits
    limits = Limits(train=100, test=50)
    record = probed(load_tokenizer("kmer:3"), train, test, dev, seed=0, limits=limits)
    assert record["num_sequences"] == {"train": 100, "dev": 200, "test": 50}
    whole = {"train": 600, "dev": 200, "test": 200}
    assert record["limits"] == {**asdict(limits), "num_whole": whole, "left_out": []}
    assert "limits" not in probed(load_tokenizer("kmer:3"), train, test, dev, seed=0, limits=Limits(train=600))
    with pytest.raises(InputError, match="limit of the dev split: got 1"):
        Limits(dev=1)


def test_the_probe_s_seed_changes_nothing_where_dev_is_given(splits):
    train, dev, test = splits
    limits = Limits(train=100)
    one, other = (probed(load_tokenizer("kmer:3"), train, test, dev, seed=seed, limits=limits) for seed in (0, 1))
    assert one["representations"] == other["representations"]


def test_the_record_says_how_many_dimensions_the_chosen_representation_has(splits):
    train, dev, test = splits
    record = probed(TwoLevelTokenizer(), train, test, dev, seed=0)
    sizes = {name: one["num_features"] for name, one in record["representations"].items()}
    assert sizes == {"mean": 5, "histogram": 7, "coarse": 2, "fine": 5}
    assert record["num_features"] == record["representations"][record["features"]]["num_features"]


@pytest.mark.parametrize(
    ("most", "kept"),
    [
        (7, ["mean", "histogram", "coarse", "fine"]),
        (6, ["mean", "coarse", "fine"]),
        (2, ["coarse"]),
        (1, ["coarse"]),  # all are larger: the smallest stands for them
    ],
)
def test_representations_of_more_dimensions_than_allowed_are_left_out_and_the_record_says_so(splits, most, kept):
    train, dev, test = splits
    record = probed(TwoLevelTokenizer(), train, test, dev, seed=0, limits=Limits(features=most))
    assert list(record["representations"]) == kept
    assert record["features"] in kept
    left_out = [name for name in ("mean", "histogram", "coarse", "fine") if name not in kept]
    assert record.get("limits", {}).get("left_out", []) == left_out
    assert ("limits" in record) == bool(left_out)


def test_a_tokenizer_of_one_representation_keeps_it_whatever_the_limit(splits):
    train, dev, test = splits
    whole = probed(load_tokenizer("kmer:3"), train, test, dev, seed=0)
    limited_ = probed(load_tokenizer("kmer:3"), train, test, dev, seed=0, limits=Limits(features=10))
    assert limited_["test"] == whole["test"]
