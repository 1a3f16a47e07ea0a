from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from example_runs import (
    write_benchmark,
    write_demo,
    write_finetune,
    write_pretrain,
    write_probe,
    write_run,
    write_vocabulary,
)
from page import Page

import vqdna.reports.page as render
from vqdna.errors import InputError
from vqdna.whole_report import write_report

MAX_BYTES = 6_000_000
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \"quoted\" 'too'"


def report(*folders: Path, **options: Any) -> Page:
    out = folders[0] / "report.html"
    write_report(list(folders), out, **options)
    return Page(out.read_text())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_demo(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="module")
def page(demo: Path) -> Page:
    return report(demo)


def test_a_whole_demo_has_every_section_in_reading_order(page: Page) -> None:
    assert page.sections == ["overview", "comparison", "vocabulary", "pretrain", "finetune", "runs"]
    assert [link for link in page.links if link.startswith("#")][1:] == [f"#{name}" for name in page.sections]


def test_the_page_loads_nothing_from_anywhere(page: Page, demo: Path) -> None:
    assert page.loads == []
    assert all(link.startswith("#") for link in page.links)
    assert not {"iframe", "object", "embed", "img", "link", "base", "form"} & set(page.tags)
    text = (demo / "report.html").read_text()
    assert "default-src 'none'" in text
    style = text[text.index("<style>") : text.index("</style>")]
    assert not re.search(r"@import|url\(|https?:", style)


def test_plotly_is_inside_once_and_the_file_stays_small(page: Page, demo: Path) -> None:
    large = [script for script in page.scripts if len(script) > 1_000_000]
    assert len(large) == 1
    assert (demo / "report.html").stat().st_size < MAX_BYTES


def test_a_paper_sized_vocabulary_stays_below_the_limit(tmp_path: Path) -> None:
    write_vocabulary(tmp_path / "hrq", "hrq", (1024, 2048))
    report(tmp_path)
    assert (tmp_path / "report.html").stat().st_size < MAX_BYTES


def test_equal_runs_give_equal_bytes(demo: Path, tmp_path: Path) -> None:
    for name in ("one.html", "two.html"):
        write_report([demo], tmp_path / name)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "two.html").read_bytes()


def test_every_figure_is_valid_plotly_and_says_in_words_what_it_shows(page: Page) -> None:
    from plotly.graph_objects import Figure

    assert len(page.figures) == len(page.labels) > 20
    for spec in page.figures:
        Figure(json.loads(re.sub(r"var\(--[a-z0-9-]+\)", "#123456", json.dumps(spec))))
    assert all(len(label) > 40 and re.search(r"\d", label) for label in page.labels)


def test_colors_name_variables_that_the_style_defines_for_light_and_dark(page: Page, demo: Path) -> None:
    text = (demo / "report.html").read_text()
    style = text[text.index("<style>") : text.index("</style>")]
    light, dark = style.split("@media (prefers-color-scheme: dark)", 1)
    named = set(re.findall(r"var\((--[a-z0-9-]+)\)", json.dumps(page.figures)))
    assert named
    for name in named:
        assert f"{name}:" in light
        assert f"{name}:" in dark.split("*, *::before", 1)[0]


