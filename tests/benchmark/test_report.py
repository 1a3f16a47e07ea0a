from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from example_benchmark import COMMAND, DATASETS, large_summary, poster, row, summary, write_summary
from example_runs import write_benchmark, write_finetune, write_probe
from page import Page

from vqdna.benchmark.report.rows import standings
from vqdna.benchmark.report.tables import PUBLISHED, column_groups
from vqdna.benchmark.summary import BenchmarkResult
from vqdna.errors import InputError
from vqdna.reports.runs import find_runs
from vqdna.whole_report import write_report

MEANS, TF = "mean over", "on tf"


def report(*folders: Path) -> Page:
    out = folders[0].parent / "report.html"
    write_report(list(folders), out)
    return Page(out.read_text())


def small(**extra: Any) -> dict[str, Any]:
    """Three systems on two datasets and one more; `b` lacks the third, one seed of `c` collapsed."""
    rows = [
        row("a", "tf/0", [0.70, 0.72]),
        row("b", "tf/0", [0.60, 0.60]),
        row("c", "tf/0", [0.50, 0.0], collapsed=[1]),
        row("a", "virus/covid", [0.20]),
        row("b", "virus/covid", [0.40]),
        row("c", "virus/covid", [0.10]),
        row("a", "splice", [0.9]),
        row("c", "splice", [0.8]),
    ]
    return summary(rows, **extra)


def row_of(page: Page, caption: str, system: str) -> dict[str, tuple[str, float | None]]:
    (found,) = [cells for (first, _), cells in page.table(caption).items() if first.split()[0] == system]
    return found


def figure(page: Page, title: str) -> dict[str, Any]:
    (spec,) = [spec for label, spec in zip(page.labels, page.figures, strict=True) if label.startswith(title)]
    return spec


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return report(write_summary(tmp_path_factory.mktemp("benchmark") / "gue", large_summary()))


def test_a_summary_alone_makes_a_page_with_a_section_for_each_protocol(page: Page) -> None:
    protocols = ["benchmark-full", "benchmark-reduced", "benchmark-covid-like"]
    assert page.sections == ["overview", "benchmark", *protocols, "benchmark-poster", "runs"]
    assert "This page tells of 1 benchmark run" in page.text
    (run,) = page.table("Every run of this page.").values()
    assert run["outcome"][0] == "20 systems on 29 datasets, see the benchmark"
    assert page.text.count(COMMAND) == 1
    assert len(re.findall(r"(?:Full|Reduced) protocol: |Covid-like: ", page.text)) == 3


def test_the_cells_of_a_summed_up_benchmark_are_not_listed_again(tmp_path: Path) -> None:
    out = write_summary(tmp_path / "gue", small())
    for seed, system in enumerate("abc"):
        cell = write_benchmark(out / system / "tf" / "0" / f"seed-{seed}", "tf/0", system, seed, 0.6)
        write_finetune(cell / "run", "tf/0", system, seed, 0.6)
    write_benchmark(out / "a" / "tf" / "0" / "seed-9", "tf/0", "a", 9, 0.6, same_as_seed=0)
    write_benchmark(out / "average-a-b" / "tf" / "0" / "seed-0", "tf/0", "average:a+b", 0, 0.6, members={"a": {}})
    write_probe(tmp_path / "probe", "mouse/3", "kmer:6", 0, 0.5)
    page = report(tmp_path)
    assert page.sections == ["overview", "benchmark", "benchmark-full", "comparison", "runs"]
    runs = page.table("Every run of this page.")
    assert set(runs) == {("benchmark", "gue"), ("probe", "probe")}
    assert runs["benchmark", "gue"]["time"] == ("38 s", 37.5)
    assert "Made with python 3.11.2" in page.text


def test_a_benchmark_without_a_summary_is_told_of_cell_by_cell(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "a" / "seed-0", "tf/0", "a", 0, 0.6)
    (tmp_path / "summary.json").write_text(json.dumps({"rows": [{"system": "a", "dataset": "tf/0"}]}))
    assert report(tmp_path).sections == ["overview", "comparison", "runs"]


def test_the_summary_itself_may_be_named(tmp_path: Path) -> None:
    out = write_summary(tmp_path / "gue", small())
    (run,) = find_runs([out / "summary.json"])
    assert run.name == "gue"


