from __future__ import annotations

from pathlib import Path

import pytest
import torch
from example_tasks import saved_encoder, tiny_encoder

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.finetune.heads import GenomeEncoderForSequenceClassification, load_classifier
from vqdna.pretrain.objective import GenomeEncoderForMaskedModeling, load_masked_model


def test_run_folder_and_model_folder_are_the_same_encoder(tmp_path: Path):
    folder = saved_encoder(tmp_path / "run")
    assert load_encoder(folder).config.to_dict() == load_encoder(folder / "model").config.to_dict()


def test_an_encoder_where_a_fine_tuned_model_is_wanted_is_told_apart(tmp_path: Path):
    with pytest.raises(InputError, match="holds the model of `vqdna pretrain`, expected a model that `vqdna finetune`"):
        load_classifier(saved_encoder(tmp_path))


def test_a_fine_tuned_model_where_an_encoder_is_wanted_is_told_apart(tmp_path: Path):
    GenomeEncoderForSequenceClassification.from_encoder(tiny_encoder()).save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds the model of `vqdna finetune`, expected a model that `vqdna pretrain`"):
        load_encoder(tmp_path)


def test_the_heads_of_a_pre_training_are_told_apart_from_its_encoder(tmp_path: Path):
    model = GenomeEncoderForMaskedModeling.from_encoder(tiny_encoder())
    model.save_pretrained(tmp_path / "masked_model")
    loaded, saved = load_masked_model(tmp_path).state_dict(), model.state_dict()
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], weight) for name, weight in saved.items())
    with pytest.raises(InputError, match="holds a 'vqdna_masked_modeling', expected a model that `vqdna pretrain`"):
        load_encoder(tmp_path / "masked_model")


def test_missing_and_empty_folders_are_told_apart(tmp_path: Path):
    with pytest.raises(InputError, match="absent: no such folder"):
        load_encoder(tmp_path / "absent")
    with pytest.raises(InputError, match="no model here"):
        load_encoder(tmp_path)


def test_damaged_weights_are_one_line(tmp_path: Path):
    weights = saved_encoder(tmp_path) / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="the weights cannot be read") as caught:
        load_encoder(tmp_path)
    assert "\n" not in str(caught.value)
    weights.unlink()
    with pytest.raises(InputError, match="the weights cannot be read"):
        load_encoder(tmp_path)
