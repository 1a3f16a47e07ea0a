from __future__ import annotations

from pathlib import Path

import pytest
from example_runs import write_run
from page import Page

from vqdna.studies.pretraining.summary import write_summary
from vqdna.whole_report import write_report

SCORES = {
    "probe:kmer:6": (None, 0.1, 0.5),
    "random:small": (0, 0.2, 0.4),
    "small/snapshot-10": (10_000_000, 0.3, 0.3),
    "small": (60_000_000, 0.5, 0.4),
}


def write_cells(out: Path) -> Path:
    for encoder, (seen, first, second) in SCORES.items():
        for seed, offset in enumerate((-0.01, 0.01)):
            for dataset, score in (("mouse/3", first), ("tf/0", second)):
                results = {
                    "stage": "study", "study": "pretraining", "encoder": encoder, "dataset": dataset, "seed": seed,
                    "bases_seen": seen, "seconds": 30.0, "dev": {"mcc": score + offset},
                    "sequences": {"train": 1000}, "parameters": {"total": 8}, "command": "vqdna study pretraining",
                }  # fmt: skip
                folder = out / encoder.replace("/", "_").replace(":", "_") / f"{dataset.replace('/', '_')}-seed-{seed}"
                write_run(folder, results)
    write_summary(out, "vqdna study pretraining")
    return out


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    out = write_cells(tmp_path_factory.mktemp("runs") / "pay")
    write_report([out], out.parent / "report.html")
    return Page((out.parent / "report.html").read_text())


def test_the_study_has_a_section_of_its_own(page: Page) -> None:
    assert page.sections == ["overview", "pretraining", "runs"]
    assert "16 runs, see the pretraining study" in page.text


def test_the_verdict_says_what_the_last_encoder_gains_and_where(page: Page) -> None:
    assert "worth +15.0 points of mean dev MCC: 45.0 against 30.0 from random initialization" in page.text
    assert "ahead on 1 of 2 datasets" in page.text
    assert "The best control without an encoder (probe:kmer:6) has 30.0." in page.text


def test_the_curve_runs_over_the_bases_seen(page: Page) -> None:
    (spec,) = page.figures
    mean = spec["data"][0]
    assert (mean["x"], mean["y"]) == ([0.0, 10.0, 60.0], pytest.approx([30.0, 30.0, 45.0]))
    assert len(spec["data"]) == 3


def test_the_table_marks_the_best_of_each_column(page: Page) -> None:
    rows = {name: row for (name, _), row in page.table("Mean over the datasets").items()}
    assert rows["small"]["mean"] == ("45.0 ± 1.4 best", pytest.approx(45.0))
    assert rows["random:small"]["tf/0"][0] == rows["small"]["tf/0"][0] == "40.0"
    assert rows["probe:kmer:6"]["tf/0"][0] == "50.0 best"
    assert rows["small/snapshot-10"]["tf/0"][0] == "30.0"
