"""Every way a labelled table can be wrong ends in one line that names file, line and remedy."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from vqdna.errors import InputError
from vqdna.tasks.loading import labelled_from_text, read_labelled, read_splits, task_named


def complaint(path: Path, **options) -> str:
    with pytest.raises(InputError) as raised:
        read_labelled(path, **options)
    message = str(raised.value)
    assert "\n" not in message
    return message.replace(str(path.parent) + "/", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"t\.csv: empty file; expected a header with the columns 'sequence', 'label'"),
        ("sequence,label\n", r"t\.csv: holds no records"),
        ("sequence,labels\nAC,0\n", r"t\.csv:1: no column 'label', .*did you mean 'labels'"),
        ("seqence,label\nAC,0\n", r"t\.csv:1: no column 'sequence', .*did you mean 'seqence'"),
        ("sequence,label,label\nAC,0,1\n", r"t\.csv:1: the column 'label' stands twice"),
        ("ACGT,0\nACGA,1\n", r"t\.csv:1: no column 'sequence', the header has 'ACGT', '0'"),
        ("sequence,label\nAC,0\nGT,\n", r"t\.csv:3: the label is missing"),
        ("sequence,label\nAC,0\n\nGT\n", r"t\.csv:4: got 1 cells, expected 2"),
        ("sequence,label\nAC,0\n,1\n", r"t\.csv:3: the sequence is empty"),
        ("sequence,label\nAC,0\nACEQ,1\n", r"t\.csv:3: .*'E'"),
        ("sequence,label\nAC,0\nA-C,1\n", r"t\.csv:3: .*'-'"),
        ("sequence,label\nAC,0.5\nGT,nan\n", r"t\.csv:3: the label is missing \(got 'nan'\)"),
        ("sequence,label\nAC,0.5\nGT,inf\n", r"t\.csv:3: the label 'inf' is not a finite number"),
        ("sequence,label\nAC,0\nGT,NA\n", r"t\.csv:3: the label 'NA' is no number, while others are"),
        ('sequence,label\nAC,0\n"GT,1\n', r"t\.csv:3: "),
    ],
)
def test_a_bad_csv_is_refused_at_its_line(tmp_path, text, expected):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert re.match(expected, complaint(path))


def test_a_score_that_is_a_word_is_refused_for_regression(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence,label\nAC,0.5\nGT,high\n")
    assert "t.csv:3: the label 'high' is not a finite number" in complaint(path, task="regression")


def test_a_task_with_a_typo_gets_the_nearest_name():
    assert task_named("multilabel") == "multilabel"
    with pytest.raises(InputError, match=r"no task 'regresion', .*did you mean 'regression'"):
        task_named("regresion")


def test_a_missing_file_a_truncated_gzip_and_binary_text_are_told_apart(tmp_path):
    assert "none.csv: no such file" in complaint(tmp_path / "none.csv")
    whole = gzip.compress(b"sequence,label\n" + b"ACGTTGCAAGCT,0\n" * 2000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "cut.csv.gz: the gzip data is truncated or damaged" in complaint(tmp_path / "cut.csv.gz")
    (tmp_path / "binary.csv").write_bytes(b"sequence,label\n\xff\xfe\x00,0\n")
    assert "binary.csv: not UTF-8 text" in complaint(tmp_path / "binary.csv")


def test_a_bad_parquet_file_is_refused_with_its_row(tmp_path):
    (tmp_path / "fake.parquet").write_text("sequence,label\nAC,0\n")
    assert "fake.parquet: not a readable Parquet file" in complaint(tmp_path / "fake.parquet")
    path = tmp_path / "null.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"sequence": ["AC", "GT"], "label": [0, None]}), path)
    assert "null.parquet: row 2: the label is missing" in complaint(path)
    pyarrow.parquet.write_table(pyarrow.table({"sequence": ["AC"], "lable": [0]}), path)
    assert "did you mean 'lable'" in complaint(path)


def test_a_label_unknown_to_train_is_refused_at_its_line(tmp_path):
    (tmp_path / "train.csv").write_text("sequence,label\nAC,splice\nGT,none\n")
    (tmp_path / "test.csv").write_text("sequence,label\nAC,none\nGT,splise\n")
    with pytest.raises(InputError, match=r"test\.csv:3: the label 'splise' is not among .*did you mean 'splice'"):
        read_splits(tmp_path / "train.csv", tmp_path / "train.csv", tmp_path / "test.csv")


@pytest.mark.parametrize("labels", [["1", "1"], ["0.5", "0.5"], ["a;b", "b;a"]])
def test_a_training_split_with_nothing_to_learn_is_refused(tmp_path, labels):
    path = tmp_path / "train.csv"
    path.write_text("sequence,label\n" + "".join(f"AC,{label}\n" for label in labels))
    with pytest.raises(InputError, match=r"train\.csv: all 2 records have the label"):
        read_splits(path)


def test_integer_labels_of_nearly_every_record_are_not_taken_for_classes(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence,label\n" + "".join(f"AC,{n}\n" for n in range(30)))
    assert "30 different labels in 30 records; say task" in complaint(path)
    assert len(read_labelled(path, task="regression")) == 30


def test_fasta_without_labels_or_with_a_stranger_is_refused(tmp_path):
    fasta, labels = tmp_path / "t.fa", tmp_path / "labels.csv"
    fasta.write_text(">one\nAC\n>two\nGT\n")
    assert "needs a label table with columns 'name', 'label'" in complaint(fasta)
    labels.write_text("name,label\none,0\ntwoo,1\n")
    assert re.search(r"no label for the record 'two' of t\.fa; did you mean 'twoo'", complaint(fasta, labels=labels))
    labels.write_text("name,label\none,0\none,1\n")
    assert re.search(
        r"labels\.csv:3: the name 'one' stands twice, first at labels\.csv:2", complaint(fasta, labels=labels)
    )


def test_a_label_table_beside_a_labelled_table_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("sequence,label\nAC,0\n")
    assert "has its own label column" in complaint(path, labels=path)


def test_texts_and_labels_of_different_number_are_refused():
    with pytest.raises(InputError, match="got 1 sequences and 2 labels"):
        labelled_from_text(["A"], [0, 1])
