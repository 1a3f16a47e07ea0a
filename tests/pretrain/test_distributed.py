"""Stage 2 on two processes learns what one process learns, with a copy of the model on each or a part of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pretraining_on_ranks import STEPS, config, plain_descent, pretrained
from safetensors.torch import load_file

from vqdna.errors import InputError
from vqdna.results import read_json, read_metrics
from vqdna.simulation.genomes import simulate_genomes, write_genomes
from vqdna.vocabulary.train import VocabularyConfig, run_vocabulary

SCRIPT = Path(__file__).parents[1] / "examples" / "pretraining_on_ranks.py"
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
TOLERANCE = 2e-6
"""Of weights below 2 after six steps: ranks add gradients in another order, and a sum is rounded to its own size.
Were each rank's mean over its own masked tokens to count alike, they would be a thousand times as far apart."""

VOCABULARY = VocabularyConfig.model_validate(
    {
        "model": {"quantizer": "hrq", "level_sizes": [8, 16], "width": 16, "stem_width": 12, "num_blocks": 2},
        "data": {"window": 64, "evaluation_windows": 4},
        "training": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "precision": "fp32"},
    }
)

pytestmark = pytest.mark.slow


def write_inputs(folder):
    """`genomes/`, a quarter of them N in one place, and `vocabulary/`."""
    genomes = write_genomes(folder / "genomes", simulate_genomes(0, num_species=2, bases_per_species=6000))
    genomes = [path for path in genomes if ".fa" in path.name]
    for path in genomes:
        head, _, rest = path.read_text().partition("\n")
        path.write_text(f"{head}\n{rest[:1000]}{'N' * 1500}{rest[2500:]}")
    run_vocabulary(VOCABULARY, genomes=genomes, out=folder / "vocabulary", seed=0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folder of the finished runs of two ranks, and of those of one rank whose names begin with `one-`."""
    folder = tmp_path_factory.mktemp("ranks")
    write_inputs(folder)
    command = [sys.executable, str(SCRIPT)]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(folder)], env=ALONE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=300)
        assert rank.returncode == 0, errors.decode()[-3000:]
    with plain_descent():
        pretrained(folder, "one-sgd", config())
    pretrained(folder, "one-adamw", config())
    return folder


def weights(run, model="masked_model"):
    return load_file(run / model / "model.safetensors")


def assert_close(run, wanted, model="masked_model"):
    found, expected = weights(run, model), weights(wanted, model)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=0, atol=TOLERANCE), (name, (found[name] - value).abs().max())


def assert_same_bits(run, wanted):
    found, expected = weights(run), weights(wanted)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def curves(run):
    """Numbers of metrics.jsonl, those of each line in a dictionary."""
    return [{name: value for name, value in record.items() if value is not None} for record in read_metrics(run)]


@pytest.mark.parametrize("run", ["sgd", "sgd-fsdp"])
def test_two_ranks_descend_like_one_from_unequally_many_masked_tokens(runs, run):
    assert_close(runs / run, runs / "one-sgd")


def test_two_ranks_learn_by_adamw_what_one_learns(runs):
    assert_close(runs / "adamw", runs / "one-adamw")


@pytest.mark.parametrize(("run", "alone"), [("sgd", "one-sgd"), ("sgd-fsdp", "one-sgd"), ("adamw", "one-adamw")])
def test_the_log_of_two_ranks_is_that_of_one(runs, run, alone):
    found, wanted = (curves(runs / name / "metrics.jsonl") for name in (run, alone))
    assert [record["step"] for record in found] == [record["step"] for record in wanted]
    for record, expected in zip(found, wanted, strict=True):
        assert record == pytest.approx(expected, abs=1e-5, rel=1e-5)  # a norm above 1 is rounded to its own size
    assert sum("loss" in record for record in found) == STEPS
    assert sum("evaluation_loss" in record for record in found) == STEPS // 2


def test_a_split_model_is_saved_as_a_copied_one_is(runs):
    copied, split = runs / "whole-none", runs / "whole-fsdp"
    for model in ("model", "masked_model"):
        assert_close(split, copied, model)
        assert read_json(split / model / "config.json") == read_json(copied / model / "config.json")
    found, wanted = (read_json(run / "results.json") for run in (split, copied))
    assert found["parameters"] == wanted["parameters"]
    assert found["evaluation"]["loss"] == pytest.approx(wanted["evaluation"]["loss"], abs=1e-5)


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_ranks_killed_between_checkpoints_resume_to_the_same_bits(runs, sharding):
    killed, whole = runs / f"killed-{sharding}", runs / f"whole-{sharding}"
    assert_same_bits(killed, whole)
    assert curves(killed / "metrics.jsonl") == curves(whole / "metrics.jsonl")


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_one_rank_goes_on_from_a_checkpoint_of_two(runs, sharding):
    name = f"handed-over-{sharding}"
    checkpoint = runs / name / "checkpoints" / "checkpoint-3"
    assert weights(checkpoint.parent, checkpoint.name).keys() == weights(runs / "one-adamw").keys()
    pretrained(runs, name, config(sharding=sharding))
    assert_close(runs / name, runs / "one-adamw")


@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_a_nan_on_one_rank_ends_both_in_the_same_words(runs, sharding):
    said = [(runs / f"poisoned-{sharding}-{rank}.txt").read_text() for rank in range(2)]
    assert said[0] == said[1]
    assert said[0].startswith("the loss is no finite number at step 2; lower training.learning_rate")


def test_a_vocabulary_is_not_split(tmp_path):
    genomes = write_genomes(tmp_path, simulate_genomes(0, num_species=1, bases_per_species=4000))
    training = VOCABULARY.training.model_copy(update={"sharding": "fsdp"})
    with pytest.raises(InputError, match=r"training\.sharding: 'fsdp' cannot split codebooks"):
        run_vocabulary(
            VOCABULARY.model_copy(update={"training": training}),
            genomes=[path for path in genomes if ".fa" in path.name], out=tmp_path / "run", seed=0,
        )  # fmt: skip