def test_a_broken_summary_is_named(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text('{"rows": [')
    with pytest.raises(InputError, match=r"summary\.json: not JSON"):
        find_runs([tmp_path])


def test_means_are_over_the_datasets_that_all_have_in_their_own_metric(tmp_path: Path) -> None:
    page = report(write_summary(tmp_path / "gue", small()))
    # a: MCC 71 on tf/0 and macro-F1 48 + 20 / 2 = 58 on virus/covid; splice lacks b and counts for none.
    assert row_of(page, MEANS, "a")["mean score"] == ("64.5", pytest.approx(64.5))
    assert row_of(page, MEANS, "b")["mean score"] == ("64.0", pytest.approx(64.0))
    assert row_of(page, MEANS, "a")["MCC"] == ("45.5", pytest.approx(45.5))
    assert row_of(page, MEANS, "a")["average rank"] == ("1.50", 1.5)
    assert row_of(page, MEANS, "a")["first on"] == ("1", 1)
    assert row_of(page, MEANS, "c")["no better than chance"] == ("1 of 4", 1)
    assert "for lack of a score of every system: splice." in page.text
    assert "score: macro-F1 on virus/covid, MCC on the others" in page.text
    assert "splice" in page.titles


def test_what_seeds_vote_for_stands_beside_the_mean_where_every_dataset_has_a_vote(tmp_path: Path) -> None:
    def voted(system: str, dataset: str, mcc: float) -> dict[str, Any]:
        return row(system, dataset, [0.5, 0.6, 0.7], vote={"mcc": mcc, "f1_macro": mcc / 2, "accuracy": 0.9})

    rows = [voted("a", "tf/0", 0.8), voted("a", "virus/covid", 0.6), voted("b", "tf/0", 0.9)]
    page = report(write_summary(tmp_path / "gue", summary([*rows, row("b", "virus/covid", [0.4])])))
    # The vote's own metric of each dataset: MCC 80 on tf/0, macro-F1 30 on virus/covid.
    assert row_of(page, MEANS, "a")["seed ensemble"] == ("55.0", pytest.approx(55.0))
    assert row_of(page, MEANS, "b")["seed ensemble"] == ("–", None)
    assert "seed ensemble" not in row_of(report(write_summary(tmp_path / "two", small())), MEANS, "a")


def test_systems_stand_by_rank_and_published_ones_below_a_heading_of_their_own(tmp_path: Path) -> None:
    published = {
        "full": {"DNABERT-2": {"tf/0": 71.99, "virus/covid": 71.02}, "partial": {"tf/0": 99.0}, "other": {"x": 1}}
    }
    page = report(write_summary(tmp_path / "gue", small(published=published)))
    (rows,) = [table for caption, table in zip(page.captions, page.tables) if MEANS in caption]
    assert [line.cells[0].strip() for line in rows[1:]] == ["a", "b", "c", PUBLISHED, "DNABERT-2", "partial"]
    assert row_of(page, MEANS, "DNABERT-2")["mean score"] == ("71.5", pytest.approx(71.505))
    # A mean over one dataset of two would stand among numbers it does not compare with.
    assert row_of(page, MEANS, "partial")["mean score"] == ("–", None)
    assert row_of(page, MEANS, "partial")["datasets"] == ("1 of 2", 1)


def test_a_cell_has_its_spread_its_collapses_in_words_and_the_deduplicated_score(tmp_path: Path) -> None:
    record = small()
    less = {"mean": 0.681, "sd": None, "low": None, "high": None}
    record["rows"][0]["deduplicated"] = {"dropped": 12, "mcc": less, "f1_macro": less}
    page = report(write_summary(tmp_path / "gue", record))
    assert re.fullmatch(r"71\.0 ± 1\.4\s+dedup\. 68\.1", row_of(page, TF, "a")["tf/0"][0])
    assert re.fullmatch(r"25\.0 ± 35\.4\s+at chance 1/2", row_of(page, TF, "c")["tf/0"][0])
    assert row_of(page, TF, "b")["splice"] == ("–", None)
    assert row_of(page, TF, "b")["virus/covid, macro-F1"][0] == "68.0"
    assert "12 on tf/0" in page.text
    assert "No better than chance: 1 of 11 runs, of c;" in page.text


def test_the_best_of_a_dataset_is_bold_and_a_published_score_never_is(tmp_path: Path) -> None:
    published = {"full": {"DNABERT-2": {"tf/0": 99.0}}}
    write_summary(tmp_path / "gue", small(published=published))
    report(tmp_path / "gue")
    text = (tmp_path / "report.html").read_text()
    assert re.findall(r"<strong>(.*?)</strong>", text) == ["64.5", "71.0 ± 1.4", "90.0", "68.0"]


def test_protocols_never_share_a_table_or_a_picture(tmp_path: Path) -> None:
    rows = [
        row(f"{protocol}-{name}", "tf/0", [score], protocol)
        for protocol in ("full", "reduced")
        for name, score in (("a", 0.6), ("b", 0.5), ("c", 0.4))
    ]
    rows += [{**one, "dataset": "tf/1"} for one in rows]
    published = {"full": {"DNABERT-2": {"tf/0": 72.0, "tf/1": 76.0}}}
    cost = {"DNABERT-2": {"parameters": 117e6}}
    page = report(write_summary(tmp_path / "gue", summary(rows, published=published, published_cost=cost)))
    told = [" ".join(cell for line in table for cell in line.cells) for table in page.tables[:-1]] + page.labels
    assert any("full-a" in words for words in told)
    assert any("reduced-a" in words for words in told)
    assert not any("full-" in words and "reduced-" in words for words in told)
    assert not any("reduced-" in words and "DNABERT-2" in words for words in told)


def test_points_stand_at_their_costs_and_published_ones_are_hollow(tmp_path: Path) -> None:
    published = {"full": {"DNABERT-2": {"tf/0": 72.0, "virus/covid": 71.0}, "partial": {"tf/0": 99.0}}}
    cost = {"DNABERT-2": {"parameters": 117e6}, "partial": {"parameters": 1e6, "flops_per_base": 1e6}}
    record = small(published=published, published_cost=cost)
    for one in record["rows"]:
        one["flops_per_base"] = {"a": 2e7, "b": 3e6, "c": None}[one["system"]]
    page = report(write_summary(tmp_path / "gue", record))
    flops = figure(page, "Mean score against FLOPs per base")
    assert flops["layout"]["xaxis"]["type"] == "log"
    assert [(trace["name"], trace["x"]) for trace in flops["data"]] == [("run here", [2e7, 3e6])]
    ours, theirs = figure(page, "Mean score against parameters")["data"]
    assert ours["marker"]["symbol"] == "circle"
    assert (theirs["marker"]["symbol"], theirs["x"], theirs["y"]) == ("circle-open", [117e6], [71.5])


def test_every_point_has_a_name_and_a_number_in_the_list_below(page: Page) -> None:
    title = "Mean score against parameters"
    full = next(spec for label, spec in zip(page.labels, page.figures) if label.startswith(title))
    labels = full["layout"]["meta"]["labels"]
    assert len(labels) == sum(len(trace["x"]) for trace in full["data"]) == 27
    assert {"encoder:hrq@full", "DNABERT-2"} <= {label["text"] for label in labels}
    assert page.text.count("DNABERT-2 (published)") == 2


def test_costs_are_summed_up_over_datasets(tmp_path: Path) -> None:
    record = small()
    for one, seconds, memory in zip(record["rows"], (10, 1, 1, 30, 1, 1, 80, 1), (1e9, 1, 1, 3e9, 1, 1, 2e9, 1)):
        one |= {"seconds": seconds, "peak_memory": memory, "tokenizer": "hrq" if one["system"] == "a" else None}
        one["parameters"] = {"total": 4_100_000, "trainable": 210_000} if one["system"] == "a" else None
    costs = row_of(report(write_summary(tmp_path / "gue", record)), "What a system costs", "a")
    assert costs["tokenizer"][0] == "hrq"
    assert costs["parameters"] == ("4.1 M", 4_100_000)
    assert costs["trainable"] == ("210 K", 210_000)
    assert costs["time per run"] == ("40 s", 40)
    assert costs["peak memory"] == ("3 GB", 3e9)
    assert costs["bases pre-trained on"] == ("1.2 B", 1.2e9)


def test_bars_have_the_intervals_of_the_summary_and_the_best_published_score(tmp_path: Path) -> None:
    record = small(published={"full": {"low": {"tf/0": 10.0}, "high": {"tf/0": 72.0}}})
    record["rows"][1]["mcc"] |= {"low": 0.55, "high": 0.63}
    spec = figure(report(write_summary(tmp_path / "gue", record)), "tf/0")
    (bars,) = spec["data"]
    assert bars["x"] == [71, 60, 25]
    assert bars["error_x"]["arrayminus"][1] == pytest.approx(5)
    assert bars["error_x"]["array"][1] == pytest.approx(3)
    assert [shape["x0"] for shape in spec["layout"]["shapes"]] == [72]
    assert "published: high 72.0" in spec["layout"]["annotations"][0]["text"]
    assert "at chance" in spec["layout"]["yaxis"]["ticktext"][2]
    # The interval of the collapsed system, far below zero, does not squeeze the others.
    assert spec["layout"]["xaxis"]["range"][0] == 0


def test_the_poster_s_rows_keep_their_order_with_ours_beside(tmp_path: Path) -> None:
    table = report(write_summary(tmp_path / "gue", small(poster=poster()))).table("VQDNA's poster")
    rows = list(table.values())
    assert [line["method"][0].split("\n")[0] for line in rows][-1] == "VQDNA (HRQ)"
    assert len(rows) == 6
    assert rows[-1]["relative FLOPs, published"] == ("1.7", 1.7)
    assert rows[-1]["relative FLOPs, ours"] == ("0.12", 0.12)
    assert rows[-1]["parameters, published"] == ("103 M", 103e6)
    assert "not run here" in rows[0]["method"][0]
    assert rows[0]["average rank, ours"] == ("–", None)


def test_a_figure_of_the_poster_in_parts_is_shown_as_printed(tmp_path: Path) -> None:
    record = small(poster=[{"system": "VQDNA", "published": {"parameters": [86e6, 17e6]}, "ours": None}])
    (line,) = report(write_summary(tmp_path / "gue", record)).table("VQDNA's poster").values()
    assert line["parameters, published"] == ("86 M + 17 M", 103e6)


def test_no_scores_in_common_is_said_and_leaves_the_tables(tmp_path: Path) -> None:
    rows = [row("a", "tf/0", [0.5]), row("b", "tf/1", [0.6])]
    page = report(write_summary(tmp_path / "gue", summary(rows)))
    assert "There are no ranks" in page.text
    assert row_of(page, TF, "b")["tf/1"][0] == "60.0"
    assert "Critical difference" not in " ".join(page.titles)


def test_a_value_of_the_wrong_kind_is_named_and_names_are_escaped(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(2)>"
    published = {"full": {hostile: {"tf/0": 50.0, "virus/covid": 60.0}}}
    record = small(published=published, poster=[{"system": hostile}])
    record["rows"] += [row(hostile, "tf/0", [0.6]), row(hostile, "virus/covid", [0.7])]
    record |= {"rankings": summary(record["rows"])["rankings"], "published_cost": {hostile: {"parameters": 1e6}}}
    page = report(write_summary(tmp_path / "gue", record))
    assert page.tags.count("img") == 0
    assert hostile in page.text
    assert "<img" not in json.dumps(page.figures)
    record["rows"][0]["parameters"] = 7
    with pytest.raises(InputError, match=r"gue: not the summary of a benchmark \(rows\.0\.parameters: "):
        report(write_summary(tmp_path / "gue", record))


def test_ranks_of_systems_without_rows_are_not_believed() -> None:
    record = json.loads(json.dumps(small()))
    record["rankings"]["full"]["systems"].append("ghost")
    record["rankings"]["full"]["average"]["ghost"] = 1.0
    (board,) = standings(BenchmarkResult.model_validate(record))
    assert board.ranks is None


def test_two_benchmarks_have_sections_of_their_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_summary(tmp_path / name, small())
    page = report(tmp_path)
    assert page.sections == ["overview", "benchmark-1", "benchmark-1-full", "benchmark-2", "benchmark-2-full", "runs"]
    assert {"Benchmark: one", "Benchmark: two"} <= set(page.titles)


@pytest.mark.parametrize("most", [1, 4, 10])
def test_columns_stay_together_by_family_and_none_is_lost(most: int) -> None:
    groups = column_groups(DATASETS, most)
    assert [name for group in groups for name in group] == list(DATASETS)
    assert max(map(len, groups)) <= most
    if most == 10:
        assert [len(group) for group in groups] == [10, 8, 10]


def test_every_figure_of_a_large_benchmark_is_valid_plotly_and_the_page_stays_small(page: Page, tmp_path: Path) -> None:
    from plotly.graph_objects import Figure

    assert len(page.figures) == len(page.labels) == 28 + 11 + 6  # two of costs in each of the three sections
    for spec in page.figures:
        Figure(json.loads(re.sub(r"var\(--[a-z0-9-]+\)", "#123456", json.dumps(spec))))
    write_report([write_summary(tmp_path / "gue", large_summary())], tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 6_000_000
