"""`--plan` says what a run of each stage will take, and starts none."""

import json

import pytest

from vqdna.cli import main
from vqdna.encoder.genome_encoder import GenomeEncoder
from vqdna.simulation.genomes import write_example
from vqdna.tokenizers import load_tokenizer

BACKBONE = {
    "model_type": "modernbert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 24,
}  # fmt: skip
SMALL = ("data.window=64", "training.steps=10", "training.batch_size=4", "training.precision=fp32")


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    folder = tmp_path_factory.mktemp("example")
    write_example(folder, num_species=1, bases_per_species=6000, num_train=40, seed=0)
    GenomeEncoder.from_tokenizer(load_tokenizer("nucleotide"), BACKBONE).save_pretrained(folder / "encoder")
    return folder


def arguments(stage, example):
    genomes = ("--genomes", example / "genomes")
    return {
        "vocabulary": ("vocabulary", "--config", "demo", *genomes, "--set", *SMALL),
        "pretrain": ("pretrain", "--config", "demo", "--tokenizer", "kmer:3", *genomes, "--set", *SMALL),
        "finetune": (
            "finetune", "--config", "demo", "--encoder", example / "encoder",
            "--train", example / "promoter" / "train.csv", "--set", "training.epochs=2", "training.precision=fp32",
        ),
    }[stage]  # fmt: skip


def said(capsys, *words):
    try:
        main([str(word) for word in words])
    except SystemExit as ended:
        assert ended.code in (0, None), capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize("stage", ["vocabulary", "pretrain", "finetune"])
def test_plan_is_printed_and_nothing_started(stage, example, tmp_path, capsys):
    out = ("--out", tmp_path / "run", "--plan")
    plan = json.loads(said(capsys, *arguments(stage, example), *out, "--json"))
    assert plan["seconds"] > 0
    assert 0 < plan["trainable_parameters"] <= plan["total_parameters"] == sum(plan["parameters"].values())
    assert plan["training_flops_per_base"] > plan["forward_flops_per_base"] > 0
    if stage == "finetune":
        assert plan["epochs"] == 2
    else:
        assert plan["bases"] == 10 * 4 * 64
    assert f"plan: {stage}" in said(capsys, *arguments(stage, example), *out)
    assert not (tmp_path / "run").exists()
