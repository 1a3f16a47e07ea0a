import numpy as np
import torch
from example_tasks import MODERNBERT, config, tiny_encoder, tiny_vocabulary

from vqdna.encoder.encoded_sequences import EncodedSequences
from vqdna.finetune.adapters import load_adapter, merge_adapter, prepare_trainable, save_adapter
from vqdna.finetune.evaluation import coding_batches
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, Standardizer, pool_positions

BASES = torch.randint(0, 4, (30, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def classifier(**settings):
    torch.manual_seed(0)
    encoder = tiny_encoder(tiny_vocabulary(), MODERNBERT)
    return GenomeEncoderForSequenceClassification.from_encoder(encoder, standardize=True, **settings).eval()


def encoded(model):
    codes = model.encoder.tokenizer.encode(BASES).codes.numpy()
    return EncodedSequences([row[: 20 + number] for number, row in enumerate(codes[:20])])


def test_features_of_the_rows_it_saw_have_mean_zero_and_deviation_one():
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 9, 3, 2, 5]) + 7
    standardizer = Standardizer(5)
    assert torch.equal(standardizer(features), features)
    standardizer.fit(features)
    standard = standardizer(features)
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(standard.std(dim=0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_a_feature_that_never_changes_stays_finite():
    features = torch.cat([torch.randn(50, 2), torch.full((50, 1), 3.0)], dim=1)
    standardizer = Standardizer(3)
    standardizer.fit(features)
    assert torch.equal(standardizer(features)[:, 2], torch.zeros(50))
    standardizer.fit(torch.ones(4, 3))
    assert torch.isfinite(standardizer(features)).all()


def test_it_is_fitted_to_pooled_features_without_padding():
    model = classifier()
    rows = encoded(model)
    model.fit_standardizer(coding_batches(rows, 512))
    pooled = []
    for codes in rows.codes:
        hidden = model.encoder(codes=torch.from_numpy(codes)[None]).last_hidden_state
        pooled.append(pool_positions(hidden, torch.ones(hidden.shape[:2], dtype=torch.bool), "mean"))
    expected = torch.cat(pooled)
    torch.testing.assert_close(model.standardizer.mean, expected.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(model.standardizer.deviation, expected.std(dim=0, correction=0), atol=1e-5, rtol=1e-3)


def test_at_most_so_many_records_are_looked_at_and_they_come_from_everywhere():
    rows = EncodedSequences([np.full((3, 1), number) for number in range(100)])
    seen = torch.cat([codes[:, 0, 0] for codes, _ in coding_batches(rows, 5)])
    assert sorted(seen.tolist()) == [0, 24, 49, 74, 99]


def test_logits_depend_on_it_and_it_is_saved_with_the_model(tmp_path):
    model = classifier()
    before = model(BASES).logits
    model.fit_standardizer(coding_batches(encoded(model), 512))
    assert not torch.allclose(model(BASES).logits, before)
    model.save_pretrained(tmp_path)
    loaded = GenomeEncoderForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(loaded(BASES).logits, model(BASES).logits)


def test_an_adapter_s_folder_holds_it_too(tmp_path):
    model = classifier()
    start = tiny_encoder(tiny_vocabulary(), MODERNBERT)
    start.load_state_dict(model.encoder.state_dict())
    prepare_trainable(model, config(method="lora"))
    model.fit_standardizer(coding_batches(encoded(model), 512))
    save_adapter(model, tmp_path / "adapter")
    loaded = load_adapter(start, tmp_path / "adapter")
    merge_adapter(model)
    torch.testing.assert_close(loaded(BASES).logits, model(BASES).logits, atol=1e-5, rtol=1e-4)
