"""A run that is killed and started again ends with the same bits as one that was never disturbed."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from vqdna.errors import InputError
from vqdna.pretrain.train import PretrainConfig, run_pretrain
from vqdna.results import read_metrics
from vqdna.simulation.genomes import simulate_genomes, write_genomes
from vqdna.training import trainer as trainer_module
from vqdna.training.settings import TrainingSettings
from vqdna.training.trainer import StageTrainer
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

TRAINING = {"steps": 8, "batch_size": 4, "learning_rate": 1e-3, "save_every": 3, "log_every": 1, "precision": "fp32"}
VOCABULARY = VocabularyConfig.model_validate(
    {
        "model": {"quantizer": "hrq", "level_sizes": [8, 16], "width": 16, "stem_width": 12, "num_blocks": 2},
        "data": {"window": 64, "evaluation_windows": 4},
        "training": TRAINING,
    }
)
OBJECTIVES = VocabularyConfig.model_validate(
    {
        "model": {
            "quantizer": "product", "level_sizes": [8, 16], "views": [[-1, 0, 1], [-3, 0, 2]], "width": 16,
            "stem_width": 12, "decoder": "pointwise", "target_reach": 2, "masked_base_fraction": 0.2,
            "masked_base_span": 2, "strand_weight": 0.5, "neighbor_weight": 0.5, "neighbor_bases": 16,
            "codebook_warm_up_decay": True,
        },
        "data": {"window": 64, "evaluation_windows": 4},
        "training": TRAINING,
    }
)  # fmt: skip
PRETRAIN = PretrainConfig.model_validate(
    {
        "backbone": {
            "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 24, "attention_dropout": 0.1,
        },
        "data": {"window": 64, "evaluation_windows": 4},
        "training": TRAINING,
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def genomes(tmp_path_factory):
    return write_genomes(tmp_path_factory.mktemp("genomes"), simulate_genomes(0, num_species=2, bases_per_species=6000))


class Killed(BaseException):
    """Stands for the process's end: nothing in the code under test may catch it."""


def weights(out: Path):
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(out / "model" / "model.safetensors").items()}


def run_stage(stage, genomes, out, tmp_path):
    if stage == "vocabulary":
        return run_vocabulary(VOCABULARY, genomes=genomes, out=out, seed=0)
    if stage == "objectives":
        return run_vocabulary(OBJECTIVES, genomes=genomes, out=out, seed=0)
    return run_pretrain(PRETRAIN, tokenizer="nucleotide", genomes=genomes, out=out, seed=0)


@pytest.mark.parametrize("stage", ["vocabulary", "objectives", "pretrain"])
def test_killed_while_writing_a_checkpoint_then_resumed_gives_the_same_bits(stage, genomes, tmp_path, monkeypatch):
    run_stage(stage, genomes, tmp_path / "whole", tmp_path)

    def put_half_in_place(staging, target):
        if target.name == "checkpoint-6":
            raise Killed
        real(staging, target)

    real = trainer_module.put_in_place
    monkeypatch.setattr(trainer_module, "put_in_place", put_half_in_place)
    with pytest.raises(Killed):
        run_stage(stage, genomes, tmp_path / "killed", tmp_path)
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").glob("checkpoint-*")] == ["checkpoint-3"]
    assert not (tmp_path / "killed" / "results.json").exists()

    monkeypatch.setattr(trainer_module, "put_in_place", real)
    run_stage(stage, genomes, tmp_path / "killed", tmp_path)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")
    curves = [[r.get("loss") for r in read_metrics(tmp_path / run / "metrics.jsonl")] for run in ("whole", "killed")]
    assert curves[0] == curves[1]
    if stage == "objectives":
        logged = read_metrics(tmp_path / "whole" / "metrics.jsonl")[0]
        assert all(logged[name] > 0 for name in ("reconstruction", "commitment", "strand", "neighbor"))


