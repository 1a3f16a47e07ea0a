"""`vqdna datasets` in process: what a user sees, and what a script gets."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest


@pytest.fixture
def run(run_command):
    """Function that runs a command and gives (exit code, standard output, standard error)."""
    return partial(run_command, "datasets")


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for split, rows in (("train", "AC,0\nGT,1\n"), ("dev", "AC,1\n"), ("test", "GG,0\n")):
        (folder / f"{split}.csv").write_text(f"sequence,label\n{rows}")
    (tmp_path / "datasets.yaml").write_text("mine: {folder: mine, length: 2}\n")
    return tmp_path


def test_the_list_has_all_and_says_what_is_there(run, root):
    code, out, _ = run("list", "--root", root)
    lines = out.splitlines()
    assert (code, len(lines)) == (0, 35)
    assert lines[-2].split() == [
        "mine",
        "classification",
        "2",
        "2",
        "-",
        "/",
        "-",
        "/",
        "-",
        "mcc",
        "-",
        "train",
        "dev",
        "test",
    ]
    assert lines[-1] == "33 datasets, 1 of them complete in the data root"
    rows = {row["name"]: row for row in json.loads(run("list", "--root", root, "--json")[1])}
    assert rows["mouse/3"]["published"]["DNABERT-2"] == 66.47
    assert rows["mouse/3"]["sha256"].keys() == {"train", "dev", "test"}
    assert rows["EMP/H3"]["license"].startswith("Apache-2.0")


def test_a_check_tells_what_is_shared_and_fails_where_something_differs(run, root):
    code, out, _ = run("check", "--root", root)
    assert (code, out.splitlines()[0]) == (0, "mine: as known")
    assert "shared sequences: 1 in train/dev" in out
    (root / "datasets.yaml").write_text("mine: {folder: mine, train: 3}\n")
    code, out, _ = run("check", "mine", "--root", root)
    assert code == 1
    assert "train.csv: 2 records, expected 3" in out
    (record,) = json.loads(run("check", "mine", "--root", root, "--json")[1])
    assert record["splits"]["train"]["labels"] == {"0": 1, "1": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "mimme"), "no dataset 'mimme' among the 34 known"),
        (("check", "mouse/3"), "mouse/3: no split in"),
        (("get", "eep/1"), "eep/1 cannot be fetched"),
    ],
)
def test_a_mistake_is_one_line(run, root, arguments, message):
    code, out, err = run(*arguments, "--root", root)
    assert (code, out) == (2, "")
    assert err.startswith(f"vqdna: error: {message}")
    assert len(err.splitlines()) == 1


def test_get_leaves_what_is_there(run, root):
    (root / "datasets.yaml").write_text("mine: {folder: mine, urls: {train: 'http://127.0.0.1:9/train.csv'}}\n")
    code, out, _ = run("get", "mine", "--root", root)
    assert (code, out) == (0, f"mine train: is there -> {root / 'mine' / 'train.csv'}\n")
