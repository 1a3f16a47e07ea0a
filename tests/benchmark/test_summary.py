from __future__ import annotations

import json

import numpy as np
import pytest

from vqdna.benchmark.confidence import packed_classes
from vqdna.benchmark.results import TrialRecord
from vqdna.benchmark.summary import BenchmarkResult, summarize, summary_rows
from vqdna.benchmark.summary_tables import markdown_summary, write_summary
from vqdna.errors import InputError
from vqdna.results import write_json
from vqdna.tasks.metrics import classification_metrics
from vqdna.tasks.published import poster_rows

LABELS = np.arange(40) % 2


def trial(system: str, dataset: str, seed: int, wrong: int, protocol: str = "full", **extra) -> dict:
    """Record of a trial whose first `wrong` test records are predicted wrongly."""
    predicted = np.where(np.arange(40) < wrong, 1 - LABELS, LABELS)
    scores = classification_metrics(LABELS, np.eye(2)[predicted])
    return {
        "stage": "benchmark", "protocol": protocol, "system": system, "dataset": dataset, "seed": seed, "seconds": 3.0,
        "num_classes": 2, "dev": scores, "test": scores, "deduplicated": {"dropped": 2, **scores}, "parts": {},
        "predicted": packed_classes(predicted), "labels": packed_classes(LABELS), "collapsed": False,
        "parameters": {"total": 10, "trainable": 5}, "flops_per_base": 1e6, "training_bases": 100, **extra,
    }  # fmt: skip


def _rows(records: list[dict]) -> list:
    return summary_rows(map(TrialRecord.model_validate, records))


def put(out, *records: dict) -> None:
    for record in records:
        place = out / record["protocol"] / record["system"] / record["dataset"] / f"seed-{record['seed']}"
        write_json(place / "results.json", record)


def test_a_row_has_mean_sample_deviation_and_an_interval_around_the_mean():
    (row,) = _rows([trial("cnn", "mouse/3", seed, wrong) for seed, wrong in enumerate((4, 6, 8))])
    mccs = [trial("cnn", "mouse/3", 0, wrong)["test"]["mcc"] for wrong in (4, 6, 8)]
    assert row.mcc.mean == pytest.approx(np.mean(mccs))
    assert row.mcc.sd == pytest.approx(np.std(mccs, ddof=1))
    assert row.mcc.low < row.mcc.mean < row.mcc.high
    assert row.deduplicated.dropped == 2
    assert row.seeds == [0, 1, 2]
    assert (row.parameters.total, row.parameters.trainable) == (10, 5)
    assert (row.auroc.low, row.peak_memory) == (None, None)


def test_one_seed_has_no_deviation_and_collapsed_seeds_are_named():
    (row,) = _rows([trial("cnn", "mouse/3", 4, 20, collapsed=True)])
    assert (row.mcc.sd, row.collapsed) == (None, [4])
    json.dumps(row.model_dump(mode="json"), allow_nan=False)


def test_seeds_that_err_apart_vote_right_and_two_do_not_vote():
    wrong = [np.where(np.arange(40) % 4 == seed, 1 - LABELS, LABELS) for seed in range(3)]
    records = [trial("cnn", "mouse/3", seed, 0, predicted=packed_classes(one)) for seed, one in enumerate(wrong)]
    (row,) = _rows(records)
    assert row.vote.model_dump(exclude_unset=True) == pytest.approx({"mcc": 1.0, "f1_macro": 1.0, "accuracy": 1.0})
    (row,) = _rows(records[:2])
    assert row.vote is None


def test_protocols_are_never_mixed(tmp_path):
    put(
        tmp_path,
        trial("cnn", "mouse/3", 0, 4),
        trial("cnn", "mouse/1", 0, 8, "reduced"),
        trial("kmer3", "mouse/3", 0, 2),
    )
    summary = write_summary(tmp_path)
    assert [(row.protocol, row.dataset, row.system) for row in summary.rows] == [
        ("full", "mouse/3", "cnn"),
        ("full", "mouse/3", "kmer3"),
        ("reduced", "mouse/1", "cnn"),
    ]
    assert summary.rankings["full"].systems == ("kmer3", "cnn")
    assert summary.rankings["reduced"] is None
    full, reduced = (tmp_path / "summary.md").read_text().split("## reduced")
    assert "mouse/1" not in full
    assert "mouse/3" not in reduced
    assert "not comparable with `full`" in reduced
    held = BenchmarkResult.from_disk(tmp_path)
    assert held == summary
    assert held.rankings["full"].average == {"kmer3": 1.0, "cnn": 2.0}


