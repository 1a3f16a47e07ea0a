"""runs/paper.sh: what it calls, by stand-ins that write down their arguments; and once for real, on two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vqdna.results import read_json

SCRIPT = Path(__file__).parents[2] / "runs" / "paper.sh"
STAND_IN = """#!/bin/sh
{ printf '%s\\t' "$(basename "$0")" "$@"; echo; } >> "$CALLS"
"""


def run(*arguments, path, **variables):
    unset = ("NPROC", "PASS", "SEEDS", "SMOKE", "VQDNA_QUIET")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"PATH": f"{path}:{environment['PATH']}", "OMP_NUM_THREADS": "1", **variables}
    command = ["bash", str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def stand_ins(tmp_path):
    """Folder of commands that only note what they were asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("torchrun", "vqdna"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def data(tmp_path):
    """Two datasets, one of them without dev and compressed."""
    for name, ending in (("EMP/H3", "csv"), ("prom/prom_core_tata", "csv.gz")):
        folder = tmp_path / "data" / "gue" / name
        folder.mkdir(parents=True)
        for split in ("train", "test", *(["dev"] if ending == "csv" else [])):
            (folder / f"{split}.{ending}").touch()
    return tmp_path / "data"


def calls(tmp_path):
    """Words of every call."""
    return [line.rstrip("\t").split("\t") for line in (tmp_path / "calls").read_text().splitlines()]


def after(words, name):
    """The word behind an option."""
    return words[words.index(name) + 1]


def test_batches_are_the_papers_whatever_the_number_of_processes(tmp_path, stand_ins, data):
    ended = run("genomes", data, tmp_path / "out", path=stand_ins, CALLS=f"{tmp_path}/calls", NPROC="8", PASS="16")
    assert ended.returncode == 0, ended.stderr
    vocabulary, pretrain, *_ = calls(tmp_path)
    assert vocabulary[:7] == ["torchrun", "--standalone", "--nproc-per-node", "8", "-m", "vqdna", "vocabulary"]
    assert (after(vocabulary, "--config"), after(pretrain, "--config")) == ("paper_hrq", "paper")
    assert after(vocabulary, "--set") == f"training.gradient_accumulation={1024 // (8 * 16)}"
    assert after(pretrain, "--set") == f"training.gradient_accumulation={2048 // (8 * 16)}"
    assert after(pretrain, "--vocabulary") == after(vocabulary, "--out")


def test_every_dataset_that_is_there_is_learned_with_its_epochs_and_three_seeds(tmp_path, stand_ins, data):
    ended = run("genomes", data, tmp_path / "out", path=stand_ins, CALLS=f"{tmp_path}/calls", NPROC="1")
    tuned = [words for words in calls(tmp_path) if "finetune" in words]
    found = [
        (Path(after(words, "--train")).parent.name, after(words, "--set"), after(words, "--seed")) for words in tuned
    ]
    assert found == [
        (name, f"training.epochs={epochs}", str(seed))
        for name, epochs in (("H3", 3), ("prom_core_tata", 10))
        for seed in range(3)
    ]
    assert ["--dev" in words for words in tuned] == [True] * 3 + [False] * 3
    assert len({after(words, "--out") for words in tuned}) == 6
    left_out = next(line for line in ended.stdout.splitlines() if line.startswith("left out"))
    assert len(left_out.partition(": ")[2].split()) == 28 - 2


def test_a_text_corpus_is_cut_into_fasta_once(tmp_path, stand_ins, data):
    corpus = tmp_path / "train.txt"
    corpus.write_text("ACGT\nGGGG\n")
    for other in ("TTTT\n", "CCCC\n"):
        ended = run(corpus, data, tmp_path / "out", path=stand_ins, CALLS=f"{tmp_path}/calls", NPROC="1")
        assert ended.returncode == 0, ended.stderr
        corpus.write_text(other)
    assert after(calls(tmp_path)[0], "--genomes") == str(tmp_path / "out" / "corpus")
    assert [path.read_text() for path in (tmp_path / "out" / "corpus").iterdir()] == [">1\nACGT\n>2\nGGGG\n"]


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ((), {}, "Usage: "),
        (("genomes", "nowhere", "out"), {}, "no folder nowhere/gue"),
        (("genomes", "data", "out"), {"NPROC": "3"}, "cannot be made of NPROC x PASS = 3 x 32 sequences"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    arguments, variables, message, tmp_path, stand_ins, data, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    ended = run(*arguments, path=stand_ins, CALLS=f"{tmp_path}/calls", **variables)
    assert ended.returncode == 2
    assert message in ended.stdout + ended.stderr
    assert not (tmp_path / "calls").exists()


@pytest.mark.slow
def test_all_three_stages_run_on_two_processes_and_are_not_run_again(tmp_path):
    folder = Path(sys.executable).parent
    ended = run("simulated", "simulated", tmp_path, path=folder, SMOKE="1")
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert "plan:" not in ended.stderr, "nobody watches"
    runs = {name: tmp_path / name for name in ("vocabulary", "encoder", "gue/mouse-1-0")}
    assert {read_json(path / "manifest.json")["ranks"] for path in runs.values()} == {2}
    scores = read_json(runs["gue/mouse-1-0"] / "results.json")
    assert (scores["dataset"], scores["method"]) == ("mouse/1", "lora")
    assert "mouse/1" in (tmp_path / "report.html").read_text()

    made = [
        path / name for path in runs.values() for name in ("results.json", "metrics.jsonl", "model/model.safetensors")
    ]
    before = {path: path.stat().st_mtime_ns for path in made}
    again = run("simulated", "simulated", tmp_path, path=folder, SMOKE="1")
    assert again.returncode == 0, again.stderr[-3000:]
    assert {path: path.stat().st_mtime_ns for path in made} == before
