from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from example_runs import write_probe, write_run, write_vocabulary
from example_study import COMMAND, write_cell, write_learned, write_study
from page import Page

from vqdna.reports.charts.sweep_chart import Level, Sweep, spread, sweep_chart
from vqdna.reports.runs import find_runs
from vqdna.studies.codebook.report.section import PUBLISHED, study_rows, swept, verdicts
from vqdna.studies.codebook.results import CodebookRow
from vqdna.studies.codebook.summary import write_summary as write_study_summary
from vqdna.whole_report import write_main_numbers, write_report


def report(*folders: Path) -> Page:
    out = folders[0].parent / "report.html"
    write_report(list(folders), out)
    return Page(out.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = write_study(tmp_path_factory.mktemp("runs") / "codebook")
    write_study_summary(out, COMMAND)
    return out


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return report(folder)


def rows_by_name(folder: Path) -> dict[str, CodebookRow]:
    (run,) = find_runs([folder])
    return {row.cell: row for row in study_rows(run)}


def figure(page: Page, title: str) -> dict[str, Any]:
    (spec,) = [spec for label, spec in zip(page.labels, page.figures, strict=True) if label.startswith(title)]
    return spec


def labelled(page: Page, caption: str) -> dict[str, dict[str, tuple[str, float | None]]]:
    """Rows of a table by the first cell alone."""
    return {first: row for (first, _), row in page.table(caption).items()}


def test_a_study_is_one_run_and_the_runs_inside_its_cells_are_not_listed(page: Page) -> None:
    assert page.sections == ["overview", "study", "runs"]
    assert "This page tells of 1 study" in page.text
    (row,) = page.table("Every run of this page.").values()
    assert row["run"][0] == "codebook"
    assert row["outcome"][0] == "13 runs, see the codebook study"
    assert row["time"] == ("13 min", 780)
    assert page.tags.count("details") == 1
    assert page.text.count(COMMAND) == 1
    assert "Genomes learned from: yeast, 12 M bases in all." in page.text


def test_a_vocabulary_of_a_cell_not_yet_probed_is_left_out_too(tmp_path: Path) -> None:
    write_learned(tmp_path / "study", "vq_k128", 0, 0.1, 0.2, 0.1)
    write_vocabulary(tmp_path / "study" / "vq_k256" / "seed-0" / "vocabulary", "vq", (8,))
    write_vocabulary(tmp_path / "other", "vq", (16,))
    assert [run.stage for run in find_runs([tmp_path])] == ["vocabulary", "study"]


def test_two_studies_stay_apart(tmp_path: Path) -> None:
    for name, mcc in (("a", 0.2), ("b", 0.3)):
        write_learned(tmp_path / name, "vq_k128", 0, 0.1, mcc, 0.1)
    assert [run.name for run in find_runs([tmp_path])] == ["a", "b"]
    assert [title for title in report(tmp_path).titles if title in "ab"] == ["a", "b"]


def test_numbers_of_the_table_are_those_of_the_cells(page: Page) -> None:
    table = labelled(page, "Every row.")
    row = table["hrq_k128"]
    assert row["codes"][0] == "256 + 512"
    assert row["width"] == ("48 (384)", 48)
    # Two seeds, 1 to either side of the mean: deviation the root of 2.
    assert row["macro-F1, variant windows"] == ("18.0 ± 1.4", pytest.approx(18))
    assert row["MCC, 2 datasets"] == ("44.0 ± 1.4", pytest.approx(44))
    assert row["Rec."] == ("99.60 ± 0.14", pytest.approx(99.6))
    assert row["nats"] == ("0.0400 ± 0.0141", pytest.approx(0.04))
    assert row["usage"][0] == "75.0 / 100.0"
    assert row["perplexity"][0] == "128 / 256"
    assert row["dimensions"] == ("768", 768)
    assert row["seeds"] == ("2", 2)
    assert table["kmer_6"]["macro-F1, variant windows"][0] == "24.0 best"
    assert table["hrq_k512"]["MCC, 2 datasets"][0] == "50.0 best"
    assert table["kmer_6"]["Rec."] == ("–", None)


def test_rows_are_those_of_the_study_s_own_summary(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())["rows"]
    rows = rows_by_name(folder)
    assert set(rows) == {record["cell"] for record in summary}
    for record in summary:
        row = rows[record["cell"]]
        assert {metric: score.mean for metric, score in row.lin.items()} == pytest.approx(
            {metric: score["mean"] for metric, score in record["lin"].items()}
        )
        assert row.reconstruction_accuracy.mean == record["reconstruction_accuracy"]["mean"]
        assert row.num_features == record["num_features"]


def test_hand_made_rows_come_first_and_sizes_in_their_order(page: Page) -> None:
    assert list(labelled(page, "Every row.")) == [
        "nucleotide", "kmer_3", "kmer_4", "kmer_6", "best k-mer", "bpe_4096",
        "hrq_d256", "hrq_k128", "hrq_k512", "vq_d256", "vq_k128", "vq_k512",
    ]  # fmt: skip


def test_the_curves_are_the_table_and_the_lines_the_hand_made_rows(page: Page) -> None:
    spec = figure(page, "Lin. against K: MCC")
    vq, hrq = spec["data"]
    assert (vq["name"], vq["x"], vq["y"]) == ("VQ", [128, 512], [40, 45])
    assert (hrq["name"], hrq["x"], hrq["y"]) == ("HRQ", [128, 512], [44, 50])
    assert hrq["error_y"]["array"] == [pytest.approx(2**0.5, rel=1e-5), None]
    drawn = sorted(shape["y0"] for shape in spec["layout"]["shapes"])
    assert drawn == [41, 42, 44, 46, 46]  # 3-mers, BPE, 6-mers, 4-mers, and the best of them
    names = [annotation["text"] for annotation in spec["layout"]["annotations"]]
    assert {"3-mers 41.0", "BPE 42.0", "best k-mer 46.0", "single bases 2.0 ↓"} <= set(names)


def test_the_rows_of_the_standard_size_belong_to_both_sweeps(page: Page, folder: Path) -> None:
    vq, hrq = figure(page, "Lin. against width: macro-F1")["data"]
    assert (vq["x"], vq["y"]) == ([256, 384], [16, 19])
    assert (hrq["x"], hrq["y"]) == ([256, 384], [17, 18])
    assert list(swept(list(rows_by_name(folder).values()), "vq", "k")) == [128, 512]


def test_reconstruction_is_shown_in_nats_and_beside_the_posters(page: Page) -> None:
    nats = figure(page, "Reconstruction against K: nats")
    assert nats["layout"]["yaxis"]["type"] == "log"
    assert [trace["y"] for trace in nats["data"]] == [[0.05, 0.03], [0.04, 0.02]]
    traces = {trace["name"]: trace for trace in figure(page, "Reconstruction against K: Rec.")["data"]}
    assert traces["HRQ"]["y"] == [99.6, 99.8]
    assert traces["HRQ, poster"]["y"] == [98.4, 99.1, 99.6, 99.8]


def test_the_published_figures_stand_beside_the_rows_that_are_there(page: Page) -> None:
    table = labelled(page, "what the authors published")
    assert set(table) == set(PUBLISHED) & {"vq_k128", "vq_k512", "hrq_k128", "hrq_k512", "vq_d256", "hrq_d256",
                                           "nucleotide", "kmer_6", "bpe_4096"}  # fmt: skip
    assert table["hrq_k512"]["Rec., theirs"] == ("99.6", 99.6)
    assert table["hrq_k512"]["Lin. macro-F1, theirs"] == ("48.9", 48.9)
    assert table["kmer_6"]["Lin. macro-F1, ours"] == ("24.0", pytest.approx(24))


def test_the_verdicts_name_sizes_and_the_best(page: Page) -> None:
    assert (
        "Lin. as MCC, 2 datasets: HRQ is ahead of VQ at 2 of 2 sizes (+4.0 at K = 128, +5.0 at K = 512); highest "
        "learned row hrq_k512, 50.0 in 3072 dimensions, best k-mer 46.0 in 4096 dimensions."
    ) in page.text
    assert "ahead of VQ at 1 of 2 sizes (+4.0 at K = 128, -1.0 at K = 512)" in page.text
    assert verdicts([CodebookRow(cell="kmer_6", kind="hand-made", lin={"mcc": {"mean": 0.4}})], {"mcc": "MCC"}) == []


def test_without_a_summary_there_is_no_best_kmer(tmp_path: Path) -> None:
    page = report(write_study(tmp_path / "codebook"))
    assert "best k-mer" not in labelled(page, "Every row.")
    assert all(shape["line"]["dash"] == "dot" for shape in figure(page, "Lin. against K: MCC")["layout"]["shapes"])


def test_values_of_the_wrong_kind_are_left_out(tmp_path: Path) -> None:
    wrong = {"lin": {"mcc": "high"}, "levels": [7], "datasets": [1], "level_sizes": None, "width": "wide"}
    write_cell(tmp_path / "study", "vq_k128", 0, "<img src=x>", (8,), 0.1, 0.2, **wrong)
    write_cell(tmp_path / "study", "<img src=x>", 0, "vq", (8,), 0.1, 0.2, command="<img src=x>")
    (tmp_path / "study" / "summary.json").write_text(json.dumps({"rows": [3, {"cell": "kmer_best"}]}))
    page = report(tmp_path)
    assert page.tags.count("img") == 0
    assert labelled(page, "Every row.")["vq_k128"]["width"] == ("–", None)


def test_an_audit_is_a_row_of_the_runs(tmp_path: Path) -> None:
    tokenizer = {
        "name": "hrq",
        "usage": {"levels": [{"usage": 0.9}, {"usage": 0.75}]},
        "sensitivity": {"altered_fraction": 0.995},
        "codes": [[{"code": 1}]],
    }
    write_run(tmp_path / "audit", {"stage": "audit", "seed": 0, "tokenizers": [tokenizer]})
    write_probe(tmp_path / "probe", "mouse/3", "kmer:6", 0, 0.5)
    page = report(tmp_path)
    assert page.sections == ["overview", "comparison", "runs"]
    row = page.table("Every run of this page.")["audit", "audit"]
    assert row["outcome"][0] == "hrq: 90.0 % and 75.0 % of codes used, 99.5 % of single-base changes seen"


def test_the_summary_leaves_out_cells_and_audited_codes(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "audit", {"stage": "audit", "tokenizers": [{"name": "hrq", "codes": [[1]]}]})
    write_main_numbers([folder, tmp_path], tmp_path / "summary.json")
    study, audit = json.loads((tmp_path / "summary.json").read_text())["runs"].values()
    assert "cells" not in study
    assert len(study["rows"]) == 12
    assert audit["tokenizers"] == [{"name": "hrq"}]


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0], [0.0, 9.9, 10.0], [-5.0, 3.0, 20.0], [9.0, 9.5, 10.0]])
def test_names_of_lines_keep_their_distance_and_stay_inside(values: list[float]) -> None:
    places = spread(values, 2, 0, 10)
    assert all(after - before >= 2 for before, after in pairwise(places))
    assert places[0] >= 0
    assert places[-1] <= 10


