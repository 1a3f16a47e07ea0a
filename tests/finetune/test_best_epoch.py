from __future__ import annotations

from pathlib import Path

import torch
from example_tasks import config, tiny_encoder

from vqdna.finetune.adapters import BestEpoch, prepare_trainable
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification


def model() -> GenomeEncoderForSequenceClassification:
    made = GenomeEncoderForSequenceClassification.from_encoder(tiny_encoder(), head_hidden_size=0)
    prepare_trainable(made, config(method="linear"))
    return made


def offer(best: BestEpoch, trained: GenomeEncoderForSequenceClassification, epoch: int, mcc: float | None) -> None:
    torch.nn.init.constant_(trained.head.output.weight, epoch)
    best.offer(epoch, {"mcc": mcc}, trained)


def test_the_best_epoch_is_kept_and_the_earlier_one_on_a_tie(tmp_path: Path):
    best, trained = BestEpoch(tmp_path / "best.safetensors", "classification"), model()
    for epoch, mcc in enumerate([0.1, 0.5, 0.5, 0.3], 1):
        offer(best, trained, epoch, mcc)
    best.restore(trained)
    assert (best.epoch, best.score) == (2, 0.5)
    assert bool((trained.head.output.weight == 2).all())


def test_a_resumed_run_goes_on_from_the_file(tmp_path: Path):
    file, trained = tmp_path / "best.safetensors", model()
    offer(BestEpoch(file, "classification"), trained, 1, 0.4)
    resumed = BestEpoch(file, "classification")
    offer(resumed, trained, 2, 0.3)
    resumed.restore(trained)
    assert (resumed.epoch, resumed.score) == (1, 0.4)
    assert bool((trained.head.output.weight == 1).all())


def test_an_undefined_score_loses_to_any_other(tmp_path: Path):
    file, trained = tmp_path / "best.safetensors", model()
    offer(BestEpoch(file, "classification"), trained, 1, None)
    resumed = BestEpoch(file, "classification")
    assert resumed.epoch == 1
    offer(resumed, trained, 2, -0.9)
    assert resumed.epoch == 2


def test_the_statistics_of_batch_normalization_are_kept_with_the_weights(tmp_path: Path):
    backbone = {"model_type": "vqdna_convolutions", "hidden_size": 8}
    torch.manual_seed(0)
    model = GenomeEncoderForSequenceClassification.from_encoder(tiny_encoder(backbone=backbone)).train()
    bases = torch.randint(0, 4, (8, 40), dtype=torch.uint8)
    best = BestEpoch(tmp_path / "best.safetensors", "classification")
    best.offer(1, {"mcc": 0.5}, model)
    expected = model.eval()(bases).logits
    model.train()(bases)  # a later epoch moves the statistics, whatever it does to the weights
    assert not torch.allclose(model.eval()(bases).logits, expected)
    best.restore(model)
    assert torch.equal(model.eval()(bases).logits, expected)
