"""Labelled sequences in memory: base ids beside class ids, scores or label sets, from tables or FASTA.

Flow: rows (sequence text, label text) -> LabelledSequences(base_ids: one uint8 array per record, labels [row] or
[row class]). Class names are fixed by the training split; dev and test are read with `like=train`, so that class 3 is
the same class everywhere. It must not know models, and needs no torch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Int, UInt8
from numpy import ndarray

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import Gaps, to_base_ids
from vqdna.genome.sequences import read_sequences
from vqdna.tasks.registry import DatasetFiles
from vqdna.tasks.tables import Row, is_table, read_rows

Task = Literal["classification", "multilabel", "regression"]

LABEL_SEPARATOR = ";"
INTEGER = re.compile(r"[+-]?\d+(\.0*)?")


def task_named(name: str) -> Task:
    """Task called `name` (InputError: no such task; names the nearest one)."""
    tasks: tuple[Task, ...] = get_args(Task)
    if name in tasks:
        return name
    raise InputError(f"no task '{name}', expected one of {', '.join(tasks)}{nearest_name_hint(name, tasks)}")


@dataclass(frozen=True)
class LabelledSequences:
    """Sequences with one label each, in file order."""

    base_ids: list[UInt8[ndarray, "_"]]
    labels: ndarray  # class ids `[row]` (int64), scores `[row]` (float64), or 0/1 label sets `[row class]` (int64)
    names: list[str] | None = None  # record names, or None where the input has none
    task: Task = "classification"
    class_names: tuple[str, ...] = ()  # label text of each class id; empty for regression

    def __post_init__(self) -> None:
        if not self.class_names and self.task != "regression" and len(self.labels):
            count = int(self.labels.max()) + 1 if self.task == "classification" else self.labels.shape[1]
            object.__setattr__(self, "class_names", tuple(str(number) for number in range(count)))

    def __len__(self) -> int:
        return len(self.base_ids)

    @property
    def num_classes(self) -> int:
        return 1 if self.task == "regression" else len(self.class_names)

    @property
    def lengths(self) -> Int[ndarray, "row"]:
        return np.array([len(bases) for bases in self.base_ids], dtype=np.int64)

    def subset(self, indices: Sequence[int] | ndarray) -> LabelledSequences:
        chosen = np.asarray(indices, dtype=np.int64)
        names = None if self.names is None else [self.names[i] for i in chosen]
        return replace(self, base_ids=[self.base_ids[i] for i in chosen], labels=self.labels[chosen], names=names)


@dataclass(frozen=True)
class Splits:
    """Train, dev and test of one dataset, with one mapping of classes."""

    train: LabelledSequences
    dev: LabelledSequences
    test: LabelledSequences | None


def read_labelled(
    path: str | Path,  # text may be gzipped
    *,
    # None reads it off the labels: `a;b` sets are multilabel, numbers with a fraction regression, all else
    # classification. In multilabel a lone `;` is the empty set
    task: Task | None = None,
    labels: str | Path | None = None,  # table with columns `name,label`; needed for FASTA, refused for tables
    like: LabelledSequences | None = None,  # training split whose task and class names hold here too
    gaps: Gaps = "error",  # whether `-`, `.` and `*` in a sequence are an error or dropped
) -> LabelledSequences:
    """Labelled sequences of a CSV, TSV or Parquet table (`sequence,label[,name]`), or of FASTA/FASTQ and a label table.

    Raises:
        InputError: unreadable file, missing column or label, a letter that is no base, a label that is not known, each
            with file and line.
    """
    table = Path(path)
    if is_table(table):
        if labels is not None:
            raise InputError(f"{labels}: a label table goes with FASTA; {path} has its own label column")
        rows = list(read_rows(table, ("sequence", "label")))
        base_ids = [_row_bases(row, gaps) for row in rows]
    else:
        base_ids, rows = _fasta_rows(table, labels, gaps)
    return _labelled(rows, base_ids, task, like)


def read_unlabelled(path: str | Path, *, gaps: Gaps = "error") -> tuple[list[str], list[UInt8[ndarray, "_"]]]:
    """Names and base ids of the records of a table with a `sequence` column, or of FASTA/FASTQ (`-` is standard input).

    Records of a table without `name` or `id` column are named by their number, from 0.
    """
    if path != "-" and is_table(Path(path)):
        rows = list(read_rows(Path(path), ("sequence",)))
        return [row.name() or str(number) for number, row in enumerate(rows)], [_row_bases(row, gaps) for row in rows]
    records = list(read_sequences(path, gaps=gaps))
    return [record.name for record in records], [record.base_ids for record in records]


def labelled_from_text(
    sequences: Sequence[str | UInt8[ndarray, "_"]],
    labels: Sequence[Any],
    *,
    task: Task | None = None,
    like: LabelledSequences | None = None,
) -> LabelledSequences:
    """Labelled sequences from texts or base ids in memory, by the rules of `read_labelled`.

    Errors name the 0-based record.
    """
    if len(sequences) != len(labels):
        raise InputError(f"got {len(sequences)} sequences and {len(labels)} labels, expected one label each")
    rows = [
        Row(f"record {number}", {"sequence": given if isinstance(given, str) else "", "label": str(label)})
        for number, (given, label) in enumerate(zip(sequences, labels))
    ]
    base_ids = [_row_bases(row, "error") if isinstance(given, str) else given for row, given in zip(rows, sequences)]
    return _labelled(rows, base_ids, task, like)


def read_splits(
    train: str | Path,
    dev: str | Path | None = None,
    test: str | Path | None = None,
    *,
    task: Task | None = None,
    labels: str | Path | None = None,
    seed: int = 0,
    gaps: Gaps = "error",
) -> Splits:
    """Train, dev and test read with the training split's classes; without `dev`, a seeded tenth of train."""
    learned = read_labelled(train, task=task, labels=labels, gaps=gaps)
    check_trainable(learned, str(train))

    def read_like(path: str | Path) -> LabelledSequences:
        own_labels = None if is_table(Path(path)) else labels
        return read_labelled(path, labels=own_labels, like=learned, gaps=gaps)

    held_out = None if test is None else read_like(test)
    if dev is not None:
        return Splits(learned, read_like(dev), held_out)
    kept, split_dev = split_off(learned, seed=seed)
    return Splits(kept, split_dev, held_out)