def test_a_far_line_is_named_at_the_edge_and_flattens_nothing() -> None:
    sweep = Sweep("VQ", [1, 2], [40.0, 44.0], [None, 1.0], color=0)
    layout = sweep_chart("t", [sweep], x="K", y="y", caption="c", levels=[Level("near", 43), Level("far", 5)]).spec[
        "layout"
    ]
    low, high = layout["yaxis"]["range"]
    assert 39 < low < 40
    assert 45 < high < 46
    assert [shape["y0"] for shape in layout["shapes"]] == [43]
    assert [annotation["text"] for annotation in layout["annotations"]] == ["far 5.0 ↓", "near 43.0"]


def test_a_single_line_is_named_inside_and_near_sizes_on_two_rows() -> None:
    """So that both can be read on a telephone, where a margin for names would take half of the picture."""
    sizes = [1000, 20_000, 32_000, 50_000]
    sweep = Sweep("VQ", sizes, [40.0, 44.0, 45.0, 45.0], [None] * 4, color=0)
    figure = sweep_chart(
        "t", [sweep], x="bases", y="y", caption="c", levels=[Level("guessing", 38)], name_of=lambda n: f"{n // 1000}k"
    )
    layout = figure.spec["layout"]
    (name,) = layout["annotations"]
    assert (name["text"], name["xanchor"], name["yanchor"], name["x"]) == ("guessing 38.0", "left", "bottom", 0)
    assert layout["margin"]["r"] < 30
    assert layout["xaxis"]["ticktext"] == ["1k", "20k", "<br>32k", "50k"]
