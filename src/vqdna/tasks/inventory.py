"""The datasets to look at: what is known of each, and what lies of it in a data root, checked against that.

Flow: registry + published scores + data root -> rows -> text. Dataset + its folder -> records, labels, letters,
lengths, repeated and shared sequences, checksums -> faults in words. A checksum is of the records, not of the file, so
compression, line ends and column order do not matter. It must not know models.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from vqdna.config import StrictModel
from vqdna.tasks.published import best_published, published_systems, source_of
from vqdna.tasks.registry import SPLITS, Dataset, datasets, own_datasets, split_file
from vqdna.tasks.tables import Row, read_rows

READ = ("sequence", "label")
LETTERS = frozenset("ACGT")


class SplitCheck(StrictModel):
    """What a split's table holds."""

    path: Path
    records: int
    labels: Mapping[str, int]  # records of each label
    lengths: tuple[int, int]  # shortest and longest sequence
    odd_letters: int  # sequences with letters beside A, C, G and T, of either case
    repeated: int  # records whose sequence stood in an earlier record of the split
    sha256: str  # checksum of the records


class DatasetCheck(StrictModel):
    """A dataset's splits that are there, and what is not as known, in words.

    `shared` counts distinct sequences that stand in two splits, by "train/dev", "train/test" and "dev/test".
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


def check_dataset(known: Dataset, folder: Path) -> DatasetCheck:
    """What lies in a dataset's folder; absent splits are left out and are no fault."""
    checks: dict[str, SplitCheck] = {}
    sequences: dict[str, set[str]] = {}
    for split in SPLITS:
        path = split_file(folder, split)
        if path is None:
            continue
        rows = list(read_rows(path, READ))
        texts = [row.cells["sequence"].upper() for row in rows]
        lengths, sequences[split] = [len(text) for text in texts], set(texts)
        checks[split] = SplitCheck(
            path=path,
            records=len(rows),
            labels=dict(sorted(Counter(row.cells["label"] for row in rows).items())),
            lengths=(min(lengths), max(lengths)),
            odd_letters=sum(not LETTERS.issuperset(text) for text in texts),
            repeated=len(texts) - len(sequences[split]),
            sha256=checksum(rows),
        )
    shared = {f"{one}/{other}": len(sequences[one] & sequences[other]) for one, other in combinations(checks, 2)}
    faults = [fault for split, check in checks.items() for fault in _faults(known, split, check)]
    return DatasetCheck(name=known.name, splits=checks, shared=shared, faults=tuple(faults))


def _faults(row: Dataset, split: str, check: SplitCheck) -> Iterable[str]:
    expected, known = row.num_records(split), (row.sha256 or {}).get(split)
    if expected is not None and expected != check.records:
        yield f"{check.path}: {check.records:,} records, expected {expected:,}"
    if row.task == "classification" and len(check.labels) > row.classes:
        yield f"{check.path}: {len(check.labels)} different labels, expected {row.classes}"
    if known is not None and known != check.sha256:
        yield f"{check.path}: its records are not the known ones (sha256 {check.sha256[:12]}, expected {known[:12]})"


COLUMNS = ("name", "task", "classes", "bases", "train / dev / test", "metric", "best published", "there")


class BestPublished(StrictModel):
    """The system with the highest published score, and that score x 100."""

    system: str
    score: float


class InventoryRow(StrictModel):
    """What is known of a dataset, published scores x 100 by system, and the splits that are there."""

    name: str
    group: str
    species: str
    task: str
    classes: int
    length: int | None
    metric: str
    records: dict[str, int | None]
    folder: str
    source: str | None
    license: str | None
    sha256: dict[str, str]
    published: dict[str, float]
    best_published: BestPublished | None
    there: list[str]


def inventory(data_root: Path | None) -> list[InventoryRow]:
    return [_row(row, data_root) for row in [*datasets().values(), *own_datasets(data_root).values()]]


def _row(row: Dataset, data_root: Path | None) -> InventoryRow:
    source, best, systems = source_of(row), best_published(row.name), published_systems().values()
    return InventoryRow(
        name=row.name,
        group=row.group,
        species=row.species,
        task=row.task,
        classes=row.classes,
        length=row.length or None,
        metric=row.metric,
        records={split: row.num_records(split) for split in SPLITS},
        folder=row.folder,
        source=source.repository if source else None,
        license=row.license or (source.license if source else None),
        sha256=dict(row.sha256 or {}),
        published={system.name: system.scores[row.name] for system in systems if row.name in system.scores},
        best_published=None if best is None else BestPublished(system=best[0], score=best[1]),
        there=[split for split in SPLITS if data_root is not None and split_file(data_root / row.folder, split)],
    )


def inventory_table(rows: Sequence[InventoryRow]) -> str:
    """The rows as aligned text, and how many are complete."""
    cells = [COLUMNS, *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in cells]
    complete = sum(len(row.there) == len(SPLITS) for row in rows)
    return "\n".join([*lines, f"{len(rows)} datasets, {complete} of them complete in the data root"])


def _cells(row: InventoryRow) -> tuple[str, ...]:
    best = row.best_published
    return (
        row.name,
        row.task,
        str(row.classes),
        str(row.length or "-"),
        " / ".join("-" if count is None else str(count) for count in row.records.values()),
        row.metric,
        "-" if best is None else f"{best.score:.1f} {best.system}",
        " ".join(row.there) or "-",
    )


def check_lines(check: DatasetCheck) -> list[str]:
    """A check in words: a line per split, one of what the splits share, and one per fault."""
    lines = [f"{check.name}: {'as known' if not check.faults else 'NOT as known'}"]
    lines += [f"  {split}: {_described(found)}" for split, found in check.splits.items()]
    shared = [f"{count} in {pair}" for pair, count in check.shared.items() if count]
    lines += [f"  shared sequences: {', '.join(shared)}"] if shared else []
    return [*lines, *(f"  {fault}" for fault in check.faults)]


def _described(check: SplitCheck) -> str:
    shortest, longest = check.lengths
    labels = ", ".join(f"{label}: {count}" for label, count in list(check.labels.items())[:9])
    parts = [
        f"{check.records:,} records",
        f"labels {labels}" + (", ..." if len(check.labels) > 9 else ""),
        f"{shortest} bases" if shortest == longest else f"{shortest} to {longest} bases",
        *([f"{check.repeated} repeated"] if check.repeated else []),
        *([f"{check.odd_letters} with other letters than A, C, G, T"] if check.odd_letters else []),
    ]
    return "; ".join(parts)
