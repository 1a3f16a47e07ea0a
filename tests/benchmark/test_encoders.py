"""Tokenizers with encoders that the benchmark makes itself, on a genome and a task of a few thousand bases."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vqdna.benchmark.budget import Budget, load_budget
from vqdna.benchmark.encoders import OWN_ENCODERS, encoder_folder, is_ready, prepare_encoder, pretraining_of
from vqdna.benchmark.runner import checked_grid, run_grid
from vqdna.encoder.genome_encoder import load_encoder
from vqdna.results import read_json

QUICK = """
base: {base}
backbone:
  {{hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 48,
    layer_types: [sliding_attention]}}
stem: {{width: 16}}
data: {{window: 256, evaluation_windows: 4}}
training: {{steps: 3, batch_size: 4, evaluate_every: 3, save_every: 3, precision: fp32}}
"""


@pytest.fixture
def budget(tmp_path) -> Budget:
    """A budget of a few steps."""
    base = Path(__file__).parents[2] / "configs/pretrain/rival.yaml"
    (tmp_path / "quick.yaml").write_text(QUICK.format(base=base))
    limits = {"pretrain": str(tmp_path / "quick.yaml"), "sequences_seen": 60, "max_epochs": 1, "search": {}}
    return load_budget("cpu").model_copy(update=limits)


@pytest.fixture
def root(tmp_path) -> Path:
    """Data root with a genome, and mouse/3 whose class 1 is rich in G and C."""
    random, root = np.random.default_rng(0), tmp_path / "data"
    (root / "genomes").mkdir(parents=True)
    (root / "genomes/one.fa").write_text(">one\n" + "".join(random.choice(list("ACGT"), 40_000)) + "\n")
    (root / "gue/mouse/3").mkdir(parents=True)
    for split, count in (("train", 60), ("dev", 20), ("test", 20)):
        texts = ["".join(random.choice(list(("AAT" if n % 2 else "GGC") + "ACGT"), 60)) for n in range(count)]
        rows = "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts))
        (root / f"gue/mouse/3/{split}.csv").write_text("sequence,label\n" + rows)
    return root


def test_a_position_is_four_to_six_bases_for_every_tokenizer():
    limits = load_budget("cpu")
    merged = {name: pretraining_of(encoder, limits).stem.merge for name, encoder in OWN_ENCODERS.items()}
    assert merged["kmer6"] == merged["bpe"] == 1
    assert {merged[name] for name in ("vqdna-views", "vqdna-hrq", "vqdna-vq", "nucleotide", "kmer3")} == {4}


def test_every_encoder_is_pre_trained_by_the_same_steps_questions_and_shape():
    def without_tokenizer(name: str) -> dict:
        config = pretraining_of(OWN_ENCODERS[name], load_budget("cpu")).model_dump()
        config["stem"].pop("merge")
        config.pop("num_levels")
        return config

    assert all(
        without_tokenizer(name) == without_tokenizer("vqdna-hrq")
        for name in OWN_ENCODERS
        if not OWN_ENCODERS[name].config
    )


def test_hyena_answers_the_same_questions_as_often():
    limits = load_budget("cpu")
    hyena, other = (pretraining_of(OWN_ENCODERS[name], limits) for name in ("hyena", "nucleotide"))
    alike = (
        "stem",
        "masking",
        "contrast",
        "shuffling",
        "target",
        "data",
        "training",
        "code_embedding",
        "fixed_embedding",
    )
    assert [name for name in alike if getattr(hyena, name) != getattr(other, name)] == []
    assert hyena.backbone["bidirectional"]


@pytest.mark.slow
def test_tokenizers_are_pre_trained_fine_tuned_and_averaged_with_their_counts(root, tmp_path, budget):
    out = tmp_path / "out"
    silent = Console(file=io.StringIO())
    grid = checked_grid(["kmer6", "random-init"], ["mouse/3"], 1, out, root, budget=budget)
    rows = run_grid(grid, console=silent).rows
    assert {row.system for row in rows} == {"kmer6", "random-init"}
    record = read_json(out / "full/kmer6/mouse/3/seed-0/results.json")
    assert set(record["searched"]["dev"]) == {"both-strands", "one-strand"}
    assert set(record["parts"]) == {"encoder", "counts"}
    shares, losses = record["blend"]["shares"], record["blend"]["losses"]
    assert list(shares) == ["encoder", "counts"]
    assert losses[" ".join(map(str, shares.values()))] == min(losses.values())
    assert record["pretraining_bases"] == 3 * 4 * 256
    assert record["flops_per_base"] > 0
    assert record["peak_memory"] is None or record["peak_memory"] > 0
    assert read_json(out / "full/random-init/mouse/3/seed-0/results.json")["pretraining_bases"] == 0
    left = out / "runs/full/kmer6/mouse/3/both-strands-seed-0/run"
    assert (left / "metrics.jsonl").is_file()
    assert not (left / "model").exists()  # weights of hundreds of runs would fill a disk
    assert (out / "tables/full/mouse/3/counts-shipped/outcome.npz").is_file()  # for all encoders of this tokenizer
    shutil.rmtree(out / "full")
    for outcome in out.rglob("outcome.npz"):
        outcome.unlink()  # as if cut off when a training had ended
    again = run_grid(grid, console=silent).rows
    assert [(row.system, row.mcc, row.parts) for row in again] == [(row.system, row.mcc, row.parts) for row in rows]


@pytest.mark.slow
def test_a_finished_encoder_is_kept_and_byte_pairs_are_learned_from_the_genomes(root, tmp_path, budget, monkeypatch):
    monkeypatch.setattr("vqdna.benchmark.encoders.BPE_WORDS", 64)
    genomes, out = [root / "genomes/one.fa"], tmp_path / "out"
    assert not is_ready("bpe", out)
    prepare_encoder("bpe", budget, genomes, out)
    assert is_ready("bpe", out)
    assert load_encoder(encoder_folder("bpe", out)).tokenizer.kind == "bpe"
    before = (encoder_folder("bpe", out) / "model/model.safetensors").stat().st_mtime_ns
    prepare_encoder("bpe", budget, genomes, out)
    assert (encoder_folder("bpe", out) / "model/model.safetensors").stat().st_mtime_ns == before
