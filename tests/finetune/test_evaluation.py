from __future__ import annotations

import numpy as np
import pytest
import torch
from example_tasks import BERT, MODERNBERT, tiny_encoder, tiny_vocabulary

from vqdna.finetune import evaluation
from vqdna.finetune.evaluation import predict_sequences
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.genome.bases import reverse_complement
from vqdna.tokenizers.padding import pad_rows


def classifier(backbone=MODERNBERT, **settings: object) -> GenomeEncoderForSequenceClassification:
    torch.manual_seed(0)
    encoder = tiny_encoder(tiny_vocabulary(), backbone)
    model = GenomeEncoderForSequenceClassification.from_encoder(encoder, class_names=("a", "b", "c"), **settings)
    torch.nn.init.normal_(model.head.output.weight)
    return model.eval()


def random_rows(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 4, length).astype(np.uint8) for length in random.integers(20, 80, count)]


def place(row: int) -> str:
    return str(row)


@pytest.mark.parametrize("backbone", [MODERNBERT, BERT], ids=["modernbert", "bert"])
@pytest.mark.parametrize("strands", [{}, {"reverse_complement_average": True}, {"shares_strands": True}], ids=str)
def test_batch_size_and_order_change_no_prediction(backbone, strands):
    model, rows = classifier(backbone, **strands), random_rows(23)
    alone = predict_sequences(model, rows, place, batch_size=1)
    together = predict_sequences(model, rows, place, batch_size=23)
    backwards = predict_sequences(model, rows[::-1], place, batch_size=5)[::-1]
    assert np.allclose(alone, together, atol=1e-6)
    assert np.allclose(alone, backwards, atol=1e-6)
    assert np.ptp(alone[:, 0]) > 0.01


def test_limits_on_batch_and_chunk_change_no_prediction(monkeypatch):
    model, rows = classifier(), random_rows(23)
    expected = predict_sequences(model, rows, place)
    monkeypatch.setattr(evaluation, "TOKENS_PER_BATCH", 100)
    monkeypatch.setattr(evaluation, "RECORDS_PER_CHUNK", 7)
    monkeypatch.setattr(evaluation, "BASES_PER_CHUNK", 200)
    assert np.allclose(predict_sequences(model, rows, place), expected, atol=1e-6)


def test_sharing_makes_both_strands_alike_and_is_no_average():
    rows = random_rows(6)
    other = [reverse_complement(row) for row in rows]
    model = classifier(shares_strands=True, pooling="mean+max")
    forward = predict_sequences(model, rows, place)
    assert np.allclose(predict_sequences(model, other, place), forward, atol=1e-6)
    assert np.ptp(forward[:, 0]) > 0.01


def test_bases_of_shared_strands_give_what_their_codes_give():
    rows = random_rows(5)
    model = classifier(shares_strands=True)
    bases, mask = pad_rows(rows)
    with torch.no_grad():
        probabilities = model.predictions(model(bases, mask).logits).numpy()
    assert np.allclose(probabilities, predict_sequences(model, rows, place), atol=1e-6)


def test_kept_codes_are_not_worked_out_again(monkeypatch):
    model, rows = classifier(reverse_complement_average=True), random_rows(6)
    first = predict_sequences(model, rows, place, keep=True)
    monkeypatch.setattr(model.encoder.tokenizer, "encode", None)
    assert np.array_equal(predict_sequences(model, rows, place, keep=True), first)
    with pytest.raises(TypeError):
        predict_sequences(model, rows, place)


def test_averaging_makes_both_strands_alike():
    rows = random_rows(6)
    other = [reverse_complement(row) for row in rows]
    plain, averaged = classifier(), classifier(reverse_complement_average=True)
    forward, reverse = predict_sequences(plain, rows, place), predict_sequences(plain, other, place)
    assert not np.allclose(forward, reverse, atol=1e-3)
    assert np.allclose(predict_sequences(averaged, rows, place), (forward + reverse) / 2, atol=1e-6)
    assert np.allclose(predict_sequences(averaged, other, place), (forward + reverse) / 2, atol=1e-6)


def test_messages_count_records_over_chunks(monkeypatch):
    monkeypatch.setattr(evaluation, "RECORDS_PER_CHUNK", 2)
    rows = [*random_rows(3), np.zeros(500, dtype=np.uint8)]
    with pytest.raises(ValueError, match=r"^3: its 500 bases"):
        predict_sequences(classifier(BERT), rows, place)
