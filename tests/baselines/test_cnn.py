from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from example_network import CPU, TINY, random_bases

from vqdna.baselines.cnn import CnnConfig, OneHotCnn, one_hot, padded, run_cnn, task_loss
from vqdna.errors import InputError
from vqdna.tasks.loading import LabelledSequences, labelled_from_text
from vqdna.tasks.metrics import classification_metrics, regression_metrics

MOTIF = "TGACTCA"


def motif_sequences(seed: int, count: int, task: str | None = None) -> LabelledSequences:
    """Random sequences of 40 to 50 bases; odd records carry the motif on a random strand."""
    random = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        text = "".join(random.choice(list("ACGT"), random.integers(40, 51)))
        if number % 2:
            strand = MOTIF if random.random() < 0.5 else MOTIF[::-1].translate(str.maketrans("ACGT", "TGCA"))
            start = int(random.integers(0, len(text) - len(MOTIF)))
            text = text[:start] + strand + text[start + len(MOTIF) :]
        texts.append(text)
    return labelled_from_text(texts, [number % 2 for number in range(count)], task=task)


def trained_statistics(config: CnnConfig = TINY, num_classes: int = 2) -> OneHotCnn:
    """Network with random weights and normalization statistics that are not those of initialization."""
    torch.manual_seed(0)
    model = OneHotCnn(num_classes, config)
    model(torch.randint(0, 4, (16, 60), dtype=torch.uint8), torch.ones(16, 60, dtype=torch.bool))
    return model.eval()


def test_one_hot_marks_each_base_and_leaves_n_and_padding_empty():
    mask = torch.tensor([[True, True, True, True, True, False]])
    encoded = one_hot(torch.tensor([[0, 1, 2, 3, 4, 0]], dtype=torch.uint8), mask)
    expected = torch.zeros(1, 4, 6)
    expected[0, range(4), range(4)] = 1
    assert torch.equal(encoded, expected)


def test_reverse_strand_is_the_reverse_complement_within_each_row():
    base_ids, mask = padded([np.array([0, 0, 1], np.uint8), np.array([2, 4, 3, 1, 0], np.uint8)], CPU)
    expected, _ = padded([np.array([2, 3, 3], np.uint8), np.array([3, 2, 0, 4, 1], np.uint8)], CPU)
    _, reverse = trained_statistics().strands_of(base_ids, mask)
    assert torch.equal(one_hot(reverse, mask), one_hot(expected, mask))


@pytest.mark.parametrize("length", [20, 21, 57])
def test_both_strands_get_the_same_logits(length):
    model = trained_statistics()
    bases = random_bases(length)[0]
    complement = np.array([3, 2, 1, 0, 4], np.uint8)[bases[::-1]]
    logits = model(*padded([bases, complement], CPU))
    torch.testing.assert_close(logits[0], logits[1])


def test_padding_and_batch_mates_change_no_logit():
    model = trained_statistics()
    sequences = random_bases(20, 33, 60)
    together = model(*padded(sequences, CPU))
    for row, sequence in enumerate(sequences):
        torch.testing.assert_close(together[row], model(*padded([sequence], CPU))[0])


def test_the_default_network_has_about_160_thousand_parameters():
    assert sum(p.numel() for p in OneHotCnn(2, CnnConfig()).parameters()) == pytest.approx(160_000, abs=2_000)


def test_every_parameter_gets_a_gradient():
    torch.manual_seed(0)
    model = OneHotCnn(2, CnnConfig())
    task_loss(
        "classification", model(*padded(random_bases(40, 60, 50, 60), CPU)), torch.tensor([0, 1, 1, 0])
    ).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_planted_motif_is_learned_and_the_record_is_complete():
    train, dev, test = motif_sequences(0, 300), motif_sequences(1, 100), motif_sequences(2, 100)
    record = run_cnn(train, dev, test, seed=0, epochs=12, config=TINY, device="cpu")
    assert record["test"]["mcc"] > 0.7
    assert record["dev"]["mcc"] > 0.7
    assert set(record["test"]) == {"mcc", "f1_macro", "accuracy", "auroc"}
    assert (record["stage"], record["system"], record["seed"]) == ("benchmark", "cnn", 0)
    assert 1 <= record["best_epoch"] <= record["epochs"] <= 12
    assert record["seconds"] > 0
    predictions = record.pop("predictions")
    json.dumps(record, allow_nan=False)
    for name, part in (("dev", dev), ("test", test)):
        assert predictions[name].shape == (100, 2)
        assert np.allclose(predictions[name].sum(axis=1), 1)
        assert classification_metrics(part.labels, predictions[name]) == record[name]


def test_a_seed_fixes_the_run_and_leaves_the_callers_random_state_alone():
    train, dev = motif_sequences(0, 60), motif_sequences(1, 30)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = run_cnn(train, dev, dev, seed=1, epochs=2, config=TINY, device="cpu")
    assert torch.equal(torch.rand(3), expected)
    second = run_cnn(train, dev, dev, seed=1, epochs=2, config=TINY, device="cpu")
    other = run_cnn(train, dev, dev, seed=2, epochs=2, config=TINY, device="cpu")
    assert first["test"] == second["test"]
    assert first["test"] != other["test"]


def test_training_stops_when_dev_no_longer_improves():
    train, dev = motif_sequences(0, 300), motif_sequences(1, 60)
    config = CnnConfig(**{**vars(TINY), "patience": 1})
    record = run_cnn(train, dev, dev, seed=0, epochs=40, config=config, device="cpu")
    assert record["epochs"] == record["best_epoch"] + 1 < 40


def test_regression_and_multilabel_are_learned_too():
    train, dev = motif_sequences(0, 300), motif_sequences(1, 100)
    scores = [
        LabelledSequences(part.base_ids, 100.0 + 5.0 * part.labels + 0.01 * np.arange(len(part)), task="regression")
        for part in (train, dev)
    ]
    record = run_cnn(*scores, scores[1], seed=0, epochs=12, config=TINY, device="cpu")
    assert record["test"]["pearson"] > 0.7
    assert record["test"]["mse"] < 6.0
    assert regression_metrics(scores[1].labels, record["predictions"]["test"][:, 0]) == record["test"]
    sets = [
        LabelledSequences(part.base_ids, np.stack([part.labels, 1 - part.labels], axis=1), task="multilabel")
        for part in (train, dev)
    ]
    assert run_cnn(*sets, sets[1], seed=0, epochs=12, config=TINY, device="cpu")["test"]["f1_macro"] > 0.8


def test_a_training_split_of_one_class_is_refused():
    one_class = LabelledSequences(random_bases(20, 20), np.zeros(2, np.int64))
    with pytest.raises(InputError, match="expected at least two classes"):
        run_cnn(one_class, one_class, one_class, seed=0)


def test_a_network_of_one_strand_tells_the_strands_apart_and_has_a_smaller_head():
    torch.manual_seed(0)
    one, both = OneHotCnn(2, replace(TINY, shares_strands=False)).eval(), OneHotCnn(2, TINY).eval()
    forward = torch.randint(0, 4, (3, 40), dtype=torch.uint8)
    reverse, mask = 3 - forward.flip(1), torch.ones(3, 40, dtype=torch.bool)
    assert torch.allclose(both(forward, mask), both(reverse, mask), atol=1e-5)
    assert not torch.allclose(one(forward, mask), one(reverse, mask), atol=1e-3)
    assert one.head[1].in_features * 2 == both.head[1].in_features
