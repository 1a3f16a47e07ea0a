"""The datasets as a table to look at: what each is, and what lies of it in a data root.

Flow: registry + published scores + data root -> rows -> text. It must not read sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vqdna.config import StrictModel
from vqdna.tasks.checking import DatasetCheck, SplitCheck
from vqdna.tasks.published import best_published, published_systems, source_of
from vqdna.tasks.registry import SPLITS, Dataset, datasets, own_datasets, split_file

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
    """A row per dataset, those of the paper first."""
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
    cells = [COLUMNS, *(_cells(row) for row in rows)]
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
