"""Figures in README and docs are those of committed results files."""

import json
import re

import pytest
from documents import ROOT

from vqdna.benchmark.runner import markdown_summary

RESULTS = ROOT / "docs" / "results"


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def test_readme_s_score_tables_are_those_of_the_results_file():
    rows = json.loads((RESULTS / "gue_summary.json").read_text())["rows"]
    readme = (ROOT / "README.md").read_text()
    missing = [line for line in table_lines(markdown_summary(rows)) if line not in readme]
    assert missing == []


@pytest.mark.parametrize("unit", ["codes", "spans", "bases"])
def test_leak_table_is_that_of_the_results_file(unit):
    evaluation = json.loads((RESULTS / "leak.json").read_text())["runs"][unit]["evaluation"]
    first, second = (f"{100 * value:.1f} %" for value in evaluation["masked_accuracy"])
    line = next(
        line
        for line in table_lines((ROOT / "docs" / "decisions" / "0003-masking.md").read_text())
        if line.startswith(f"| {unit} ")
    )
    assert f"{first} / {second}" in line
    assert f"{evaluation['base_nats']:.3f}" in line


def test_speed_figures_of_the_readme_are_measured_ones():
    ratios = json.loads((ROOT / "benchmarks" / "results" / "vocabulary.json").read_text())["median_ratio"]
    genome = json.loads((ROOT / "benchmarks" / "results" / "genome.json").read_text())["benchmarks"]
    readme = (ROOT / "README.md").read_text()
    for ratio in ratios.values():
        assert f"{ratio:.1f} x" in readme
    for name in ("bench_text_to_base_ids", "bench_windows[5000-True]"):
        assert f"{genome[name]['megabases_per_second']['Mb/s']} Mb/s" in readme


def test_no_placeholder_is_left():
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        assert not re.search(r"^[A-Z_]{6,}$", path.read_text(), re.MULTILINE), path
