from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
from example_tasks import BERT, config, saved_encoder, tiny_vocabulary, write_task
from safetensors.torch import load_file

from vqdna.encoder.genome_encoder import load_encoder
from vqdna.errors import InputError
from vqdna.finetune.adapters import BestEpoch, load_adapter
from vqdna.finetune.heads import load_classifier
from vqdna.finetune.public import finetune_files
from vqdna.finetune.settings import FinetuneConfig
from vqdna.finetune.train import class_weights
from vqdna.inference.predict import predict_file
from vqdna.results import read_json, read_metrics
from vqdna.tasks.loading import LabelledSequences, read_labelled, split_off
from vqdna.tasks.metrics import task_metrics
from vqdna.tasks.registry import known_dataset
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

TWO_EPOCHS = config(training={"epochs": 2})


def finetuned(folder: Path, kind: str, settings: FinetuneConfig, **options: Any) -> dict[str, Any]:
    """Results of a run in `folder/run` on the planted task of that kind; encoder and tables are made where missing."""
    train, test = folder / f"{kind}.csv", folder / f"{kind}-test.csv"
    if not train.exists():
        write_task(train, kind, 256, seed=0)
        write_task(test, kind, 100, seed=1)
    if not (folder / "encoder").exists():
        saved_encoder(folder / "encoder", options.pop("tokenizer", None))
    given = {"encoder": folder / "encoder", "train": train, "dev": None, "test": test, "out": folder / "run", "seed": 0}
    return finetune_files(settings, **(given | options)).to_json()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run of two epochs, to look at only."""
    folder = tmp_path_factory.mktemp("shared")
    finetuned(folder, "binary", TWO_EPOCHS, dataset="planted")
    return folder


@pytest.mark.parametrize(
    ("kind", "metric", "at_least"),
    [
        ("binary", "mcc", 0.6),
        ("multiclass", "mcc", 0.8),
        ("multilabel", "mcc", 0.4),
        ("regression", "spearman", 0.7),
    ],
)
def test_all_four_kinds_of_task_are_learned(tmp_path: Path, kind: str, metric: str, at_least: float):
    results = finetuned(tmp_path, kind, config())
    assert results["test"][metric] > at_least
    assert results["task"] == ("classification" if kind in ("binary", "multiclass") else kind)
    assert results["num_classes"] == {"binary": 2, "multiclass": 3, "multilabel": 2, "regression": 1}[kind]


@pytest.mark.parametrize(
    ("settings", "at_least"),
    [
        (config(method="full", training={"learning_rate": 0.005}), 0.6),
        (config(method="linear", head={"hidden_size": 0}, training={"learning_rate": 0.1, "epochs": 6}), 0.3),
        (config(head={"pooling": "mean+max"}, class_weights="balanced", training={"precision": "auto"}), 0.6),
    ],
    ids=["full", "linear", "mean+max"],
)
def test_the_other_methods_learn_too(tmp_path: Path, settings: FinetuneConfig, at_least: float):
    results = finetuned(tmp_path, "binary", settings)
    assert results["test"]["mcc"] > at_least
    assert (tmp_path / "run" / "adapter").exists() == (settings.method == "lora")


def test_linear_probing_first_learns_what_the_rest_has_no_time_for(tmp_path: Path):
    short = {"learning_rate": 1e-9, "epochs": 1}
    plain = finetuned(tmp_path, "binary", config(training=short), out=tmp_path / "plain")
    start = {"epochs": 100, "learning_rate": 0.02}
    started = finetuned(tmp_path, "binary", config(training=short, head={"start": start, "standardize": True}))
    assert started["test"]["mcc"] > plain["test"]["mcc"] + 0.2
    assert started["best_epoch"] <= 1


def test_the_probed_head_is_kept_where_the_epochs_after_it_spoil_it(tmp_path: Path):
    start = {"epochs": 100, "learning_rate": 0.02}
    wild = config(training={"learning_rate": 30.0, "epochs": 2}, head={"start": start, "standardize": True})
    spoiled = finetuned(tmp_path, "binary", wild)
    assert spoiled["best_epoch"] == 0
    assert spoiled["test"]["mcc"] > 0.2


@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_batches_in_several_passes_learn_as_the_whole_ones_do(tmp_path: Path, weights: str):
    """230 rows in batches of 32: the last one is smaller, and classes are weighed over the batch."""
    losses = []
    for positions in (10_000, 150):
        settings = config(
            method="full", class_weights=weights, head={"dropout": 0.0},
            training={"epochs": 1, "learning_rate": 0.001, "max_positions_per_pass": positions},
        )  # fmt: skip
        finetuned(tmp_path, "multiclass", settings, out=tmp_path / str(positions))
        losses.append(
            [record["loss"] for record in read_metrics(tmp_path / str(positions) / "metrics.jsonl") if "loss" in record]
        )
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("10000", "150"))
    for name, weight in first.items():
        assert torch.allclose(weight.float(), second[name].float(), atol=2e-3), name


def test_results_and_metrics_have_what_reports_read(shared: Path):
    results = read_json(shared / "run" / "results.json")
    expected = {"stage": "finetune", "system": "kmer:3", "dataset": "planted", "seed": 0, "method": "lora", "epochs": 2}
    assert {key: results[key] for key in expected} == expected
    assert results["sequences"] == {"train": 230, "dev": 26, "test": 100}
    assert 0 < results["parameters"]["trainable"] < results["parameters"]["total"]
    assert 1 <= results["best_epoch"] <= 2
    assert results["command"].startswith("vqdna")
    assert results["seconds"] > 0
    records = read_metrics(shared / "run" / "metrics.jsonl")
    assert [record["epoch"] for record in records if "dev_mcc" in record] == [1.0, 2.0]
    assert [record["epoch"] for record in records if "loss" in record] == [1.0, 2.0]
    dev = [record["dev_mcc"] for record in records if "dev_mcc" in record]
    assert results["dev"]["mcc"] == pytest.approx(max(dev), abs=0.07)
    assert not (shared / "run" / "checkpoints").exists()


def test_predict_reproduces_the_test_scores_exactly(tmp_path: Path):
    settings = config(reverse_complement={"augment": True, "average": True}, training={"epochs": 1})
    results = finetuned(tmp_path, "multiclass", settings, tokenizer=tiny_vocabulary())
    assert results["system"] == "hrq"
    predict_file(tmp_path / "run", tmp_path / "multiclass-test.csv", tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    labelled = read_labelled(tmp_path / "multiclass-test.csv")
    columns = [[row[f"probability_{label}"] for row in rows] for label in "012"]
    probabilities = np.array(columns, dtype=np.float32).T.astype(np.float64)
    assert [row["name"] for row in rows] == labelled.names
    assert [row["prediction"] for row in rows] == [str(number) for number in probabilities.argmax(axis=1)]
    assert task_metrics("classification", labelled.labels, probabilities) == results["test"]


@pytest.mark.parametrize(
    "changes",
    [{}, {"head": {"start": {"epochs": 3}}}, {"training": {"schedule": "one-cycle"}}],
    ids=["head from random initialization", "linear probing first", "one-cycle"],
)
def test_a_killed_run_resumes_to_the_same_weights_and_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
):
    settings = config(reverse_complement={"augment": True}, **changes)
    whole = finetuned(tmp_path, "binary", settings, out=tmp_path / "whole")
    offer = BestEpoch.offer

    def dies_in_epoch_3(self: BestEpoch, epoch: int, *rest: Any) -> None:
        if epoch == 3:
            raise KeyboardInterrupt
        offer(self, epoch, *rest)

    monkeypatch.setattr(BestEpoch, "offer", dies_in_epoch_3)
    with pytest.raises(KeyboardInterrupt):
        finetuned(tmp_path, "binary", settings)
    monkeypatch.undo()
    assert not (tmp_path / "run" / "results.json").exists()
    resumed = finetuned(tmp_path, "binary", settings)
    for key in ("dev", "test", "best_epoch"):
        assert resumed[key] == whole[key]
    first, second = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first.keys() == second.keys()
    metrics = [read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "run")]
    assert metrics[0] == metrics[1]


def test_the_one_cycle_schedule_is_that_of_torch(tmp_path: Path):
    finetuned(tmp_path, "binary", config(training={"schedule": "one-cycle", "epochs": 5, "learning_rate": 0.01}))
    logged = {
        record["step"]: record["learning_rate"]
        for record in read_metrics(tmp_path / "run" / "metrics.jsonl")
        if "learning_rate" in record
    }
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.01, total_steps=5 * 8)
    rates = []
    for _ in range(5 * 8):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert len(logged) >= 5
    for step, rate in logged.items():
        assert any(
            rate == pytest.approx(known, rel=1e-6) for known in (rates + schedule.get_last_lr())[step - 1 : step + 1]
        )


def test_a_run_killed_after_training_goes_on_from_its_best_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = finetuned(tmp_path, "binary", TWO_EPOCHS, out=tmp_path / "whole")

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vqdna.finetune.train._save_best", dies)
    with pytest.raises(KeyboardInterrupt):
        finetuned(tmp_path, "binary", TWO_EPOCHS)
    monkeypatch.undo()
    resumed = finetuned(tmp_path, "binary", TWO_EPOCHS)
    assert (resumed["test"], resumed["best_epoch"]) == (whole["test"], whole["best_epoch"])


def test_a_finished_run_is_not_run_again_and_another_is_refused(shared: Path):
    held = read_json(shared / "run" / "results.json")
    assert finetuned(shared, "binary", TWO_EPOCHS) == held
    with pytest.raises(InputError, match=r"holds another run \('training.epochs' differs\)"):
        finetuned(shared, "binary", config(training={"epochs": 3}))


def test_the_saved_adapter_is_the_saved_model(shared: Path):
    merged = load_classifier(shared / "run")
    adapted = load_adapter(load_encoder(shared / "encoder"), shared / "run" / "adapter")
    bases = torch.randint(0, 4, (5, 50), dtype=torch.uint8)
    assert torch.allclose(merged(bases).logits, adapted(bases).logits, atol=1e-4)


def test_without_dev_a_seeded_tenth_of_train_is_held_out(shared: Path, tmp_path: Path):
    _, dev = split_off(read_labelled(shared / "binary.csv"), seed=0)
    rows = {line.split(",")[0]: line for line in (shared / "binary.csv").read_text().splitlines()}
    (tmp_path / "dev.csv").write_text("\n".join(["name,sequence,label", *(rows[name] for name in dev.names or [])]))
    predict_file(shared / "run", tmp_path / "dev.csv", tmp_path / "out.parquet")
    predicted = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pydict()["prediction"]
    correct = np.mean([int(label) == expected for label, expected in zip(predicted, dev.labels, strict=True)])
    assert correct == read_json(shared / "run" / "results.json")["dev"]["accuracy"]


def test_fasta_with_a_label_table_trains(tmp_path: Path):
    lines = write_task(tmp_path / "t.csv", "binary", 60, 0).read_text().splitlines()[1:]
    records = [line.split(",") for line in lines]
    (tmp_path / "t.fa").write_text("".join(f">{name}\n{text}\n" for name, text, _ in records))
    (tmp_path / "l.csv").write_text("name,label\n" + "".join(f"{name},{label}\n" for name, _, label in records))
    options = {"train": tmp_path / "t.fa", "labels": tmp_path / "l.csv", "test": None}
    results = finetuned(tmp_path, "binary", config(training={"epochs": 1}), **options)
    assert results["sequences"] == {"train": 54, "dev": 6, "test": 0}


def test_balanced_weights_by_hand():
    def labelled(labels: list[Any], task: Any, names: tuple[str, ...]) -> LabelledSequences:
        return LabelledSequences([np.zeros(4, np.uint8)] * len(labels), np.array(labels), None, task, names)

    classes = labelled([0, 0, 0, 1], "classification", ("a", "b"))
    assert class_weights(classes, "none") is None
    assert class_weights(classes, "balanced") == pytest.approx([4 / 6, 2.0])
    sets = labelled([[1, 0], [1, 1], [1, 0], [0, 0]], "multilabel", ("a", "b"))
    assert class_weights(sets, "balanced") == pytest.approx([1 / 3, 3.0])
    with pytest.raises(InputError, match="class_weights: 'balanced' needs classes"):
        class_weights(labelled([0.5, 1.5], "regression", ()), "balanced")


def test_known_dataset_is_told_by_its_folder(tmp_path: Path):
    assert known_dataset(tmp_path / "gue" / "mouse" / "3" / "train.csv.gz") == "mouse/3"
    assert known_dataset(tmp_path / "mine" / "train.csv") is None


def test_a_training_sequence_too_long_for_the_backbone_is_named(tmp_path: Path):
    saved_encoder(tmp_path / "encoder", NucleotideTokenizer(), BERT)
    rows = ["sequence,label"] + [f"{'ACGT' * (30 if row == 3 else 5)},{row % 2}" for row in range(8)]
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match=r"t.csv: record 4: its 120 bases make 120 tokens, and the bert backbone"):
        finetuned(tmp_path, "binary", config(), train=tmp_path / "t.csv", dev=tmp_path / "t.csv", test=None)


def test_bad_input_leaves_no_run_folder(tmp_path: Path):
    saved_encoder(tmp_path / "encoder")
    (tmp_path / "t.csv").write_text("sequence,lable\nACGT,1\n")
    with pytest.raises(InputError, match="did you mean 'lable'"):
        finetuned(tmp_path, "binary", config(), train=tmp_path / "t.csv", test=None)
    assert not (tmp_path / "run").exists()


def test_json_has_no_nan(tmp_path: Path):
    """A dev split of one class leaves AUROC undefined."""
    lines = write_task(tmp_path / "all.csv", "binary", 60, 0).read_text().splitlines()
    (tmp_path / "dev.csv").write_text("\n".join([lines[0]] + [line for line in lines if line.endswith(",1")]) + "\n")
    results = finetuned(tmp_path, "binary", config(training={"epochs": 1}), dev=tmp_path / "dev.csv", test=None)
    assert results["dev"]["auroc"] is None
    assert results["test"] is None
    json.dumps(results, allow_nan=False)
    for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} in metrics.jsonl"))
