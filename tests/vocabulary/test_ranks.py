"""Two ranks hold the same codebooks, and those of one rank that saw the whole batch."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vqdna.genome.simulate import simulate_genomes, write_genomes

SCRIPT = Path(__file__).with_name("codebook_on_ranks.py")


def torchrun(*arguments):
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *map(str, arguments),
    ]
    ended = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]


def one_rank():
    spec = importlib.util.spec_from_file_location("codebook_on_ranks", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run(0, 1)


@pytest.mark.slow
def test_two_ranks_agree_with_each_other_and_with_one(tmp_path):
    torchrun(SCRIPT, tmp_path)
    first, second = (load_file(tmp_path / f"rank-{rank}.safetensors") for rank in range(2))
    whole = one_rank()
    assert first.keys() == second.keys() == whole.keys()
    for name, value in whole.items():
        assert torch.equal(first[name], second[name]), name
        assert torch.allclose(first[name], value, atol=1e-5, rtol=1e-5), name


@pytest.mark.slow
def test_torchrun_trains_the_vocabulary_of_a_single_process(tmp_path):
    genomes = write_genomes(tmp_path / "genomes", simulate_genomes(0, num_species=2, bases_per_species=6000))
    common = [
        "vocabulary", "--config", "demo", "--genomes", *map(str, genomes), "--quiet",
        "--set", "model.level_sizes=[8, 16]", "model.width=16", "model.stem_width=12", "model.num_blocks=2",
        "data.window=64", "data.evaluation_windows=4", "training.steps=4", "training.batch_size=4",
        "training.precision=fp32",
    ]  # fmt: skip
    torchrun("-m", "vqdna", *common, "--out", tmp_path / "two")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-m", "vqdna", *common, "--out", str(tmp_path / "one")], env=environment, check=True
    )
    one, two = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("one", "two"))
    assert all(torch.allclose(one[name].float(), two[name].float(), atol=1e-4) for name in one)