def check_trainable(train: LabelledSequences, place: str) -> None:
    """An InputError where all records have one class, one score or one label set."""
    if len(np.unique(train.labels, axis=0)) < 2:
        value = train.class_names[0] if train.task == "classification" else train.labels[0]
        raise InputError(f"{place}: all {len(train)} records have the label '{value}', expected at least two classes")


def split_off(
    sequences: LabelledSequences, fraction: float = 0.1, seed: int = 0
) -> tuple[LabelledSequences, LabelledSequences]:
    """Train and dev, dev being a seeded `fraction` of the records; for classification, of each class.

    Every class of two or more records keeps at least one in train and gives at least one to dev; order within both is
    the order of the input.
    """
    if not 0 < fraction < 1 or len(sequences) < 2:
        raise InputError(
            f"cannot hold out {fraction} of {len(sequences)} records, expected a fraction in (0, 1) of two or more"
        )
    random = np.random.default_rng(seed)
    groups = sequences.labels if sequences.task == "classification" else np.zeros(len(sequences), dtype=np.int64)
    dev = np.zeros(len(sequences), dtype=bool)
    for group in np.unique(groups):
        members = random.permutation(np.flatnonzero(groups == group))
        if len(members) > 1:
            dev[members[: min(len(members) - 1, max(1, round(fraction * len(members))))]] = True
    if not dev.any():
        raise InputError(f"cannot hold out {fraction} of {len(sequences)} records: every class has a single record")
    return sequences.subset(np.flatnonzero(~dev)), sequences.subset(np.flatnonzero(dev))


def _row_bases(row: Row, gaps: Gaps) -> UInt8[ndarray, "base"]:
    try:
        base_ids = to_base_ids(row.cells["sequence"], gaps=gaps).base_ids
    except InputError as error:
        raise InputError(f"{row.place}: {error}") from None
    if not len(base_ids):
        raise InputError(f"{row.place}: the sequence is empty")
    return base_ids


def _fasta_rows(path: Path, labels: str | Path | None, gaps: Gaps) -> tuple[list[UInt8[ndarray, "_"]], list[Row]]:
    if labels is None:
        raise InputError(f"{path}: a sequence file needs a label table with columns 'name', 'label' beside it")
    by_name: dict[str, Row] = {}
    for row in read_rows(Path(labels), ("name", "label")):
        if by_name.setdefault(row.cells["name"], row) is not row:
            raise InputError(
                f"{row.place}: the name '{row.cells['name']}' stands twice, first at {by_name[row.cells['name']].place}"
            )
    base_ids, rows = [], []
    for record in read_sequences(path, gaps=gaps):
        if record.name not in by_name:
            hint = nearest_name_hint(record.name, by_name)
            raise InputError(f"{labels}: no label for the record '{record.name}' of {path}{hint}")
        base_ids.append(record.base_ids)
        rows.append(by_name[record.name])
    return base_ids, rows


