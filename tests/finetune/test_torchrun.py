"""Stages 2 and 3 typed behind torchrun: two processes make one run folder and print once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from example_tasks import write_task

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.finetune.heads import load_classifier
from vqdna.results import read_json
from vqdna.simulation.genomes import simulate_genomes, write_genomes

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vqdna"]
SMALL_ENCODER = (
    "backbone.hidden_size=16", "backbone.num_hidden_layers=2", "backbone.num_attention_heads=2",
    "backbone.intermediate_size=24", "data.window=64", "data.evaluation_windows=4", "training.steps=4",
    "training.batch_size=4", "training.log_every=1", "training.evaluate_every=2", "training.save_every=2",
    "training.precision=fp32", "training.sharding=fsdp",
)  # fmt: skip


def printed(*arguments: object) -> tuple[str, str]:
    """Standard output and standard error of a command on two processes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("VQDNA_QUIET", None)
    command = [*TORCHRUN, *map(str, arguments)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout, ended.stderr


@pytest.mark.slow
def test_torchrun_pretrains_and_finetunes_and_the_first_process_alone_prints(tmp_path: Path) -> None:
    genomes = write_genomes(tmp_path / "genomes", simulate_genomes(0, num_species=1, bases_per_species=6000))
    genomes = [path for path in genomes if ".fa" in path.name]
    encoder = tmp_path / "encoder"
    out, errors = printed(
        "pretrain", "--config", "demo", "--tokenizer", "kmer:3", "--genomes", *genomes, "--out", encoder, "--json",
        "--set", *SMALL_ENCODER,
    )  # fmt: skip
    assert json.loads(out) == read_json(encoder / "results.json")
    assert [errors.count(f"pretrain {step}/4") for step in (1, 3)] == [1, 1]
    assert read_json(encoder / "manifest.json")["ranks"] == 2
    assert not (encoder / "checkpoints").exists()
    assert load_encoder(encoder).config.backbone["hidden_size"] == 16

    train = write_task(tmp_path / "train.csv", "binary", 21, seed=0)
    out, errors = printed(
        "finetune", "--config", "demo", "--encoder", encoder, "--train", train, "--test", train, "--out",
        tmp_path / "task", "--json", "--set", "training.epochs=1", "training.batch_size=8", "training.precision=fp32",
    )  # fmt: skip
    assert json.loads(out) == read_json(tmp_path / "task" / "results.json")
    assert errors.count("finetune 3/3") <= 2  # the training loss and the score on dev
    assert load_classifier(tmp_path / "task").config.class_names == ["0", "1"]