def test_published_scores_and_the_poster_stand_beside(tmp_path):
    put(tmp_path, trial("bpe", "mouse/3", 0, 4), trial("cnn", "mouse/3", 0, 5))
    summary = summarize(tmp_path)
    assert summary.published["full"]["DNABERT-2"] == {"mouse/3": 66.47}
    assert [row.system for row in summary.poster] == [row.system for row in poster_rows()]
    ours = {row.system: row.ours for row in summary.poster}
    assert ours["DNABERT-2"].system == "bpe"
    assert ours["DNABERT-2"].relative_flops == pytest.approx(
        1e6 / summary.published_cost["DNABERT-2"]["flops_per_base"]
    )
    assert ours["VQDNA-HRQ"] is None


def test_systems_with_fewer_datasets_are_not_ranked_and_do_not_spoil_the_ranks(tmp_path):
    put(tmp_path, *(trial(system, name, 0, 4) for system in ("a", "b") for name in ("mouse/3", "tf/0")))
    put(tmp_path, trial("late", "tf/0", 0, 0))
    ranking = summarize(tmp_path).rankings["full"]
    assert set(ranking.systems) == {"a", "b"}
    assert len(ranking.datasets) == 2
    assert "late" in markdown_summary(summarize(tmp_path))
    put(tmp_path, trial("a", "tf/1", 0, 3))
    ranking = summarize(tmp_path).rankings["full"]
    assert (set(ranking.systems), set(ranking.datasets)) == ({"a", "b"}, {"mouse/3", "tf/0"})
    assert ranking.left_out == ("tf/1",)


def test_variant_windows_are_summed_up_by_themselves(tmp_path):
    """They are no part of GUE, so no mean and no rank over its datasets may count them."""
    put(tmp_path, *(trial(system, name, 0, 4) for system in ("a", "b") for name in ("mouse/3", "covid-windows")))
    summary = summarize(tmp_path)
    kept = {(row.protocol, row.dataset) for row in summary.rows}
    assert kept == {("full", "mouse/3"), ("covid-like", "covid-windows")}
    assert [tuple(ranking.datasets) for ranking in summary.rankings.values()] == [
        ("mouse/3",),
        ("covid-windows",),
    ]
    text = markdown_summary(summary)
    assert text.index("## full") < text.index("## covid-like")
    assert "covid-windows" not in text[: text.index("## covid-like")]


def test_the_markdown_has_a_table_for_each_metric_and_blanks_for_what_was_not_run(tmp_path):
    put(tmp_path, trial("cnn", "mouse/3", 0, 4), trial("cnn", "mouse/3", 1, 8), trial("kmer3", "tf/0", 0, 2))
    lines = markdown_summary(summarize(tmp_path)).splitlines()
    assert any("over 1 to 2 seed(s)" in line for line in lines)
    assert "| mouse/3 | 70.0 ± 14.1 |  |" in lines
    assert "| tf/0 |  | 90.0 |" in lines


def test_a_folder_without_results_or_with_a_damaged_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no benchmark results"):
        summarize(tmp_path)
    (tmp_path / "full/cnn/seed-0").mkdir(parents=True)
    (tmp_path / "full/cnn/seed-0/results.json").write_text('{"stage": "bench')
    with pytest.raises(InputError, match=r"seed-0/results\.json: not JSON"):
        summarize(tmp_path)
    write_json(tmp_path / "full/cnn/seed-0/results.json", {"stage": "benchmark", "protocol": "full", "test": {}})
    with pytest.raises(InputError, match=r"not a run of a benchmark \(system: .*; delete its folder to run it again"):
        summarize(tmp_path)


def test_results_of_one_budget_merge_and_rank_anew_and_of_two_do_not(tmp_path):
    put(tmp_path / "one", trial("a", "mouse/3", 0, 4), trial("b", "mouse/3", 0, 6))
    put(tmp_path / "two", trial("b", "mouse/3", 0, 2), trial("c", "mouse/3", 0, 8))
    one, two = (summarize(tmp_path / name) for name in ("one", "two"))
    both = one.merge(two)
    assert [(row.system, round(100 * row.mcc.mean)) for row in both.rows] == [("a", 80), ("b", 90), ("c", 60)]
    assert both.rankings["full"].systems == ("b", "a", "c")
    both.to_disk(tmp_path / "both")
    assert BenchmarkResult.from_disk(tmp_path / "both" / "summary.json") == both
    with pytest.raises(InputError, match="two budgets"):
        one.merge(two.model_copy(update={"budget": {"max_train": 2}}))


def test_a_file_that_is_no_summary_is_named_with_its_fault(tmp_path):
    write_json(tmp_path / "summary.json", {"rows": [{"system": "a"}]})
    with pytest.raises(InputError, match=r"summary\.json: not the summary of a benchmark \(rows\.0\.protocol: "):
        BenchmarkResult.from_disk(tmp_path)
