"""Numbers that are no numbers: the run ends with one line that names the step, and the last good checkpoint stays."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from vqdna.errors import InputError
from vqdna.training.run_folder import RunFolder
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import train
from vqdna.vocabulary.autoencoder import VQVAE
from vqdna.vocabulary.train import VocabularyConfig, build_vocabulary, run_vocabulary

SETTINGS = {"steps": 9, "batch_size": 4, "learning_rate": 1e-3, "save_every": 1, "log_every": 100, "precision": "fp32"}
MODEL = {"quantizer": "hrq", "level_sizes": [4, 8], "width": 8, "stem_width": 8, "num_blocks": 2}


class Slope(PreTrainedModel):
    """Loss, gradient and weight of one number each; at step `bad_step` what `poison` names is a NaN."""

    config_class = PretrainedConfig

    def __init__(self, poison, bad_step):
        super().__init__(PretrainedConfig())
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.poison, self.bad_step, self.step = poison, bad_step, 0
        self.post_init()

    def forward(self, values):
        self.step += 1
        loss = (self.weight * values).mean()
        if self.poison == "loss" and self.step == self.bad_step:
            loss = loss * float("nan")
        if self.poison == "gradient" and self.step == self.bad_step:
            loss.register_hook(lambda gradient: gradient * float("nan"))
        return ModelOutput(loss=loss)

    def update_codebooks(self):
        """Called after each optimizer step, as a vocabulary's."""
        if self.poison == "weight" and self.step == self.bad_step:
            self.weight.data.fill_(float("nan"))


def kept_checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("checkpoint-*"))


@pytest.mark.parametrize("poison", ["loss", "gradient", "weight"])
def test_a_nan_between_two_logs_names_its_step_and_reaches_no_checkpoint(poison, tmp_path):
    model = Slope(poison, bad_step=5)
    collate = {"weight": "weight holds a NaN or an infinity after step 5"}
    with pytest.raises(InputError, match=collate.get(poison, f"the {poison} is nan at step 5")):
        train(
            model, torch.ones(36, 1), TrainingSettings(**SETTINGS), RunFolder(tmp_path), seed=0,
            collate=lambda rows: {"values": torch.stack(rows)}, loss_terms=(),
        )  # fmt: skip
    assert kept_checkpoints(tmp_path) == ["checkpoint-3", "checkpoint-4"]
    for name in kept_checkpoints(tmp_path):
        weights = load_file(tmp_path / "checkpoints" / name / "model.safetensors")
        assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())


def test_a_nan_after_the_last_step_is_not_saved_as_the_model(tmp_path, monkeypatch):
    real = VQVAE.update_codebooks

    def poisoned(self):
        real(self)
        if int(self.quantizer.codebooks[0].num_updates) == 3:
            self.base_decoder.narrow.weight.data[0] = float("inf")

    monkeypatch.setattr(VQVAE, "update_codebooks", poisoned)
    genome = tmp_path / "genome.fa"
    genome.write_text(">a\n" + "".join(np.random.default_rng(0).choice(list("ACGT"), 4000)) + "\n")
    training = {**SETTINGS, "steps": 3, "save_every": 0}
    config = {"model": MODEL, "data": {"window": 32, "evaluation_windows": 4}, "training": training}
    with pytest.raises(InputError, match=r"base_decoder.narrow.weight .* after step 3"):
        run_vocabulary(VocabularyConfig.model_validate(config), genomes=[genome], out=tmp_path / "run", seed=0)
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "results.json").exists()


def test_a_genome_of_n_only_is_refused(tmp_path):
    genome = tmp_path / "genome.fa"
    genome.write_text(">a\n" + "N" * 4000 + "\n")
    config = {"model": MODEL, "data": {"window": 32, "evaluation_windows": 4}, "training": SETTINGS}
    with pytest.raises(InputError, match="N"):
        run_vocabulary(VocabularyConfig.model_validate(config), genomes=[genome], out=tmp_path / "run", seed=0)
    assert not (tmp_path / "run").exists()


def test_windows_of_n_only_give_finite_losses_gradients_and_codebooks():
    settings = VocabularyConfig.model_validate({"model": MODEL, "training": SETTINGS}).model
    model = build_vocabulary(settings, 0).train()
    for base_ids in (torch.randint(0, 4, (4, 32), dtype=torch.uint8), torch.full((4, 32), 4, dtype=torch.uint8)):
        output = model(base_ids)
        output.loss.backward()
        model.update_codebooks()
    assert output.reconstruction == 0
    assert torch.isfinite(output.loss)
    assert all(bool(torch.isfinite(weight.grad).all()) for weight in model.parameters() if weight.grad is not None)
    assert all(bool(torch.isfinite(value).all()) for value in model.state_dict().values())
