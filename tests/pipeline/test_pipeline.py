"""All commands one after the other on simulated data, as a newcomer would type them."""

import csv
import json

import pyarrow.parquet
import pytest

from vqdna.cli import main

# float32: under bfloat16 accelerate rebuilds model outputs from a dict, which the type checks of tests refuse.
SMALL_VOCABULARY = (
    "model.level_sizes=[16, 32]", "model.width=24", "model.stem_width=16", "data.window=128",
    "data.evaluation_windows=8", "training.steps=30", "training.batch_size=8",
    "training.evaluate_every=15", "training.save_every=15", "training.precision=fp32",
)  # fmt: skip
SMALL_ENCODER = (
    "backbone.hidden_size=32", "backbone.num_hidden_layers=2", "backbone.num_attention_heads=2",
    "backbone.intermediate_size=48", "data.window=128", "data.evaluation_windows=8", "training.steps=10",
    "training.batch_size=4", "training.evaluate_every=5", "training.save_every=5",
    "training.precision=fp32",
)  # fmt: skip


def run(capsys, *arguments):
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        assert ended.code in (0, None), capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.slow
def test_from_genomes_to_predictions_and_a_report(tmp_path, capsys):
    run(capsys, "simulate", "--out", tmp_path / "data", "--species", 2, "--bases", 20000, "--sequences", 120)
    genomes = sorted((tmp_path / "data" / "genomes").glob("*.fa*"))
    task = {split: tmp_path / "data" / "promoter" / f"{split}.csv" for split in ("train", "dev", "test")}
    splits = [part for split, path in task.items() for part in (f"--{split}", path)]

    stage1 = json.loads(
        run(capsys, "vocabulary", "--config", "demo", "--genomes", *genomes, "--out", tmp_path / "hrq", "--json",
            "--set", *SMALL_VOCABULARY)
    )  # fmt: skip
    assert stage1["evaluation"]["reconstruction_accuracy"] > 0.5
    assert [level["size"] for level in stage1["evaluation"]["levels"]] == [16, 32]

    stage2 = json.loads(
        run(capsys, "pretrain", "--config", "demo", "--vocabulary", tmp_path / "hrq", "--genomes", *genomes,
            "--out", tmp_path / "encoder", "--json", "--set", *SMALL_ENCODER)
    )  # fmt: skip
    assert len(stage2["evaluation"]["masked_accuracy"]) == 2

    stage3 = json.loads(
        run(capsys, "finetune", "--config", "demo", "--encoder", tmp_path / "encoder", *splits, "--out", tmp_path /
        "task",
            "--json", "--set", "training.epochs=1")
    )  # fmt: skip
    assert {"mcc", "f1_macro", "accuracy", "auroc"} <= stage3["test"].keys()
    assert {"seed", "seconds", "command"} <= stage3.keys()

    predictions = list(csv.DictReader(run(capsys, "predict", "--model", tmp_path / "task", task["test"]).splitlines()))
    truth = [row["label"] for row in csv.DictReader(task["test"].open())]
    right = sum(row["prediction"] == label for row, label in zip(predictions, truth, strict=True))
    assert right / len(truth) == pytest.approx(stage3["test"]["accuracy"])

    run(capsys, "encode", "--vocabulary", tmp_path / "hrq", genomes[0], "-o", tmp_path / "codes.parquet")
    codes = pyarrow.parquet.read_table(tmp_path / "codes.parquet")
    assert codes.column_names == ["name", "start", "end", "level_0", "level_1"]
    assert codes.num_rows == 20000

    probe = json.loads(
        run(capsys, "probe", "--vocabulary", tmp_path / "hrq", *splits, "--out", tmp_path / "probe", "--json")
    )
    assert probe["representations"].keys() == {"mean", "histogram", "coarse", "fine"}

    report = [tmp_path / name for name in ("hrq", "encoder", "task", "probe")]
    run(capsys, "report", *report, "-o", tmp_path / "report.html", "--summary", tmp_path / "results.json")
    assert f"{100 * stage3['test']['mcc']:.1f}" in (tmp_path / "report.html").read_text()
    assert {"hrq", "encoder", "task", "probe"} <= json.loads((tmp_path / "results.json").read_text())["runs"].keys()
