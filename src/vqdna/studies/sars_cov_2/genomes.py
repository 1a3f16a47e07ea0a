"""Genomes of lineages as they come: read, labelled, laid against the reference, and refused with a reason.

Flow: FASTA (+ label table) -> text with N runs, gaps, lower case -> label -> alignment -> LineageGenome, or one more
refusal. A genome is kept or refused as a whole; nothing is mended but by leaving unknown bases out of every comparison.
It must not know tokenizers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome import N, read_sequences
from vqdna.genome import Sequence as Record
from vqdna.genome.streams import text_lines
from vqdna.studies.sars_cov_2.alignment import Alignment, Mutation, align, mutations_of
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.summary import InputsRead, Refused
from vqdna.tasks.tables import read_rows

FOREIGN_COMPARED, FOREIGN_IDENTITY = 0.2, 0.7
LEAST_COMPARED, LEAST_IDENTITY = 0.9, 0.95
PANGO_COLUMNS = ("lineage", "pango_lineage", "pango")
LABEL_COLUMNS = ("label", "class", "variant", *PANGO_COLUMNS)
DATE_COLUMNS = ("date", "tree_date", "collection_date")
MOST_EXAMPLES = 3
REPEATED = "the same sequence as an earlier one"


@dataclass(frozen=True)
class Label:
    """What is said of a genome: the lineage it is called, its Pango lineage where known, its date where known."""

    text: str
    pango: str = ""
    date: str = ""


@dataclass(frozen=True, eq=False)
class LineageGenome:
    """A genome that is kept.

    Attributes:
        lineage: main lineage, one of the knowledge's.
        pango: Pango lineage as the label says, else the main lineage's own.
        date: year, month, day; empty where unknown.
        base_ids: its bases, gaps left out.
    """

    name: str
    lineage: str
    pango: str
    date: str
    base_ids: UInt8[np.ndarray, "base"]
    alignment: Alignment
    reference: UInt8[np.ndarray, "reference_base"]

    @cached_property
    def mutations(self) -> frozenset[Mutation]:
        return frozenset(mutations_of(self.reference, self.base_ids, self.alignment))

    @property
    def unknown_places(self) -> Int[np.ndarray, "_"]:
        """Places of the reference of which it tells nothing: N, or not aligned."""
        aligned = self.alignment.places >= 0
        unknown = self.alignment.open.copy()
        unknown[aligned] = self.base_ids[self.alignment.places[aligned]] >= N
        return np.flatnonzero(unknown)


@dataclass
class Intake:
    """The genomes kept, in the order of the files, and what was met on the way.

    Attributes:
        refused: names of the records refused, by reason.
        handled: number of records with N, lower case, lost or gained bases, and the like, among those kept.
    """

    kept: list[LineageGenome] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)
    handled: Counter[str] = field(default_factory=Counter)

    @property
    def num_refused(self) -> int:
        return sum(map(len, self.refused.values()))

    def record(self, files: Sequence[Path], labels: Path | None, training: int, encoder: str | None) -> InputsRead:
        """What the results say of it, and of the files it was read from."""
        refused = sorted(self.refused.items(), key=lambda held: -len(held[1]))
        return InputsRead(
            num_records=len(self.kept) + self.num_refused,
            num_kept=len(self.kept),
            per_lineage=dict(sorted(Counter(genome.lineage for genome in self.kept).items())),
            refused=[Refused(reason=why, count=len(names), examples=names[:MOST_EXAMPLES]) for why, names in refused],
            handled=dict(self.handled.most_common()),
            files=[path.name for path in files],
            labels=labels.name if labels else "headers",
            training_files=training,
            encoder=encoder,
        )


def read_reference(path: Path) -> UInt8[np.ndarray, "base"]:
    """The one genome of a reference file.

    Raises:
        InputError: no file, several records, or an unknown base in it.
    """
    records = list(read_sequences(path))
    if len(records) != 1:
        raise InputError(f"{path}: {len(records)} records, expected the reference genome alone")
    if (records[0].base_ids >= N).any():
        raise InputError(f"{path}: the reference holds {int((records[0].base_ids >= N).sum())} N, expected none")
    return records[0].base_ids


def read_labels(files: Sequence[Path], table: Path | None) -> dict[str, Label]:
    """Label of each record by name, of a table, else of the headers `>name label [lineage [date]]`.

    Raises:
        InputError: the table has no column for names or for labels.
    """
    if table is not None:
        return _table_labels(table)
    headers = (line for file in files for line in text_lines(file) if line.startswith(b">"))
    found = (header[1:].decode("utf-8", "replace").split() for header in headers)
    return {words[0]: Label(*words[1:4]) for words in found if len(words) > 1}


def read_genomes(files: Sequence[Path], knowledge: Knowledge, labels: Mapping[str, Label]) -> Intake:
    """Genomes of the files that belong to a lineage and to the reference's virus, each sequence once.

    Raises:
        InputError: a file that is no FASTA, or not one genome that can be kept.
    """
    intake = Intake()
    seen: set[bytes] = set()
    for file in files:
        for record in read_sequences(file, gaps="drop", keep_soft_mask=True, repeated_names="number"):
            genome = _genome(record, knowledge, labels.get(record.name, Label("")), seen)
            if isinstance(genome, str):
                intake.refused.setdefault(genome, []).append(record.name)
            else:
                intake.kept.append(genome)
                intake.handled.update(_needed_care(record, genome))
    if not intake.kept:
        reasons = "; ".join(f"{len(names)} {reason}" for reason, names in intake.refused.items())
        raise InputError(f"{', '.join(map(str, files))}: no genome can be used ({reasons})")
    return intake


def _genome(record: Record, knowledge: Knowledge, label: Label, seen: set[bytes]) -> LineageGenome | str:
    """The record as a genome, or why it is refused."""
    if not label.text:
        return "without a label"
    lineage = knowledge.lineage_of(label.text)
    if lineage is None:
        return f"labelled as none of the {len(knowledge.file.lineages)} lineages"
    digest = hashlib.blake2b(record.base_ids.tobytes(), digest_size=16).digest()
    if digest in seen:
        return REPEATED
    alignment = align(knowledge.reference, record.base_ids)
    if alignment.compared < FOREIGN_COMPARED or alignment.identity < FOREIGN_IDENTITY:
        return "another virus: it does not align with the reference"
    if alignment.identity < LEAST_IDENTITY:
        return f"less than {LEAST_IDENTITY:.0%} of its bases are the reference's"
    if alignment.compared < LEAST_COMPARED:
        return f"incomplete: less than {LEAST_COMPARED:.0%} of the reference known (N runs, or missing)"
    seen.add(digest)
    own = next(one.pango for one in knowledge.file.lineages if one.name == lineage)
    pango = label.pango or (own if label.text == lineage else label.text)
    return LineageGenome(record.name, lineage, pango, label.date, record.base_ids, alignment, knowledge.reference)


def _needed_care(record: Record, genome: LineageGenome) -> list[str]:
    met = {
        "with N (left out of comparisons)": bool((genome.base_ids >= N).any()),
        "with ambiguity codes (read as N)": record.num_ambiguous > 0,
        "with lower case (read as upper case)": record.soft_masked is not None and bool(record.soft_masked.any()),
        "with lost bases": any(mutation.is_deletion for mutation in genome.mutations),
        "with gained bases": genome.alignment.num_inserted > 0,
        "with ends missing": bool(genome.alignment.open.any()),
    }
    return [name for name, is_met in met.items() if is_met]


def _table_labels(table: Path) -> dict[str, Label]:
    labels = {}
    for row in read_rows(table, ()):
        column = next((name for name in LABEL_COLUMNS if name in row.cells), None)
        name = row.name()
        if column is None or name is None:
            wanted = "a column 'name' (or 'id') and one of " + ", ".join(f"'{name}'" for name in LABEL_COLUMNS)
            raise InputError(f"{table}: got the columns {', '.join(row.cells)}, expected {wanted}")
        pango, date = (
            next((row.cells[column].strip() for column in columns if column in row.cells), "")
            for columns in (PANGO_COLUMNS, DATE_COLUMNS)
        )
        labels[name] = Label(row.cells[column], pango, date)
    return labels
