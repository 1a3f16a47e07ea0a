"""Fine-tuned models by transformers' own means: strings through `pipeline`, and the cards of their folders."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from example_tasks import tiny_encoder, tiny_vocabulary
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
    pipeline,
)

from vqdna.finetune import GenomeEncoderForSequenceClassification, GenomeEncoderForTokenClassification
from vqdna.genome.bases import to_base_ids

TEXTS = ["ACGTTGCANNacgtRYacgugattaca", "GATTACA", "nnnnacgtacgtacgt"]


def sequence_classifier(**settings: object) -> GenomeEncoderForSequenceClassification:
    torch.manual_seed(1)
    encoder = tiny_encoder(tiny_vocabulary())
    return GenomeEncoderForSequenceClassification.from_encoder(encoder, **settings).eval()


def base_classifier() -> GenomeEncoderForTokenClassification:
    torch.manual_seed(1)
    encoder = tiny_encoder(tiny_vocabulary())
    model = GenomeEncoderForTokenClassification.from_encoder(encoder, class_names=("O", "exon", "intron"))
    return model.eval()


def logits_of(model: PreTrainedModel, text: str) -> torch.Tensor:
    """Logits of a text's bases, by themselves."""
    with torch.no_grad():
        return model(torch.from_numpy(to_base_ids(text).base_ids)[None]).logits[0]


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("task", ["classification", "multilabel", "regression"])
def test_scores_of_texts_are_those_of_their_bases(tmp_path: Path, task: str, batch_size: int):
    names = ("enhancer", "silencer", "neither")
    model = sequence_classifier(task=task, class_names=names)
    model.save_pretrained(tmp_path)
    given = pipeline("text-classification", model=str(tmp_path), top_k=None)(TEXTS, batch_size=batch_size)
    for text, rows in zip(TEXTS, given, strict=True):
        logits = logits_of(model, text)
        wanted = {"classification": logits.softmax(0), "multilabel": logits.sigmoid(), "regression": logits}[task]
        scores = {row["label"]: row["score"] for row in rows}
        labels = names if task != "regression" else ("score",)
        assert torch.allclose(torch.tensor([scores[name] for name in labels]), wanted, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_labels_of_the_bases_of_texts_are_those_of_their_bases(tmp_path: Path, batch_size: int):
    model = base_classifier()
    model.save_pretrained(tmp_path)
    label_bases = pipeline("token-classification", model=str(tmp_path), ignore_labels=[])
    for text, rows in zip(TEXTS, label_bases(TEXTS, batch_size=batch_size), strict=True):
        logits = logits_of(model, text)
        assert [(row["start"], row["end"]) for row in rows] == [(place, place + 1) for place in range(len(text))]
        assert [row["entity"] for row in rows] == [model.config.id2label[int(label)] for label in logits.argmax(1)]
        scores = torch.tensor([float(row["score"]) for row in rows])
        assert torch.allclose(scores, logits.softmax(1).amax(1), atol=1e-6)


def test_neighboring_bases_of_a_class_make_a_stretch(tmp_path: Path):
    model = base_classifier()
    model.save_pretrained(tmp_path)
    stretches = pipeline("token-classification", model=str(tmp_path), aggregation_strategy="simple")(TEXTS[0])
    classes = [model.config.id2label[int(label)] for label in logits_of(model, TEXTS[0]).argmax(1)]
    held = [set(classes[stretch["start"] : stretch["end"]]) for stretch in stretches]
    assert held == [{stretch["entity_group"]} for stretch in stretches]
    assert sum(stretch["end"] - stretch["start"] for stretch in stretches) == sum(name != "O" for name in classes)


@pytest.mark.parametrize("kind", ["sequence", "base"])
def test_the_code_of_the_card_runs(kind: str, tmp_path: Path, monkeypatch, capsys):
    model = sequence_classifier() if kind == "sequence" else base_classifier()
    model.save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    monkeypatch.chdir(tmp_path)
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith("tensor(")
    assert f"pipeline_tag: {'text' if kind == 'sequence' else 'token'}-classification\n" in text
    assert f"| outputs | {'0, 1' if kind == 'sequence' else 'O, exon, intron'} |" in text


def test_the_card_says_what_logits_are_not(tmp_path: Path):
    model = sequence_classifier(
        task="regression", label_mean=12.5, label_deviation=4.0, reverse_complement_average=True
    )
    model.save_pretrained(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "a score on the scale of the labels is `4 * logit + 12.5`" in text
    assert "`vqdna predict` averages over both strands" in text


@pytest.mark.parametrize(
    ("auto", "kind"),
    [
        (AutoModelForSequenceClassification, GenomeEncoderForSequenceClassification),
        (AutoModelForTokenClassification, GenomeEncoderForTokenClassification),
        (GenomeEncoderForSequenceClassification, GenomeEncoderForSequenceClassification),
        (GenomeEncoderForTokenClassification, GenomeEncoderForTokenClassification),
    ],
)
def test_an_encoder_s_folder_opens_under_a_fresh_head(auto: type, kind: type, tmp_path: Path):
    encoder = tiny_encoder(tiny_vocabulary())
    encoder.save_pretrained(tmp_path / "encoder")
    model = auto.from_pretrained(tmp_path / "encoder", num_labels=3)
    assert isinstance(model, kind)
    held = model.encoder.state_dict()
    assert all(torch.equal(value, held[name]) for name, value in encoder.state_dict().items())
    assert logits_of(model, TEXTS[0]).shape[-1] == 3
    model.save_pretrained(tmp_path / "tuned")
    loaded = kind.from_pretrained(tmp_path / "tuned")
    assert loaded.config.class_names == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert torch.allclose(logits_of(loaded, TEXTS[0]), logits_of(model, TEXTS[0]), atol=1e-6)


def test_a_fresh_head_of_one_output_learns_scores(tmp_path: Path):
    tiny_encoder().save_pretrained(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=1)
    assert (model.config.task, model.config.num_outputs, model.config.class_names) == ("regression", 1, [])
    labels = {"problem_type": "multi_label_classification", "id2label": {0: "liver", 1: "brain"}}
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, **labels)
    assert (model.config.task, model.config.class_names) == ("multilabel", ["liver", "brain"])
