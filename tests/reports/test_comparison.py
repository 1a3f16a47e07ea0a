from __future__ import annotations

from pathlib import Path

import pytest
from example_runs import write_benchmark, write_finetune, write_probe
from page import Page

from vqdna.reports.comparison import group_runs, verdict
from vqdna.reports.runs import Run, find_runs
from vqdna.whole_report import write_report


def report(folder: Path) -> Page:
    write_report([folder], folder / "report.html")
    return Page((folder / "report.html").read_text())


def scored(system: str, seed: int, dataset: str = "d", stage: str = "probe", **test: float) -> Run:
    return Run(f"{system}-{seed}", {"stage": stage, "system": system, "dataset": dataset, "seed": seed, "test": test})


def test_three_seeds_by_hand() -> None:
    runs = [scored("a", seed, mcc=value) for seed, value in enumerate((0.50, 0.56, 0.59))]
    (group,) = group_runs(runs)["d"]
    # Mean 55; deviations -5, 1, 4; squares 25 + 1 + 16 = 42; / (3 - 1) = 21.
    assert group.score("mcc").mean == pytest.approx(55)
    assert group.score("mcc").sd == pytest.approx(21**0.5)
    assert group.num_seeds == 3


def test_a_single_seed_has_no_spread() -> None:
    (group,) = group_runs([scored("a", 0, mcc=0.5)])["d"]
    assert group.score("mcc").sd is None


def test_numbers_of_the_table_are_those_of_the_files(tmp_path: Path) -> None:
    write_finetune(tmp_path / "0", "mouse/3", "hrq", 0, 0.60)
    write_finetune(tmp_path / "1", "mouse/3", "hrq", 1, 0.64)
    write_probe(tmp_path / "2", "mouse/3", "kmer:6", 0, 0.55)
    write_benchmark(tmp_path / "3", "mouse/3", "cnn", 0, 0.5)
    table = report(tmp_path).table("Test scores × 100 on mouse/3")
    assert list(table) == [("hrq", "fine-tuned (LoRA)"), ("kmer:6", "probe"), ("cnn", "benchmark")]
    row = table["hrq", "fine-tuned (LoRA)"]
    assert row["MCC"] == ("62.00 ± 2.83 best", pytest.approx(62))
    assert row["macro-F1"] == ("80.60 ± 1.41", pytest.approx(80.6))
    assert row["accuracy"] == ("81.00 ± 1.41", pytest.approx(81))
    assert row["AUROC"][1] == pytest.approx(100 * (0.5 + 0.62 / 1.85))
    assert row["seeds"] == ("2", 2)
    assert row["parameters"] == ("4.31 M", 4_310_000)
    assert row["time per run"] == ("42 s", 41.5)
    assert table["kmer:6", "probe"]["MCC"] == ("55.00", pytest.approx(55))
    assert table["kmer:6", "probe"]["parameters"] == ("–", None)
    assert table["cnn", "benchmark"]["parameters"][0] == "151 K"


def test_each_dataset_has_its_own_table_and_mark(tmp_path: Path) -> None:
    for number, (dataset, ours, other) in enumerate((("mouse/3", 0.6, 0.5), ("mouse/0", 0.3, 0.4))):
        write_finetune(tmp_path / f"f{number}", dataset, "hrq", 0, ours)
        write_probe(tmp_path / f"p{number}", dataset, "kmer:6", 0, other)
    page = report(tmp_path)
    assert page.text.count("best") >= 2
    assert page.table("× 100 on mouse/3")["hrq", "fine-tuned (LoRA)"]["MCC"][0].endswith("best")
    assert page.table("× 100 on mouse/0")["kmer:6", "probe"]["MCC"][0].endswith("best")
    assert "Best on the test sequences: kmer:6 · probe on mouse/0 (MCC 40.00) and hrq" in page.text


def test_the_bars_are_the_table(tmp_path: Path) -> None:
    write_finetune(tmp_path / "0", "mouse/3", "hrq", 0, 0.60)
    write_finetune(tmp_path / "1", "mouse/3", "hrq", 1, 0.64)
    write_probe(tmp_path / "2", "mouse/3", "kmer:6", 0, 0.55)
    (figure,) = [
        figure for figure in report(tmp_path).figures if any(trace["type"] == "bar" for trace in figure["data"])
    ]
    tuned, probe, whiskers, dots = figure["data"]
    assert (tuned["x"], probe["x"]) == ([62.0], [55.0])
    assert whiskers["error_x"]["array"] == [pytest.approx(8**0.5, rel=1e-5)]
    assert dots["x"] == [60.0, 64.0]
    assert figure["layout"]["yaxis"]["ticktext"] == ["hrq · fine-tuned (LoRA)", "kmer:6 · probe"]


def test_runs_that_share_a_seed_are_told(tmp_path: Path) -> None:
    write_probe(tmp_path / "0", "d", "hrq", 0, 0.5)
    write_probe(tmp_path / "1", "d", "hrq", 0, 0.6)
    assert report(tmp_path).table("on d")["hrq", "probe"]["seeds"] == ("1 (2 runs)", 1)


def test_a_lead_smaller_than_the_spread_is_not_settled() -> None:
    near = [scored("a", seed, mcc=value) for seed, value in enumerate((0.5, 0.6))] + [scored("b", 0, mcc=0.53)]
    (groups,) = group_runs(near).values()
    assert "2.00 behind; that is less than the spread over seeds" in verdict(groups)
    far = [scored("a", seed, mcc=value) for seed, value in enumerate((0.5, 0.52))] + [scored("b", 0, mcc=0.3)]
    (groups,) = group_runs(far).values()
    assert verdict(groups).endswith("21.00 behind.")


def test_the_task_decides_by_which_metric_systems_are_ordered() -> None:
    results = {"stage": "probe", "dataset": "d", "seed": 0, "task": "multilabel"}
    first = Run("a", results | {"system": "a", "test": {"mcc": 0.9, "f1_macro": 0.1}})
    second = Run("b", results | {"system": "b", "test": {"mcc": 0.1, "f1_macro": 0.9}})
    (groups,) = group_runs([first, second]).values()
    assert [group.system for group in groups] == ["b", "a"]
    assert "macro-F1, 90.00" in verdict(groups)


def test_regression_is_ordered_by_correlation_and_its_error_is_not_scaled(tmp_path: Path) -> None:
    scores = {"pearson": 0.7, "spearman": 0.65, "mse": 1.25}
    write_finetune(tmp_path / "0", "expression", "hrq", 0, 0.5, task="regression", test=scores, dev={"spearman": 0.6})
    row = report(tmp_path).table("Test scores × 100 (mean squared error as it is)")["hrq", "fine-tuned (LoRA)"]
    assert row["Spearman ρ"] == ("65.00 best", pytest.approx(65))
    assert row["mean squared error"] == ("1.25", pytest.approx(1.25))


def test_an_undefined_score_is_a_dash_and_not_zero(tmp_path: Path) -> None:
    write_probe(tmp_path / "0", "d", "a", 0, 0.5, test={"mcc": 0.5, "auroc": None})
    write_probe(tmp_path / "1", "d", "b", 0, 0.4)
    assert report(tmp_path).table("on d")["a", "probe"]["AUROC"] == ("–", None)


def test_a_copy_of_a_run_counts_once(tmp_path: Path) -> None:
    write_probe(tmp_path / "0", "d", "a", 0, 0.5)
    write_probe(tmp_path / "model" / "copy", "d", "a", 0, 0.5)
    assert len(find_runs([tmp_path, tmp_path / "0"])) == 1
