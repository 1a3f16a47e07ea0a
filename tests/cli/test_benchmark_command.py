"""`vqdna benchmark` in process: what a user sees, and what a script gets."""

from __future__ import annotations

import io
import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from vqdna.benchmark.budget import load_budget
from vqdna.benchmark.runner import checked_grid, run_grid
from vqdna.cli.benchmarking import split_names
from vqdna.results import read_json


@pytest.fixture
def run(run_command, monkeypatch, root):
    """Function that runs the command on the data root and gives (exit code, standard output, standard error)."""
    monkeypatch.setenv("VQDNA_DATA", str(root))

    return partial(run_command, "benchmark")


@pytest.fixture
def root(tmp_path) -> Path:
    """Data root with mouse/3 whole and mouse/1 without its training split."""
    random, root = np.random.default_rng(0), tmp_path / "data"
    for name, splits in (("3", ("train", "dev", "test")), ("1", ("dev", "test"))):
        (root / f"gue/mouse/{name}").mkdir(parents=True)
        for split in splits:
            texts = ["".join(random.choice(list(("AAT" if n % 2 else "GGC") + "ACGT"), 30)) for n in range(40)]
            rows = "".join(f"{text},{n % 2}\n" for n, text in enumerate(texts))
            (root / f"gue/mouse/{name}/{split}.csv").write_text("sequence,label\n" + rows)
    return root


def test_a_suite_takes_what_is_there_by_the_protocol_it_allows_and_names_the_rest(run, tmp_path, monkeypatch):
    monkeypatch.delenv("VQDNA_QUIET", raising=False)
    code, out, err = run(
        "--suite", "gue", "--systems", "kmer-logreg:2,kmer-logreg:3", "--seeds", 2, "--out", tmp_path / "o"
    )
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("left out, no train or dev or test file: EMP/H3, ")]
    assert "tf/0" in line
    assert "mouse" not in line.replace("mouse/0", "").replace("mouse/2", "").replace("mouse/4", "")
    assert "8 runs to make, 0 known" in err
    assert "[8/8] full mouse/3 kmer-logreg:3 seed 1: test MCC" in err
    assert [line for line in out.splitlines() if line.startswith("## ")] == ["## full", "## reduced"]
    summary = read_json(tmp_path / "o/summary.json")
    assert {(row["protocol"], row["dataset"]) for row in summary["rows"]} == {
        ("full", "mouse/3"),
        ("reduced", "mouse/1"),
    }


def test_json_goes_to_standard_output_alone(run, tmp_path):
    code, out, err = run(
        "--datasets", "mouse/3", "--systems", "kmer-logreg:2", "--seeds", 1, "--out", tmp_path / "o", "--json", "-q"
    )  # fmt: skip
    (row,) = json.loads(out)
    assert (code, err, row["system"], row["seeds"]) == (0, "", "kmer-logreg:2", [0])


def test_the_plan_says_what_is_left_and_writes_nothing(run, tmp_path):
    code, out, _ = run("--datasets", "mouse/3", "--systems", "kmer-logreg:2", "--out", tmp_path / "o", "--plan")
    assert (code, out.startswith("3 runs to make, 0 known, about ")) == (0, True)
    assert not (tmp_path / "o").exists()


def test_a_plan_under_a_budget_that_cuts_splits_writes_nothing_either(run, tmp_path):
    cut = load_budget("cpu").model_copy(update={"max_train": 20, "max_dev": 10})
    (tmp_path / "cut.yaml").write_text(cut.model_dump_json())
    code, _, _ = run(
        "--datasets", "mouse/3,mouse/1", "--systems", "kmer-logreg:2", "--budget", tmp_path / "cut.yaml",
        "--out", tmp_path / "o", "--plan",
    )  # fmt: skip
    assert code == 0
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--systems", "cnn"), "say which datasets"),
        (("--systems", "cnn", "--suite", "gua"), "no suite 'gua', .*did you mean 'gue'"),
        (("--systems", "cnn", "--suite", "eep"), "suite eep: none of its datasets is in the data root"),
        (
            ("--systems", "cnn", "--datasets", "mouse/3", "--budget", "cpus"),
            "no configuration 'cpus'.*did you mean 'cpu'",
        ),
        (("--systems", "cnn", "--datasets", "mouse/3", "--protocol", "ful"), "no protocol 'ful'.*did you mean 'full'"),
        (("--systems", "cnn", "--datasets", "mouse/1", "--protocol", "full"), "mouse/1: no train file"),
        (("--systems", "kmer3", "--datasets", "mouse/3"), "name some with --genomes"),
    ],
)
def test_a_mistake_is_one_line(run, tmp_path, arguments, message):
    code, out, err = run(*arguments, "--out", tmp_path / "o")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert re.search(message, err)
    assert not (tmp_path / "o").exists()


def test_names_may_be_parted_by_commas_and_come_once():
    assert split_names(["a,b", "c", "b,"]) == ["a", "b", "c"]


def test_on_a_terminal_a_table_fills_up_and_stays(root, tmp_path, monkeypatch):
    monkeypatch.delenv("VQDNA_QUIET", raising=False)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    systems = ["kmer-logreg:2", "kmer-logreg:3"]
    run_grid(checked_grid(systems, ["mouse/3"], 1, tmp_path / "o", root, budget=load_budget("cpu")), console=console)
    last = screen.getvalue().rpartition("mean MCC so far")[2]
    assert all(system in last for system in systems)
    assert last.count("1/1") == 2
    assert "full mouse/3 kmer-logreg:3 seed 0: test MCC" in last
