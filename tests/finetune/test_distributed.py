"""Stage 3 on two processes learns what one process learns, though the last update of an epoch has a single record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from example_tasks import saved_encoder
from finetuning_on_ranks import NUM_RECORDS, run_all, write_tasks
from safetensors.torch import load_file
from torch import Tensor

from vqdna.results import read_json, read_metrics

SCRIPT = Path(__file__).parents[1] / "examples" / "finetuning_on_ranks.py"
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}
TOLERANCE = 2e-6
"""Of weights below 2 after ten steps: ranks add gradients in another order, and a sum is rounded to its own size."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of finished runs: `one-...` of one rank, `two-...` of two, and the rest of two."""
    folder = tmp_path_factory.mktemp("ranks")
    saved_encoder(folder / "encoder")
    write_tasks(folder)
    command = [sys.executable, str(SCRIPT)]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(folder)], env=ALONE, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=300)
        assert rank.returncode == 0, errors.decode()[-3000:]
    run_all(folder, "one-", 0)
    return folder


def weights(run: Path) -> dict[str, Tensor]:
    return load_file(run / "model" / "model.safetensors")


def passes(runs: Path, prefix: str, rank: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (runs / f"{prefix}records-{rank}.jsonl").read_text().splitlines()]


def records_of_update(passes: list[dict[str, Any]], step: int) -> list[list[int]]:
    """Codes, without padding, of the records of an update that count."""
    counting = [one for one in passes if one["step"] == step and one["share"] > 0]
    return [[code for (code,) in record if code] for one in counting for record in one["codes"]]


@pytest.mark.parametrize("run", ["sgd-full", "sgd-lora", "sgd-multilabel", "sgd-regression", "adamw-lora"])
def test_two_ranks_learn_what_one_learns(runs: Path, run: str) -> None:
    found, expected = weights(runs / f"two-{run}"), weights(runs / f"one-{run}")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=0, atol=TOLERANCE), (name, (found[name] - value).abs().max())


@pytest.mark.parametrize("run", ["sgd-full", "sgd-regression", "adamw-lora"])
def test_two_ranks_choose_and_score_as_one(runs: Path, run: str) -> None:
    found, expected = (read_json(runs / f"{number}-{run}" / "results.json") for number in ("two", "one"))
    assert found["best_epoch"] == expected["best_epoch"]
    assert found["dev"] == pytest.approx(expected["dev"], abs=1e-5)
    logs = [read_metrics(runs / f"{number}-{run}" / "metrics.jsonl") for number in ("two", "one")]
    for record, wanted in zip(*logs, strict=True):
        assert record == pytest.approx(wanted, abs=1e-5)


def test_the_ranks_share_the_records_of_each_update_in_order(runs: Path) -> None:
    """In both epochs, which differ, each rank has its half and every record comes once an epoch."""
    first, second, alone = passes(runs, "two-", 0), passes(runs, "two-", 1), passes(runs, "one-", 0)
    updates = range(2 * -(-NUM_RECORDS // 8))
    for step in updates:
        parts = [records_of_update(rank, step) for rank in (first, second)]
        assert parts[0] + parts[1] == records_of_update(alone, step)
    half = len(updates) // 2
    epochs = [[r for step in part for r in records_of_update(alone, step)] for part in (updates[:half], updates[half:])]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert len(epochs[0]) == NUM_RECORDS


def test_two_ranks_killed_between_checkpoints_resume_to_the_same_bits(runs: Path) -> None:
    killed, whole = weights(runs / "killed"), weights(runs / "whole")
    assert killed.keys() == whole.keys()
    assert all(torch.equal(killed[name], value) for name, value in whole.items())
    assert read_metrics(runs / "killed" / "metrics.jsonl") == read_metrics(runs / "whole" / "metrics.jsonl")
    found, expected = (read_json(runs / name / "results.json") for name in ("killed", "whole"))
    assert (found["best_epoch"], found["dev"]) == (expected["best_epoch"], expected["dev"])