def test_every_table_has_a_caption_and_headings_do_not_skip_a_level(page: Page) -> None:
    assert len(page.captions) == len(page.tables) > 3
    assert all(caption.strip() for caption in page.captions)
    levels = [int(tag[1]) for tag in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_overview_says_which_data_seeds_and_versions(page: Page) -> None:
    assert "Simulated sequences, no real genomes: 4 simulated species of 200,000 bases each, seed 0." in page.text
    assert "0, 1, 2" in page.text
    assert "Made with python 3.11.2, vqdna 0.1.0, torch 2.13.0 and transformers 5.23.0." in page.text


def test_real_data_is_not_called_simulated(tmp_path: Path) -> None:
    data = {"source": "data root", "description": "yeast and E. coli"}
    write_probe(tmp_path / "run", "mouse/3", "kmer:6", 0, 0.5, data=data)
    text = report(tmp_path).text
    assert "Real sequences from the data root: yeast and E. coli." in text
    assert "imulated" not in text


def test_genomes_of_a_run_are_named_with_their_size(tmp_path: Path) -> None:
    results = {
        "stage": "pretrain",
        "genomes": {"files": ["a.fa"], "species": ["yeast", "phage"], "num_bases": 12_200_000},
    }
    write_run(tmp_path / "run", results)
    assert "Genomes learned from: yeast and phage, 12.2 M bases in all." in report(tmp_path).text


def test_runs_section_holds_commands_and_configurations(page: Page) -> None:
    assert "vqdna vocabulary --config configs/vocabulary/hrq_small.yaml --out hrq" in page.text
    assert "learning_rate: 0.001" in page.text
    assert page.tags.count("details") == 25


@pytest.mark.parametrize(
    ("write", "section"),
    [
        (lambda folder: write_vocabulary(folder, "vq", (16,)), "vocabulary"),
        (lambda folder: write_pretrain(folder, "vq", 1), "pretrain"),
        (lambda folder: write_probe(folder, "mouse/3", "kmer:3", 0, 0.4), "comparison"),
    ],
)
def test_only_sections_with_something_to_say_appear(tmp_path: Path, write: Any, section: str) -> None:
    write(tmp_path / "run")
    assert report(tmp_path).sections == ["overview", section, "runs"]


def test_a_finetuning_run_without_test_scores_shows_its_curves_only(tmp_path: Path) -> None:
    write_finetune(tmp_path / "run", "mouse/3", "hrq", 0, 0.6, test=None)
    assert report(tmp_path).sections == ["overview", "finetune", "runs"]


@pytest.mark.parametrize("stage", ["vocabulary", "pretrain", "finetune", "probe", "benchmark", "study", "audit"])
def test_a_results_file_with_nothing_but_its_stage_breaks_nothing(tmp_path: Path, stage: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "results.json").write_text(json.dumps({"stage": stage}))
    page = report(tmp_path)
    assert page.sections[0] == "overview"
    assert page.figures == []


def test_values_of_the_wrong_kind_are_left_out(tmp_path: Path) -> None:
    results = {
        "stage": "vocabulary", "seed": "three", "seconds": None, "parameters": [1], "data": "here", "system": 5,
        "evaluation": {"reconstruction_accuracy": "high", "levels": [{"size": None, "usage": True}, 7]},
        "code_usage": [[0, 0], "none", [None, 3]],
        "code_map": [{"level": 0, "code": 1}, 3, {"level": 0, "code": 0, "x": 0.1, "y": 0.2}],
    }  # fmt: skip
    write_run(tmp_path / "run", results, [{"step": 1, "commitment": float("nan")}, {"step": 2, "commitment": 0.5}, {}])
    page = report(tmp_path)
    json.dumps(page.figures, allow_nan=False)
    assert any(label.startswith("Commitment loss") for label in page.labels)


def test_text_from_files_is_shown_and_never_run(tmp_path: Path) -> None:
    extra = {"command": HOSTILE, "data": {"source": HOSTILE, "description": HOSTILE}}
    write_finetune(tmp_path / "finetune", HOSTILE, HOSTILE, 0, 0.5, **extra)
    vocabulary = write_vocabulary(tmp_path / "vocabulary", HOSTILE, (8,))
    results = json.loads((vocabulary / "results.json").read_text())
    results["code_map"][0]["top_kmer"] = HOSTILE
    (vocabulary / "results.json").write_text(json.dumps(results))
    (vocabulary / "run.yaml").write_text(HOSTILE)
    (vocabulary / "manifest.json").write_text(json.dumps({"versions": {HOSTILE: HOSTILE}}))
    page = report(tmp_path, title=HOSTILE)
    assert page.tags.count("img") == 0
    assert page.tags.count("script") == 3
    assert not any("alert(" in script for script in page.scripts)
    assert page.titles[0] == HOSTILE
    assert page.text.count(HOSTILE) > 8
    # Plotly reads a little HTML in names and labels: what comes from files is escaped there once more.
    assert "<img" not in json.dumps(page.figures)
    assert "&lt;img" in json.dumps(page.figures)


def test_a_folder_without_any_run_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"summary": 1}))
    with pytest.raises(InputError, match=re.escape(f"no run in {tmp_path}")):
        write_report([tmp_path], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_no_folder_at_all_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in no folder"):
        write_report([], tmp_path / "report.html")


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: no such run folder"):
        write_report([tmp_path / "missing"], tmp_path / "report.html")


def test_a_broken_results_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"stage": ')
    with pytest.raises(InputError, match=r"results\.json: not JSON"):
        write_report([tmp_path], tmp_path / "report.html")


def test_a_missing_plotly_says_what_to_install(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "find_spec", lambda name: None if name == "plotly" else object())
    with pytest.raises(InputError, match=re.escape("needs plotly: pip install 'vqdna[report]'")):
        write_report([demo], tmp_path / "report.html")


def test_a_failed_write_leaves_the_old_report(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report([demo], out)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_benchmark_cell_counts_once_and_lends_the_curves_of_the_run_inside_it(tmp_path: Path) -> None:
    cell = write_benchmark(tmp_path / "cell", "mouse/3", "encoder:hrq", 0, 0.6, method="lora")
    write_finetune(cell / "run", "mouse/3", "hrq", 0, 0.6)
    page = report(tmp_path)
    assert list(page.table("Test scores")) == [("encoder:hrq", "fine-tuned (LoRA)")]
    assert any(label.startswith("Dev MCC by epoch") for label in page.labels)
