import numpy as np
import pytest
import torch
from example_tasks import MODERNBERT, tiny_encoder, tiny_vocabulary

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.finetune.evaluation import coding_batches, predict_codes
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification
from vqdna.finetune.settings import LinearProbing
from vqdna.finetune.starting_weights import pooled_features, probe_head

BASES = torch.randint(0, 4, (60, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = tiny_encoder(tiny_vocabulary(), MODERNBERT)
    return GenomeEncoderForSequenceClassification.from_encoder(
        encoder, standardize=True, head_hidden_size=32, head_dropout=0.0
    ).train()


@pytest.fixture
def rows(model):
    """Sixty sequences of several lengths, by which the model's features are standardized."""
    codes = model.encoder.tokenizer.encode(BASES).codes.numpy()
    found = EncodedSequences([row[: 20 + number % 20] for number, row in enumerate(codes)])
    model.fit_standardizer(coding_batches(found, 512))
    return found


def halves(model, rows):
    """Labels that a line through the features tells apart."""
    feature = pooled_features(model, rows)[:, 0]
    return (feature > feature.median()).long().numpy()


def test_the_head_learns_and_nothing_else_does(model, rows):
    labels = halves(model, rows)
    encoder = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    probe_head(model, rows, labels, LinearProbing(epochs=60, batch_size=16, learning_rate=1e-2), seed=0)
    assert model.training
    assert all(torch.equal(encoder[name], tensor) for name, tensor in model.encoder.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    model.eval()
    assert (predict_codes(model, rows).argmax(axis=1) == labels).mean() > 0.95


def test_without_epochs_the_head_stays_as_it_is(model, rows):
    before = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    probe_head(model, rows, halves(model, rows), LinearProbing(), seed=0)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.head.state_dict().items())


def test_the_same_seed_gives_the_same_head(model, rows):
    labels, fresh = halves(model, rows), {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    ends = []
    for seed in (0, 0, 1):
        model.head.load_state_dict(fresh)
        probe_head(model, rows, labels, LinearProbing(epochs=2), seed=seed)
        ends.append(model.head.output.weight.clone())
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_features_are_those_that_the_head_reads_in_the_order_given(model, rows):
    features = pooled_features(model, rows)
    model.eval()
    for number in (0, 19, 59):
        alone = model.pooled(codes=torch.from_numpy(rows.codes[number])[None])
        torch.testing.assert_close(features[number], alone[0], atol=1e-5, rtol=1e-4)
    assert np.isfinite(features.numpy()).all()