def _labelled(
    rows: list[Row], base_ids: list[UInt8[ndarray, "_"]], task: Task | None, like: LabelledSequences | None
) -> LabelledSequences:
    for row in rows:
        if row.cells["label"].lower() in ("", "nan"):
            raise InputError(f"{row.place}: the label is missing (got '{row.cells['label']}')")
    chosen: Task = like.task if like is not None else task or _infer_task(rows)
    class_names: tuple[str, ...] = ()
    if chosen == "regression":
        labels = _scores(rows)
    else:
        split = _class_set if chosen == "multilabel" else lambda text: [_class_name(text)]
        sets = [split(row.cells["label"]) for row in rows]
        class_names = like.class_names if like is not None else _sorted_classes({name for of in sets for name in of})
        ids = {name: number for number, name in enumerate(class_names)}
        known = [[_known_class(row, name, ids) for name in of] for row, of in zip(rows, sets)]
        if chosen == "classification":
            labels = np.array([number for (number,) in known], dtype=np.int64)
        else:
            labels = np.zeros((len(rows), len(class_names)), dtype=np.int64)
            for number, of in enumerate(known):
                labels[number, of] = 1
    names = [name for row in rows if (name := row.name()) is not None]
    return LabelledSequences(base_ids, labels, names if len(names) == len(rows) else None, chosen, class_names)


def _infer_task(rows: list[Row]) -> Task:
    if any(LABEL_SEPARATOR in row.cells["label"] for row in rows):
        return "multilabel"
    words = [row for row in rows if not _is_number(row.cells["label"])]
    if words and len(words) < len(rows):
        raise InputError(
            f"{words[0].place}: the label '{words[0].cells['label']}' is no number, while others are; "
            "say task 'classification' if it is the name of a class"
        )
    if not words and not all(INTEGER.fullmatch(row.cells["label"]) for row in rows):
        return "regression"
    distinct = len({row.cells["label"] for row in rows})
    if len(rows) > 20 and 2 * distinct > len(rows):
        place = rows[0].place.rpartition(":")[0] or rows[0].place
        raise InputError(
            f"{place}: {distinct} different labels in {len(rows)} records; say task 'classification' or 'regression'"
        )
    return "classification"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _class_name(text: str) -> str:
    """Name of a class as written, integers without leading zeros, sign + or trailing `.0`."""
    return str(int(float(text))) if INTEGER.fullmatch(text) else text


def _class_set(text: str) -> list[str]:
    return [_class_name(part.strip()) for part in text.split(LABEL_SEPARATOR) if part.strip()]


def _sorted_classes(names: set[str]) -> tuple[str, ...]:
    """By number where all are integers, otherwise by letters."""
    all_integers = all(INTEGER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=int) if all_integers else sorted(names))


def _known_class(row: Row, name: str, ids: dict[str, int]) -> int:
    if name not in ids:
        known = ", ".join(f"'{known}'" for known in list(ids)[:12]) + (", ..." if len(ids) > 12 else "")
        raise InputError(
            f"{row.place}: the label '{name}' is not among the training classes {known}{nearest_name_hint(name, ids)}"
        )
    return ids[name]


def _scores(rows: list[Row]) -> ndarray:
    for row in rows:
        text = row.cells["label"]
        if not _is_number(text) or not math.isfinite(float(text)):
            raise InputError(f"{row.place}: the label '{text}' is not a finite number, as regression needs")
    return np.array([float(row.cells["label"]) for row in rows], dtype=np.float64)


def limited(sequences: LabelledSequences, most: int | None, seed: int) -> LabelledSequences:
    """At most `most` records, a seeded draw in which every class keeps its share, in their order."""
    if most is None or len(sequences) <= most:
        return sequences
    random, labels = np.random.default_rng(seed), sequences.labels
    share = np.zeros(len(labels))  # of its class that a random order puts before each record
    for one in np.unique(labels):
        members = np.flatnonzero(labels == one)
        share[members] = (random.permutation(len(members)) + 0.5) / len(members)
    return sequences.subset(np.sort(np.argsort(share, kind="stable")[:most]))


def read_dataset(files: DatasetFiles) -> tuple[LabelledSequences, LabelledSequences, LabelledSequences]:
    """Train, dev and test, the latter two with the classes of train."""
    train = read_labelled(files.train)
    return train, read_labelled(files.dev, like=train), read_labelled(files.test, like=train)
