from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vqdna.benchmark import runner
from vqdna.benchmark.runner import Cell, markdown_summary, run_benchmark, summarize, write_summary
from vqdna.benchmark.systems import SYSTEM_NAMES, find_system, run_best_kmer_system
from vqdna.errors import InputError
from vqdna.results import read_json, write_json
from vqdna.tasks.registry import DatasetFiles, find_dataset

SILENT = Console(file=io.StringIO())


@pytest.fixture
def data_root(tmp_path) -> Path:
    """Data root with mouse/3 and tf/0: records of class 1 are rich in G and C."""
    root = tmp_path / "data"
    random = np.random.default_rng(0)
    for folder in ("gue/mouse/3", "gue/tf/0"):
        (root / folder).mkdir(parents=True)
        for split, count in (("train", 60), ("dev", 20), ("test", 20)):
            texts = ["".join(random.choice(list(("AAT" if n % 2 else "GGC") + "ACGT"), 30)) for n in range(count)]
            rows = "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts))
            (root / folder / f"{split}.csv").write_text("sequence,label\n" + rows)
    return root


class FakeSystem:
    """System whose scores are known, which counts its calls and may fail on the nth."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls: list[tuple[str, int]] = []
        self.fail_at = fail_at

    def __call__(self, files: DatasetFiles, seed: int, folder: Path) -> dict:
        if len(self.calls) + 1 == self.fail_at:
            raise KeyboardInterrupt
        self.calls.append((files.train.parent.name, seed))
        scores = {"mcc": 0.5 + 0.1 * seed, "f1_macro": 0.75, "accuracy": 0.8, "auroc": None}
        return {"stage": "finetune", "system": "inner", "seconds": 2.0, "seed": seed, "dev": scores, "test": scores}


@pytest.fixture
def fake(monkeypatch) -> FakeSystem:
    system = FakeSystem()
    monkeypatch.setattr(runner, "find_system", lambda name: system)
    return system


def test_each_cell_gets_its_results_file_under_the_names_of_the_grid(data_root, tmp_path, fake):
    run_benchmark(["encoder:some/dir"], ["mouse/3"], 2, tmp_path / "out", data_root, console=SILENT)
    record = read_json(tmp_path / "out/encoder-some-dir/mouse/3/seed-1/results.json")
    assert (record["stage"], record["system"], record["dataset"], record["seed"]) == (
        "benchmark",
        "encoder:some/dir",
        "mouse/3",
        1,
    )
    assert record["test"]["mcc"] == 0.6
    assert record["seconds"] == 2.0
    assert "command" in record


def test_known_cells_are_not_run_again_and_new_seeds_join_them(data_root, tmp_path, fake):
    run_benchmark(["cnn"], ["mouse/3", "tf/0"], [0, 1], tmp_path / "out", data_root, console=SILENT)
    assert fake.calls == [("3", 0), ("3", 1), ("0", 0), ("0", 1)]
    rows = run_benchmark(["cnn"], ["mouse/3", "tf/0"], 3, tmp_path / "out", data_root, console=SILENT)
    assert fake.calls[4:] == [("3", 2), ("0", 2)]
    assert [row["seeds"] for row in rows] == [[0, 1, 2], [0, 1, 2]]


def test_a_run_that_was_cut_off_goes_on_at_the_cell_that_broke(data_root, tmp_path, monkeypatch):
    broken, whole = FakeSystem(fail_at=3), FakeSystem()
    monkeypatch.setattr(runner, "find_system", lambda name: broken)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(["cnn"], ["mouse/3"], 4, tmp_path / "out", data_root, console=SILENT)
    assert len(list((tmp_path / "out").rglob("results.json"))) == 2
    monkeypatch.setattr(runner, "find_system", lambda name: whole)
    run_benchmark(["cnn"], ["mouse/3"], 4, tmp_path / "out", data_root, console=SILENT)
    assert whole.calls == [("3", 2), ("3", 3)]


def test_the_summary_has_mean_and_sample_deviation_over_seeds(data_root, tmp_path, fake):
    (row,) = run_benchmark(["cnn"], ["mouse/3"], 3, tmp_path / "out", data_root, console=SILENT)
    assert row["mcc"] == {"mean": pytest.approx(0.6), "sd": pytest.approx(0.1)}
    assert row["f1_macro"] == {"mean": 0.75, "sd": 0.0}
    assert summarize(tmp_path / "out") == [row]
    assert read_json(tmp_path / "out/summary.json")["rows"] == [row]


def test_one_seed_has_no_deviation_and_an_undefined_score_no_number(tmp_path):
    record = {"stage": "benchmark", "system": "cnn", "dataset": "d", "seed": 0, "seconds": 1.0, "test": {"mcc": 0.5}}
    write_json(tmp_path / "cnn/d/seed-0/results.json", record)
    (row,) = write_summary(tmp_path)
    assert row["mcc"] == {"mean": 0.5, "sd": None}
    assert row["f1_macro"] == {"mean": None, "sd": None}
    json.dumps(row, allow_nan=False)
    assert "| d | 50.0 |" in (tmp_path / "summary.md").read_text()


def test_the_markdown_has_a_table_for_each_metric_and_blanks_for_cells_not_run():
    def row(system: str, name: str, mean: float) -> dict:
        score = {"mean": mean, "sd": 0.0123}
        return {"system": system, "dataset": name, "seeds": [0, 1], "mcc": score, "f1_macro": score, "seconds": 1.0}

    lines = markdown_summary([row("cnn", "mouse/3", 0.8), row("kmer-logreg:4", "tf/0", 0.55)]).splitlines()
    assert "over 2 seed(s)" in lines[0]
    assert lines[2:6] == [
        "| MCC | cnn | kmer-logreg:4 |",
        "|---|---|---|",
        "| mouse/3 | 80.0 ± 1.2 |  |",
        "| tf/0 |  | 55.0 ± 1.2 |",
    ]
    assert lines[7] == "| macro-F1 | cnn | kmer-logreg:4 |"


def test_progress_names_every_cell_and_ends_with_the_table(data_root, tmp_path, fake):
    shown = io.StringIO()
    run_benchmark(["cnn"], ["mouse/3"], 2, tmp_path, data_root, console=Console(file=shown, width=100))
    assert "[2/2] mouse/3 cnn seed 1: test MCC 60.0 (2 s)" in shown.getvalue()
    assert "55.0 ± 7.1" in shown.getvalue()


@pytest.mark.parametrize(
    ("systems", "datasets", "expected"),
    [
        (["cnnn"], ["mouse/3"], "no system 'cnnn', .*did you mean 'cnn'"),
        (["kmer-logreg:0"], ["mouse/3"], "no system 'kmer-logreg:0'"),
        (["encoder:/nowhere"], ["mouse/3"], "no folder '/nowhere'"),
        (["encoder:.@liner"], ["mouse/3"], "no configuration 'liner' .*did you mean 'linear'"),
        (["cnn"], ["mouse/33"], "no dataset 'mouse/33'"),
        (["cnn"], ["mouse/3", "mouse/1"], "mouse/1: no train or dev or test file"),
        ([], ["mouse/3"], "at least one system"),
    ],
)
def test_a_bad_grid_is_refused_before_any_cell_runs(data_root, tmp_path, systems, datasets, expected):
    with pytest.raises(InputError, match=expected):
        run_benchmark(systems, datasets, 1, tmp_path / "out", data_root, console=SILENT)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_results_or_with_a_damaged_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no benchmark results"):
        summarize(tmp_path)
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0/results.json").write_text('{"stage": "bench')
    with pytest.raises(InputError, match=r"seed-0/results\.json: not JSON"):
        summarize(tmp_path)


def test_every_system_name_is_found(tmp_path):
    for name in SYSTEM_NAMES:
        if ":" not in name:
            assert callable(find_system(name))
    assert callable(find_system("kmer-logreg:4"))
    assert callable(find_system("probe:nucleotide"))
    assert callable(find_system(f"encoder:{tmp_path}"))
    assert callable(find_system(f"encoder:{tmp_path}@linear"))


def test_cells_of_different_systems_have_different_folders(tmp_path):
    names = ("kmer-logreg", "kmer-logreg:3", "encoder:a/b", "probe:nucleotide")
    assert len({Cell(name, "mouse/3", 0).folder(tmp_path) for name in names}) == len(names)


def test_results_of_another_system_in_the_same_folder_are_not_taken_for_known(data_root, tmp_path, fake):
    run_benchmark(["encoder:a/b"], ["mouse/3"], 1, tmp_path / "out", data_root, console=SILENT)
    with pytest.raises(InputError, match="holds results of 'encoder:a/b', expected 'encoder:a-b'"):
        run_benchmark(["encoder:a-b"], ["mouse/3"], 1, tmp_path / "out", data_root, console=SILENT)


def test_cnn_and_kmer_systems_learn_a_composition(data_root, tmp_path):
    rows = run_benchmark(["cnn", "kmer-logreg:2"], ["mouse/3"], 1, tmp_path / "out", data_root, console=SILENT)
    assert {row["system"]: row["mcc"]["mean"] > 0.5 for row in rows} == {"cnn": True, "kmer-logreg:2": True}


def test_the_encoder_system_fine_tunes_on_the_files_of_the_dataset_into_its_own_folder(
    data_root, tmp_path, monkeypatch
):
    asked = {}

    def run_finetune(config, **options):
        asked.update(options, method=config.method)
        return {"stage": "finetune", "seconds": 1.0, "test": {"mcc": 0.25}}

    monkeypatch.setattr("vqdna.finetune.train.run_finetune", run_finetune)
    name, files = f"encoder:{tmp_path}@linear", find_dataset("tf/0", data_root)
    (row,) = run_benchmark([name], ["tf/0"], [7], tmp_path / "out", data_root, console=SILENT)
    assert (asked["encoder"], asked["method"], asked["seed"]) == (tmp_path, "linear", 7)
    assert (asked["train"], asked["dev"], asked["test"]) == (files.train, files.dev, files.test)
    assert asked["out"] == Cell(name, "tf/0", 7).folder(tmp_path / "out") / "run"
    assert (row["system"], row["seeds"], row["mcc"]["mean"]) == (name, [7], 0.25)


def test_the_best_k_is_the_one_with_the_highest_dev_mcc(data_root, tmp_path):
    record = run_best_kmer_system(find_dataset("tf/0", data_root), 0, tmp_path)
    scores = record["dev_mcc_by_k"]
    assert set(scores) == {"3", "4", "5", "6"}
    assert math.isclose(scores[str(record["k"])], max(scores.values()))
    assert record["dev"]["mcc"] == max(scores.values())


def test_a_probe_s_scores_are_computed_once_for_all_seeds(data_root, tmp_path, fake):
    out = tmp_path / "out"
    rows = run_benchmark(["kmer-logreg:3", "cnn"], ["mouse/3"], 3, out, data_root, console=SILENT)
    assert fake.calls == [("3", 0), ("3", 0), ("3", 1), ("3", 2)]
    assert {row["system"]: row["seeds"] for row in rows} == {"kmer-logreg:3": [0, 1, 2], "cnn": [0, 1, 2]}
    record = read_json(out / "kmer-logreg-3/mouse/3/seed-2/results.json")
    assert (record["seed"], record["same_as_seed"]) == (2, 0)
