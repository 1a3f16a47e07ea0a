from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_tasks import BERT, MODERNBERT, tiny_encoder, tiny_vocabulary
from torch.nn import functional
from transformers import AutoModelForSequenceClassification

from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, SequenceClassifierConfig, pool_positions


def tiny_classifier(**settings: object) -> GenomeEncoderForSequenceClassification:
    torch.manual_seed(1)
    encoder = settings.pop("encoder", None) or tiny_encoder()
    return GenomeEncoderForSequenceClassification.from_encoder(encoder, **settings).eval()


def random_bases(rows: int, length: int) -> torch.Tensor:
    return torch.randint(0, 4, (rows, length), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))


def test_pooling_by_hand_leaves_padding_out():
    hidden = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [99.0, 99.0]], [[5.0, 5.0], [99.0, 99.0], [99.0, 99.0]]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert pool_positions(hidden, mask, "mean").tolist() == [[2.0, -3.0], [5.0, 5.0]]
    assert pool_positions(hidden, mask, "mean+max").tolist() == [[2.0, -3.0, 3.0, -2.0], [5.0, 5.0, 5.0, 5.0]]


def test_pooling_passes_no_gradient_to_padding_even_where_it_is_not_finite():
    hidden = torch.tensor([[[1.0], [torch.nan]]], requires_grad=True)
    pool_positions(hidden, torch.tensor([[True, False]]), "mean+max").sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.flatten().tolist() == [2.0, 0.0]


@pytest.mark.parametrize("backbone", [MODERNBERT, BERT], ids=["modernbert", "bert"])
@pytest.mark.parametrize("pooling", ["mean", "mean+max"])
def test_padding_behind_a_sequence_changes_no_logit(backbone, pooling):
    model = tiny_classifier(encoder=tiny_encoder(backbone=backbone), pooling=pooling)
    short, long = random_bases(1, 30), random_bases(1, 70)
    padded = functional.pad(short, (0, 40), value=4)
    mask = torch.arange(70) < torch.tensor([[30], [70]])
    together = model(torch.cat([padded, long]), mask).logits
    assert torch.allclose(together[0], model(short).logits[0], atol=1e-6)
    assert torch.allclose(together[1], model(long).logits[0], atol=1e-6)


def test_codes_computed_before_give_the_logits_of_the_bases():
    model = tiny_classifier(encoder=tiny_encoder(tiny_vocabulary()))
    bases = random_bases(3, 40)
    tokens = model.encoder.tokenizer.encode(bases)
    assert torch.equal(model(bases).logits, model(codes=tokens.codes, position_mask=tokens.attention_mask).logits)


def test_from_encoder_copies_the_encoder():
    encoder = tiny_encoder(tiny_vocabulary())
    model = tiny_classifier(encoder=encoder)
    held = model.encoder.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in encoder.state_dict().items())


def test_loss_of_classes_weighs_them_as_configured():
    model = tiny_classifier(class_names=("a", "b", "c"), class_weights=[1.0, 2.0, 0.5])
    bases, labels = random_bases(4, 30), torch.tensor([0, 1, 2, 1])
    output = model(bases, labels=labels)
    log_probabilities = output.logits.log_softmax(1)[range(4), labels]
    weights = torch.tensor([1.0, 2.0, 0.5, 2.0])
    assert torch.allclose(output.loss, -(weights * log_probabilities).sum() / weights.sum())


def test_loss_of_label_sets_weighs_positives_as_configured():
    model = tiny_classifier(task="multilabel", class_names=("a", "b"), class_weights=[3.0, 1.0])
    labels = torch.tensor([[1, 0], [1, 1]])
    output = model(random_bases(2, 30), labels=labels)
    p = output.logits.sigmoid()
    terms = -(torch.tensor([3.0, 1.0]) * labels * p.log() + (1 - labels) * (1 - p).log())
    assert torch.allclose(output.loss, terms.mean())


def test_regression_learns_standardized_scores_and_predicts_on_their_own_scale():
    model = tiny_classifier(task="regression", label_mean=100.0, label_deviation=20.0)
    output = model(random_bases(2, 30), labels=torch.tensor([120.0, 60.0]))
    assert output.logits.shape == (2, 1)
    assert torch.allclose(output.loss, (output.logits[:, 0] - torch.tensor([1.0, -2.0])).square().mean())
    assert torch.allclose(model.predictions(output.logits), output.logits.double() * 20 + 100)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_predictions_are_probabilities(task):
    model = tiny_classifier(task=task, class_names=("a", "b", "c"))
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    expected = logits.double().softmax(1) if task == "classification" else logits.double().sigmoid()
    assert torch.equal(model.predictions(logits), expected)


@pytest.mark.parametrize("hidden_size", [0, 16])
def test_one_directory_holds_the_whole_model(tmp_path: Path, hidden_size: int):
    model = tiny_classifier(
        encoder=tiny_encoder(tiny_vocabulary()), class_names=("enhancer", "silencer"), head_hidden_size=hidden_size
    )
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    bases = random_bases(2, 50)
    assert isinstance(loaded, GenomeEncoderForSequenceClassification)
    assert torch.equal(loaded(bases).logits, model(bases).logits)
    assert loaded.config.id2label == {0: "enhancer", 1: "silencer"}
    assert loaded.config.num_labels == 2


def test_config_survives_saving(tmp_path: Path):
    config = SequenceClassifierConfig(
        task="regression", label_mean=3.0, label_deviation=2.0, pooling="mean+max", reverse_complement_average=True
    )
    config.save_pretrained(tmp_path)
    loaded = SequenceClassifierConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert loaded.num_outputs == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"task": "clasification"}, "did you mean 'classification'"), ({"pooling": "max"}, "mean, mean\\+max")],
)
def test_unknown_names_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        SequenceClassifierConfig(**setting)
