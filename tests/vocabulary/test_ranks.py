"""Ranks and accumulated passes learn what one rank learns from the whole batch at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vqdna.simulation.genomes import simulate_genomes, write_genomes

SCRIPT = Path(__file__).parents[1] / "examples" / "codebook_on_ranks.py"
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
TOLERANCE = 1e-6
"""Of a tensor's largest entry, or of 1 where all are smaller: sums over a batch are rounded to their own size."""


def on_ranks(what, num_ranks, folder):
    """States by cut of every rank."""
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), what]
    ranks = [
        subprocess.Popen([*command, str(rank), str(num_ranks), str(folder)], env=ALONE, stderr=subprocess.PIPE)
        for rank in range(num_ranks)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=300)
        assert rank.returncode == 0, errors.decode()[-3000:]
    return [by_cut(load_file(folder / f"rank-{rank}.safetensors")) for rank in range(num_ranks)]


def by_cut(flat):
    states = {}
    for name, value in flat.items():
        cut, key = name.split("/")
        states.setdefault(cut, {})[key] = value
    return states


def assert_same(state, wanted):
    assert state.keys() == wanted.keys()
    for name, value in wanted.items():
        assert state[name].dtype == value.dtype, name
        difference, scale = (state[name].double() - value.double()).abs().max(), value.double().abs().max()
        assert difference <= TOLERANCE * max(1.0, float(scale)), (name, float(difference))


def assert_cuts_agree(ranks, whole):
    """Every rank holds the same to the bit, whatever the cut what one rank holds that saw all at once."""
    for cut, state in ranks[0].items():
        for other in ranks[1:]:
            assert all(torch.equal(other[cut][name], value) for name, value in state.items()), cut
        assert_same(state, whole["bfloat16" if cut == "bfloat16" else "whole"])


@pytest.fixture(scope="module")
def codebooks_of_one_rank(tmp_path_factory):
    return on_ranks("codebooks", 1, tmp_path_factory.mktemp("ranks") / "one")[0]


def test_accumulated_passes_learn_what_one_pass_learns(codebooks_of_one_rank):
    assert_cuts_agree([codebooks_of_one_rank], codebooks_of_one_rank)
    assert codebooks_of_one_rank["whole"]["revived"] > 0


def test_the_codebook_is_float32_under_autocast(codebooks_of_one_rank):
    state = codebooks_of_one_rank["bfloat16"]
    assert all(value.dtype == torch.float32 for name, value in state.items() if value.is_floating_point())


def test_two_ranks_learn_the_codebooks_of_one(tmp_path, codebooks_of_one_rank):
    assert_cuts_agree(on_ranks("codebooks", 2, tmp_path / "two"), codebooks_of_one_rank)


@pytest.mark.slow
def test_four_ranks_learn_the_codebooks_of_one(tmp_path, codebooks_of_one_rank):
    assert_cuts_agree(on_ranks("codebooks", 4, tmp_path / "four"), codebooks_of_one_rank)


@pytest.fixture(scope="module")
def objectives_of_one_rank(tmp_path_factory):
    return on_ranks("objectives", 1, tmp_path_factory.mktemp("ranks") / "objectives")[0]


def test_accumulated_passes_learn_every_objective_of_one_pass(objectives_of_one_rank):
    assert_cuts_agree([objectives_of_one_rank], objectives_of_one_rank)


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 4])
def test_ranks_learn_every_objective_of_one(tmp_path, num_ranks, objectives_of_one_rank):
    assert_cuts_agree(on_ranks("objectives", num_ranks, tmp_path / "many"), objectives_of_one_rank)


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 4])
def test_ranks_learn_the_weights_of_one_from_windows_of_unequal_number_and_n(tmp_path, num_ranks):
    one = on_ranks("vocabulary", 1, tmp_path / "one")
    assert_cuts_agree(one, one[0])
    assert_cuts_agree(on_ranks("vocabulary", num_ranks, tmp_path / "many"), one[0])


@pytest.mark.slow
def test_torchrun_trains_the_vocabulary_of_a_single_process(tmp_path):
    genomes = write_genomes(tmp_path / "genomes", simulate_genomes(0, num_species=2, bases_per_species=6000))
    for path in genomes:  # some N, so that windows count differently
        head, _, rest = path.read_text().partition("\n")
        path.write_text(f"{head}\n{rest[:1000]}{'N' * 400}{rest[1400:]}")
    common = [
        "-m", "vqdna", "vocabulary", "--config", "demo", "--genomes", *map(str, genomes), "--quiet",
        "--set", "model.level_sizes=[8, 16]", "model.width=16", "model.stem_width=12", "model.num_blocks=2",
        "data.window=64", "data.evaluation_windows=4", "training.steps=4", "training.batch_size=8",
        "training.precision=fp32",
    ]  # fmt: skip
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    cuts = {"one": (), "accumulated": (), "two": (*torchrun, "2"), "four": (*torchrun, "4")}
    weights = {}
    for name, launcher in cuts.items():
        passes = ["training.gradient_accumulation=2"] if name in ("accumulated", "two") else []
        command = [sys.executable, *launcher, *common, *passes, "--out", str(tmp_path / name)]
        ended = subprocess.run(command, env=ALONE, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr[-3000:]
        weights[name] = load_file(tmp_path / name / "model" / "model.safetensors")
    for name in cuts:
        for key, value in weights["one"].items():
            # AdamW divides by the size of the gradient, so one near zero carries rounding into the weight
            assert torch.allclose(weights[name][key].float(), value.float(), atol=1e-4), (name, key)
