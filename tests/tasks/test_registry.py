from __future__ import annotations

import re
from pathlib import Path

import pytest

from vqdna.data_root import find_data_root
from vqdna.errors import InputError
from vqdna.tasks.loading import read_labelled
from vqdna.tasks.registry import dataset, datasets, find_dataset, present_datasets

DATA_ROOT = find_data_root()


def make_files(root: Path, folder: str, *splits: str) -> None:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split in splits:
        (root / folder / split).write_text("sequence,label\nAC,0\n")


def test_the_table_has_the_32_datasets_of_the_paper():
    table = datasets()
    assert len(table) == 32
    assert sum(row.group == "EMP" for row in table.values()) == 10
    assert sum(row.folder.startswith("gue/") for row in table.values()) == 28
    assert [name for name, row in table.items() if row.task == "regression"] == ["eep/1", "eep/2", "eep/3"]
    assert len({row.folder for row in table.values()}) == 32
    assert (table["mouse/3"].train, table["mouse/3"].dev, table["mouse/3"].test) == (1904, 239, 239)
    assert [name for name, row in table.items() if row.metric == "f1_macro"] == ["virus/covid"]
    assert {row.classes for row in table.values() if row.remote} == {2, 3, 9}


def test_the_prom_all_sets_are_as_large_as_their_two_parts():
    table = datasets()
    for length in ("300", "core"):
        parts = table[f"prom_{length}_notata"], table[f"prom_{length}_tata"]
        assert table[f"prom_{length}_all"].train == sum(part.train for part in parts)


def test_a_dataset_is_found_by_name_and_by_folder(tmp_path):
    make_files(tmp_path, "gue/prom/prom_core_tata", "train.csv.gz", "dev.csv", "test.tsv")
    by_name = find_dataset("prom_core_tata", tmp_path)
    assert [path.name for path in (by_name.train, by_name.dev, by_name.test)] == ["train.csv.gz", "dev.csv", "test.tsv"]
    assert find_dataset("prom/prom_core_tata", tmp_path) == by_name
    assert [row.name for row in present_datasets(tmp_path)] == ["prom_core_tata"]


def test_a_typo_gets_the_nearest_dataset():
    with pytest.raises(InputError, match=r"no dataset 'prom_core_tat' .*did you mean 'prom_core_tata'"):
        dataset("prom_core_tat")


def test_an_absent_train_split_is_said_so(tmp_path):
    make_files(tmp_path, "gue/EMP/H3", "dev.csv.gz", "test.csv.gz")
    with pytest.raises(
        InputError, match=r"EMP/H3: no train file in .*\(there is dev, test\); put it there as train\.csv"
    ):
        find_dataset("EMP/H3", tmp_path)
    with pytest.raises(InputError, match="there is no split at all"):
        find_dataset("EMP/H4", tmp_path)


def test_without_a_data_root_the_folder_to_provide_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("VQDNA_DATA", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(InputError, match="set VQDNA_DATA to the folder that holds 'gue/mouse/3'"):
        find_dataset("mouse/3")


def own_table(root: Path, text: str) -> Path:
    (root / "datasets.yaml").write_text(text)
    return root


def test_a_row_of_ones_own_is_a_dataset_like_the_others(tmp_path):
    root = own_table(tmp_path, "guides: {folder: mine/guides, task: regression, metric: spearman, classes: 1}\n")
    make_files(root, "mine/guides", "train.csv", "dev.csv", "test.csv")
    assert find_dataset("guides", root).dev == root / "mine/guides/dev.csv"
    assert dataset("guides", root).task == "regression"
    assert [row.name for row in present_datasets(root)] == ["guides"]


def test_the_environment_may_name_another_table(tmp_path, monkeypatch):
    (tmp_path / "own.yaml").write_text("mine: {folder: mine}\n")
    monkeypatch.setenv("VQDNA_DATASETS", str(tmp_path / "own.yaml"))
    assert dataset("mine", tmp_path).folder == "mine"
    monkeypatch.setenv("VQDNA_DATASETS", str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"none\.yaml: no such file"):
        dataset("mine", tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("mine: {classes: 2}", "'mine' needs at least folder: DIR"),
        ("mine: {folder: a, clases: 2}", "'mine' has the unknown key 'clases'; did you mean 'classes'"),
        ("tf/0: {folder: a}", "the name 'tf/0' is taken by a dataset of the paper"),
    ],
)
def test_a_row_that_says_too_little_or_too_much_is_refused(tmp_path, row, message):
    with pytest.raises(InputError, match=re.escape(message).replace("did", ".*did")):
        dataset("mine", own_table(tmp_path, row))


@pytest.mark.data_root
@pytest.mark.skipif(DATA_ROOT is None, reason="no data root")
@pytest.mark.parametrize("name", ["mouse/3", "prom_core_tata"])
def test_real_files_have_the_published_sizes_classes_and_lengths(name):
    files, row = find_dataset(name, DATA_ROOT), dataset(name)
    for path, size in ((files.train, row.train), (files.dev, row.dev), (files.test, row.test)):
        sequences = read_labelled(path)
        assert (len(sequences), sequences.num_classes) == (size, row.classes)
        assert set(sequences.lengths) == {row.length}
