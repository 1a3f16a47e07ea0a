"""What lies in the data root, against what is known: records, labels, letters, lengths, repeated sequences, checksums.

Flow: Dataset + its folder -> a record per split, and sequences that stand in two splits -> faults in words. It must not
know models. A checksum is of the records, not of the file, so compression, line ends and column order do not matter.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path

from vqdna.config import StrictModel
from vqdna.tasks.registry import SPLITS, Dataset, split_file
from vqdna.tasks.tables import Row, read_rows

COLUMNS = ("sequence", "label")
LETTERS = frozenset("ACGT")


class SplitCheck(StrictModel):
    """What a split's table holds.

    Attributes:
        path: the file.
        records: their number.
        labels: records of each label.
        lengths: shortest and longest sequence.
        odd_letters: sequences with letters beside A, C, G and T, of either case.
        repeated: records whose sequence stood in an earlier record of the split.
        sha256: checksum of the records.
    """

    path: Path
    records: int
    labels: Mapping[str, int]
    lengths: tuple[int, int]
    odd_letters: int
    repeated: int
    sha256: str


class DatasetCheck(StrictModel):
    """A dataset's splits, what they share, and what is not as known.

    Attributes:
        name: of the dataset.
        splits: those that are there.
        shared: distinct sequences that stand in two splits, by "train/dev", "train/test" and "dev/test".
        faults: what differs from what is known, in words.
    """

    name: str
    splits: Mapping[str, SplitCheck]
    shared: Mapping[str, int]
    faults: tuple[str, ...]


def checksum(rows: Iterable[Row]) -> str:
    """SHA-256 of the records: `SEQUENCE,label` and a newline each, in file order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(f"{row.cells['sequence'].upper()},{row.cells['label']}\n".encode())
    return digest.hexdigest()


def check_dataset(row: Dataset, folder: Path) -> DatasetCheck:
    """What lies in a dataset's folder; absent splits are left out and are no fault.

    Raises:
        InputError: a table that cannot be read; names file and line.
    """
    checks: dict[str, SplitCheck] = {}
    sequences: dict[str, set[str]] = {}
    for split in SPLITS:
        path = split_file(folder, split)
        if path is not None:
            checks[split], sequences[split] = _check_split(path)
    shared = {f"{one}/{other}": len(sequences[one] & sequences[other]) for one, other in combinations(checks, 2)}
    faults = [fault for split, check in checks.items() for fault in _faults(row, split, check)]
    return DatasetCheck(name=row.name, splits=checks, shared=shared, faults=tuple(faults))


def _check_split(path: Path) -> tuple[SplitCheck, set[str]]:
    rows = list(read_rows(path, COLUMNS))
    texts = [row.cells["sequence"].upper() for row in rows]
    lengths, distinct = [len(text) for text in texts], set(texts)
    check = SplitCheck(
        path=path,
        records=len(rows),
        labels=dict(sorted(Counter(row.cells["label"] for row in rows).items())),
        lengths=(min(lengths), max(lengths)),
        odd_letters=sum(not LETTERS.issuperset(text) for text in texts),
        repeated=len(texts) - len(distinct),
        sha256=checksum(rows),
    )
    return check, distinct


def _faults(row: Dataset, split: str, check: SplitCheck) -> Iterable[str]:
    """Differences of a split from what is known of it."""
    expected, known = row.num_records(split), (row.sha256 or {}).get(split)
    if expected is not None and expected != check.records:
        yield f"{check.path}: {check.records:,} records, expected {expected:,}"
    if row.task == "classification" and len(check.labels) > row.classes:
        yield f"{check.path}: {len(check.labels)} different labels, expected {row.classes}"
    if known is not None and known != check.sha256:
        yield f"{check.path}: its records are not the known ones (sha256 {check.sha256[:12]}, expected {known[:12]})"
