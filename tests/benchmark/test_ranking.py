import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from vqdna.benchmark.ranking import critical_difference, rank_systems
from vqdna.benchmark.summary_tables import ranking_markdown, write_summary
from vqdna.results import read_json, write_json


def test_ranks_by_hand_with_a_tie():
    ranking = rank_systems({"a": {"x": 0.9, "y": 0.5}, "b": {"x": 0.8, "y": 0.5}, "c": {"x": 0.7, "y": 0.6}})
    assert ranking.ranks == {"a": {"x": 1, "y": 2.5}, "b": {"x": 2, "y": 2.5}, "c": {"x": 3, "y": 1}}
    assert ranking.average == {"a": 1.75, "c": 2.0, "b": 2.25}
    assert ranking.systems == ("a", "c", "b")


@pytest.mark.parametrize(("systems", "quantile"), [(3, 2.343), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_is_that_of_the_published_table(systems, quantile):
    """Quantiles of Demšar 2006, table 5(a)."""
    expected = quantile * (systems * (systems + 1) / (6 * 13)) ** 0.5
    assert critical_difference(systems, 13) == pytest.approx(expected, rel=1e-3)


def test_friedmans_test_is_that_of_the_scores():
    scores = np.random.default_rng(0).random((4, 9)) + np.arange(4)[:, None] / 5
    ranking = rank_systems(
        {f"s{n}": {f"d{m}": float(value) for m, value in enumerate(row)} for n, row in enumerate(scores)}
    )
    assert ranking.friedman_p == pytest.approx(friedmanchisquare(*-scores).pvalue)
    assert ranking.systems[0] == "s3"


def clear(num_datasets):
    """Four systems, each a little ahead of the next on every dataset."""
    return {name: {f"d{n}": 0.9 - rank / 10 for n in range(num_datasets)} for rank, name in enumerate("abcd")}


def test_groups_hold_what_the_difference_does_not_tell_apart_and_none_lies_in_another():
    few, many = rank_systems(clear(4)), rank_systems(clear(100))
    assert 2 < few.critical_difference < 3
    assert few.groups == (("a", "b", "c"), ("b", "c", "d"))
    assert many.critical_difference < 1
    assert many.groups == ()


def test_datasets_without_a_score_of_every_system_are_left_out_and_named():
    ranking = rank_systems({"a": {"x": 0.9, "y": 0.5}, "b": {"x": 0.8, "y": None}, "c": {"x": 0.7}})
    assert (ranking.datasets, ranking.left_out) == (("x",), ("y",))
    assert ranking.friedman_p is None
    assert "Left out, for lack of a score of every system: y." in ranking_markdown(ranking)


def test_scores_that_are_all_alike_rank_alike_and_test_nothing():
    ranking = rank_systems({name: {"x": 0.5, "y": 0.5} for name in "abc"})
    assert set(ranking.average.values()) == {2.0}
    assert ranking.friedman_p is None


def test_a_single_system_has_no_rank():
    assert rank_systems({"a": {"x": 0.5}}) is None


def test_the_table_says_who_is_first_how_often_and_what_is_chance():
    text = ranking_markdown(rank_systems(clear(4)))
    assert "| a | 1.00 | 4 |" in text
    assert "| d | 4.00 | 0 |" in text
    assert "Not told apart: a, b, c; b, c, d." in text


def test_the_benchmark_ranks_by_the_published_metric_and_writes_the_ranks(tmp_path):
    scores = {
        "good": {"virus/covid": (0.1, 0.9), "tf/0": (0.9, 0.1)},
        "bad": {"virus/covid": (0.9, 0.1), "tf/0": (0.1, 0.9)},
    }
    for system, row in scores.items():
        for name, (mcc, f1) in row.items():
            named = {"stage": "benchmark", "protocol": "full", "system": system, "dataset": name, "seed": 0}
            record = {**named, "seconds": 1.0, "dev": {}, "test": {"mcc": mcc, "f1_macro": f1}}
            write_json(tmp_path / "full" / system / name / "seed-0" / "results.json", record)
    write_summary(tmp_path)
    assert read_json(tmp_path / "summary.json")["rankings"]["full"]["average"] == {"good": 1.0, "bad": 2.0}
    assert "| good | 1.00 | 2 |" in (tmp_path / "summary.md").read_text()