KILLED_IN_A_PASS = """
import os, signal, sys
from pathlib import Path
import torch
from vqdna.training.trainer import StageTrainer
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

torch.set_num_threads(1)
genomes, out, config, last_pass = sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
real, passes = StageTrainer.compute_loss, []

def compute_loss(self, *arguments, **options):
    loss = real(self, *arguments, **options)
    passes.append(loss)
    if len(passes) == last_pass:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss

StageTrainer.compute_loss = compute_loss
run_vocabulary(VocabularyConfig.model_validate_json(config), genomes=genomes, out=out, seed=0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_kill_dash_nine_in_a_random_pass_then_resumed_gives_the_same_bits(seed, genomes, tmp_path):
    """A real process, ended by SIGKILL behind a forward pass, with statistics waiting for an update."""
    passes, steps = 2, TRAINING["steps"]
    last_pass = random.Random(seed).randrange(TRAINING["save_every"] * passes + 1, steps * passes)
    training = TrainingSettings(**{**TRAINING, "gradient_accumulation": passes})
    model = VOCABULARY.model.model_copy(update={"codebook_decay": 0.5, "dead_code_threshold": 2.0})  # codes are revived
    config = VOCABULARY.model_copy(update={"training": training, "model": model})
    run_vocabulary(config, genomes=genomes, out=tmp_path / "whole", seed=0)
    out = tmp_path / "killed"
    arguments = [",".join(map(str, genomes)), str(out), config.model_dump_json(), str(last_pass)]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_IN_A_PASS, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-2000:]
    run_vocabulary(config, genomes=genomes, out=out, seed=0)
    assert weights(out) == weights(tmp_path / "whole")
    assert "quantizer.codebooks.1.ema_sums" in weights(out)
    curves = [[r.get("loss") for r in read_metrics(tmp_path / run / "metrics.jsonl")] for run in ("whole", "killed")]
    assert curves[0] == curves[1]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_serves(genomes, tmp_path, monkeypatch):
    run_stage("vocabulary", genomes, tmp_path / "whole", tmp_path)
    monkeypatch.setattr(trainer_module.RunFolder, "save_model", lambda *args: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        run_stage("vocabulary", genomes, tmp_path / "killed", tmp_path)
    monkeypatch.undo()
    newest = tmp_path / "killed" / "checkpoints" / "checkpoint-8"
    weights_file = newest / "model.safetensors"
    weights_file.write_bytes(weights_file.read_bytes()[:100])
    with pytest.raises(InputError, match="checkpoint-8: damaged checkpoint"):
        run_stage("vocabulary", genomes, tmp_path / "killed", tmp_path)
    shutil.rmtree(newest)
    run_stage("vocabulary", genomes, tmp_path / "killed", tmp_path)
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_a_finished_run_is_not_run_again(genomes, tmp_path, monkeypatch):
    first = run_stage("vocabulary", genomes, tmp_path / "run", tmp_path)
    monkeypatch.setattr(StageTrainer, "train", lambda *args, **kwargs: pytest.fail("trained again"))
    assert run_stage("vocabulary", genomes, tmp_path / "run", tmp_path) == first


def test_old_checkpoints_are_removed_and_all_after_the_end(genomes, tmp_path, monkeypatch):
    seen = []
    real = StageTrainer._save_checkpoint

    def watch(self, model, trial):
        real(self, model, trial)
        seen.append(sorted(path.name for path in Path(self.args.output_dir).glob("checkpoint-*")))

    monkeypatch.setattr(StageTrainer, "_save_checkpoint", watch)
    config = VOCABULARY.model_copy(update={"training": TrainingSettings(**{**TRAINING, "save_every": 2})})
    run_vocabulary(config, genomes=genomes, out=tmp_path / "run", seed=0)
    assert seen[-1] == ["checkpoint-6", "checkpoint-8"]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_loss_that_is_no_number_names_the_step_and_keeps_the_checkpoint(genomes, tmp_path):
    training = TrainingSettings(**{**TRAINING, "learning_rate": 1e30, "save_every": 1, "max_gradient_norm": 1e30})
    config = VOCABULARY.model_copy(update={"training": training})
    with pytest.raises(InputError, match=r"the loss is .* at step \d+; lower training.learning_rate"):
        run_vocabulary(config, genomes=genomes, out=tmp_path / "run", seed=0)
    assert not (tmp_path / "run" / "results.json").exists()
