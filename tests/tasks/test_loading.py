from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from vqdna.errors import InputError
from vqdna.tasks.loading import (
    LabelledSequences,
    labelled_from_text,
    read_labelled,
    read_splits,
    read_unlabelled,
    split_off,
)


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_bytes(text.encode())
    return path


ROWS = [("ACGT", "1"), ("GGNA", "0"), ("ttt", "1")]


@pytest.mark.parametrize(
    ("name", "delimiter", "newline"),
    [
        ("t.csv", ",", "\n"),
        ("t.csv.gz", ",", "\n"),
        ("t.tsv", "\t", "\r\n"),
        ("t.txt", ";", "\n"),
        ("t.csv", "\t", "\n"),
        ("t.csv", ",", "\r\n"),
    ],
)
def test_text_tables_of_any_delimiter_and_line_ending_read_alike(tmp_path, name, delimiter, newline):
    lines = ["sequence" + delimiter + "label", *(delimiter.join(row) for row in ROWS)]
    sequences = read_labelled(write(tmp_path / name, newline.join(lines) + newline))
    assert [list(bases) for bases in sequences.base_ids] == [[0, 1, 2, 3], [2, 2, 4, 0], [3, 3, 3]]
    assert sequences.labels.tolist() == [1, 0, 1]
    assert sequences.labels.dtype == np.int64
    assert (sequences.task, sequences.class_names, sequences.num_classes) == ("classification", ("0", "1"), 2)
    assert sequences.lengths.tolist() == [4, 4, 3]
    assert sequences.names is None


def test_column_order_extra_columns_names_and_byte_order_mark_do_not_matter(tmp_path):
    path = write(tmp_path / "t.csv", "\ufefflabel,note,sequence,id\n0,x,AC,first\n\n1,y,GT,second\n")
    sequences = read_labelled(path)
    assert sequences.names == ["first", "second"]
    assert sequences.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "task"),
    [([1, 0, 1], "classification"), ([0.5, 1.25, 2.0], "regression"), ([["a"], ["a", "b"], []], "multilabel")],
)
def test_parquet_reads_like_the_same_csv(tmp_path, labels, task):
    table = pyarrow.table({"sequence": ["AC", "GT", "AA"], "label": labels})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    as_text = [";".join(label) or ";" if isinstance(label, list) else str(label) for label in labels]
    write(tmp_path / "t.tsv", "sequence\tlabel\n" + "".join(f"{s}\t{x}\n" for s, x in zip(["AC", "GT", "AA"], as_text)))
    parquet, text = read_labelled(tmp_path / "t.parquet"), read_labelled(tmp_path / "t.tsv")
    assert parquet.task == text.task == task
    assert parquet.labels.tolist() == text.labels.tolist()
    assert parquet.class_names == text.class_names


def test_words_become_class_ids_in_alphabetical_order():
    sequences = labelled_from_text(["A", "C", "G"], ["promoter", "enhancer", "promoter"])
    assert sequences.class_names == ("enhancer", "promoter")
    assert sequences.labels.tolist() == [1, 0, 1]


def test_integer_classes_sort_by_number_and_need_not_start_at_zero():
    sequences = labelled_from_text(["A"] * 3, ["10", "9", "2.0"])
    assert sequences.class_names == ("2", "9", "10")
    assert sequences.labels.tolist() == [2, 1, 0]


def test_label_sets_become_a_zero_one_matrix_and_a_lone_semicolon_the_empty_set():
    sequences = labelled_from_text(["A"] * 4, ["liver;heart", "heart", ";", " brain ; heart "])
    assert sequences.task == "multilabel"
    assert sequences.class_names == ("brain", "heart", "liver")
    assert sequences.labels.tolist() == [[0, 1, 1], [0, 1, 0], [0, 0, 0], [1, 1, 0]]


