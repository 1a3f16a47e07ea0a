from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from vqdna.data_root import find_data_root
from vqdna.tasks.inventory import check_dataset
from vqdna.tasks.registry import Dataset, dataset

DATA_ROOT = find_data_root()
ROWS = ["ACGT,0", "ACGT,1", "GGNA,1", "TTTTT,0"]


def write(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(["sequence,label", *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def known(**options) -> Dataset:
    return Dataset("mine", "mine", **options)


def test_everything_is_counted(tmp_path):
    write(tmp_path / "train.csv", ROWS)
    write(tmp_path / "test.csv.gz", ["acgt,0", "CCCC,1"])
    check = check_dataset(known(), tmp_path)
    train = check.splits["train"]
    assert (train.records, train.labels, train.lengths) == (4, {"0": 2, "1": 2}, (4, 5))
    assert (train.odd_letters, train.repeated) == (1, 1)
    assert check.shared == {"train/test": 1}
    assert check.faults == ()


def test_the_checksum_is_of_the_records_whatever_the_file_is_like(tmp_path):
    expected = hashlib.sha256("".join(f"{row}\n" for row in ROWS).encode()).hexdigest()
    write(tmp_path / "train.csv.gz", ROWS)
    swapped = [",".join(reversed(row.split(","))) for row in ROWS]
    (tmp_path / "dev.csv").write_text("label,sequence\r\n" + "".join(f"{row.lower()}\r\n" for row in swapped))
    splits = check_dataset(known(), tmp_path).splits
    assert splits["train"].sha256 == splits["dev"].sha256 == expected


def test_what_differs_from_what_is_known_is_said(tmp_path):
    write(tmp_path / "train.csv", ["A,0", "C,1", "G,2"])
    check = check_dataset(known(train=4, classes=2, sha256={"train": "0" * 64}), tmp_path)
    assert [fault.split(": ", 1)[1].split(" (")[0] for fault in check.faults] == [
        "3 records, expected 4",
        "3 different labels, expected 2",
        "its records are not the known ones",
    ]


def test_scores_may_be_as_many_as_there_are_records(tmp_path):
    write(tmp_path / "train.csv", ["A,0.5", "C,0.25", "G,1.5"])
    assert check_dataset(known(task="regression", classes=1), tmp_path).faults == ()


@pytest.mark.data_root
@pytest.mark.skipif(DATA_ROOT is None, reason="no data root")
def test_a_real_dataset_is_as_known_and_shares_the_sequences_that_it_is_known_to_share():
    row = dataset("prom_core_tata")
    check = check_dataset(row, DATA_ROOT / row.folder)
    assert check.faults == ()
    assert check.shared == {"train/dev": 8, "train/test": 16, "dev/test": 2}
