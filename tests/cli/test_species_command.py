"""`vqdna study species` in process: mistakes in one line, the plan, and a run that ends in a page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from vqdna.genome.sequences import Sequence
from vqdna.simulation.genomes import write_fasta


@pytest.fixture
def run(run_command):
    """Function that runs the command and gives (exit code, standard output, standard error)."""
    return partial(run_command, "study", "species")


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """Working directory with two genomes of three contigs each in a folder, and a table that names them."""
    rng = np.random.default_rng(0)
    for name, gc in (("low", 0.3), ("high", 0.7)):
        weights = np.array([1 - gc, gc, gc, 1 - gc]) / 2
        contigs = [Sequence(f"c{i}", rng.choice(4, 4000, p=weights).astype(np.uint8)) for i in range(3)]
        write_fasta(tmp_path / "genomes" / f"{name}.fa", contigs)
    (tmp_path / "two.tsv").write_text("species\tfile\nlow\tgenomes/low.fa\nhigh\tgenomes/high.fa\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--genomes genoms", "species 'genoms': no such folder or table"),
        ("--genomes genomes --lengths 1kb", "--lengths: got '1kb'"),
        ("--genomes genomes --systems spectrun", "did you mean 'spectrum'"),
        ("--genomes genomes --encoder small", "expected NAME=SOURCE"),
        ("--genomes genomes --encoder own=smal", "did you mean 'small'"),
        ("--genomes genomes --lengths 5k --systems spectrum", "nothing to run: 0 of 2 species have 5,000 bases"),
        ("--genomes genomes --systems hyena", "no system to run: no encoder was given for it"),
        ("", "no species set lies in the data root"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(run, here, monkeypatch, arguments, expected):
    monkeypatch.setenv("VQDNA_DATA", str(here))
    code, out, err = run(*arguments.split(), "--out", "out")
    assert (code, out) == (2, "")
    assert expected in err.splitlines()[-1]
    assert not (here / "out").exists()


def test_the_plan_says_what_fits_and_runs_nothing(run, here):
    code, _, err = run("--genomes", "two.tsv", "--lengths", "100,3k,9k", "--systems", "kmer6", "--out", "out", "--plan")
    assert code == 0
    assert "memory foreseen" in err
    assert "two, 9k: 0 of 2 species have 9,000 bases in a row in each split" in err
    assert not (here / "out").exists()


def test_a_run_ends_in_a_table_and_a_page(run, here):
    code, out, _ = run(
        "--genomes", "genomes", "--lengths", "200,1k", "--systems", "spectrum", "hyena", "--quick", "--out", "out"
    )
    assert code == 0
    assert "| spectrum | 100.0 | 100.0 |" in out
    assert "- hyena: no encoder was given for it" in out
    assert "Species classification" in (here / "out" / "species.html").read_text()