def test_the_task_given_wins_over_the_form_of_the_labels():
    assert labelled_from_text(["A", "C"], [1, 2], task="regression").labels.tolist() == [1.0, 2.0]
    assert labelled_from_text(["A", "C"], ["X", "1"], task="classification").class_names == ("1", "X")
    assert labelled_from_text(["A", "C"], ["a", "b"], task="multilabel").labels.tolist() == [[1, 0], [0, 1]]


def test_dev_and_test_take_the_classes_of_train(tmp_path):
    train = write(tmp_path / "train.csv", "sequence,label\nA,b\nC,c\nG,a\n")
    dev = write(tmp_path / "dev.csv", "sequence,label\nA,c\n")
    test = write(tmp_path / "test.csv", "sequence,label\nA,b\nA,c\n")
    splits = read_splits(train, dev, test)
    assert splits.dev.labels.tolist() == [2]
    assert splits.test is not None
    assert splits.test.labels.tolist() == [1, 2]
    assert splits.test.num_classes == 3


def test_without_dev_a_seeded_tenth_of_train_takes_its_place(tmp_path):
    train = write(tmp_path / "train.csv", "sequence,label\n" + "".join(f"{'ACGT' * 3},{n % 2}\n" for n in range(40)))
    splits = read_splits(train, seed=1)
    assert (len(splits.train), len(splits.dev), splits.test) == (36, 4, None)


def test_fasta_takes_its_labels_from_a_table_by_name(tmp_path):
    fasta = write(tmp_path / "t.fa", ">two x\nACG\nT\n>one\nGG\n")
    labels = write(tmp_path / "labels.csv", "name,label\none,0\ntwo,1\nunused,1\n")
    sequences = read_labelled(fasta, labels=labels)
    assert sequences.names == ["two", "one"]
    assert sequences.labels.tolist() == [1, 0]
    assert [len(bases) for bases in sequences.base_ids] == [4, 2]


def test_unlabelled_reading_needs_no_label_and_names_records_by_number(tmp_path):
    names, base_ids = read_unlabelled(write(tmp_path / "t.csv", "sequence\nAC\nGGG\n"))
    assert names == ["0", "1"]
    assert [len(bases) for bases in base_ids] == [2, 3]
    names, base_ids = read_unlabelled(write(tmp_path / "t.fa", ">x\nAC\n"))
    assert (names, base_ids[0].tolist()) == (["x"], [0, 1])


def test_subset_keeps_classes_and_order_asked_for():
    sequences = labelled_from_text(["A", "C", "G"], ["x", "y", "z"])
    part = sequences.subset([2, 0])
    assert part.labels.tolist() == [2, 0]
    assert part.num_classes == 3
    assert [bases.tolist() for bases in part.base_ids] == [[2], [0]]


def test_split_off_is_stratified_seeded_and_loses_nothing():
    labels = [0] * 90 + [1] * 20 + [2] * 2 + [3]
    sequences = labelled_from_text([f"{'A' * n}C" for n in range(1, 114)], labels, task="classification")
    train, dev = split_off(sequences, 0.1, seed=5)
    assert np.bincount(dev.labels, minlength=4).tolist() == [9, 2, 1, 0]
    assert sorted([*train.lengths, *dev.lengths]) == sorted(sequences.lengths)
    assert list(train.lengths) == sorted(train.lengths)
    assert split_off(sequences, 0.1, seed=5)[1].lengths.tolist() == dev.lengths.tolist()
    assert split_off(sequences, 0.1, seed=6)[1].lengths.tolist() != dev.lengths.tolist()


def test_split_off_holds_out_a_tenth_of_regression_records():
    sequences = labelled_from_text(["A"] * 50, list(np.linspace(0.05, 1, 50)))
    train, dev = split_off(sequences)
    assert (len(train), len(dev)) == (45, 5)


@pytest.mark.parametrize(("count", "fraction"), [(1, 0.1), (10, 0.0), (10, 1.0)])
def test_split_off_refuses_what_it_cannot_split(count, fraction):
    sequences = LabelledSequences([np.zeros(3, np.uint8)] * count, np.arange(count) % 2)
    with pytest.raises(InputError, match="cannot hold out"):
        split_off(sequences, fraction)
