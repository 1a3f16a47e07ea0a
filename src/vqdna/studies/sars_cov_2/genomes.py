"""Genomes of variants as they come: read, labelled, laid against the reference, and refused with a reason.

Flow: FASTA (+ label table) -> text with N runs, gaps, lower case -> label -> alignment -> VariantGenome, or one more
refusal. A genome is kept or refused as a whole; nothing is mended but by leaving unknown bases out of every comparison.
It must not know tokenizers.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome import N, read_sequences
from vqdna.genome import Sequence as Record
from vqdna.genome.streams import text_blocks
from vqdna.studies.sars_cov_2.alignment import Alignment, Mutation, align, mutations_of
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.tasks.tables import read_rows

FOREIGN_COMPARED, FOREIGN_IDENTITY = 0.2, 0.7
LEAST_COMPARED, LEAST_IDENTITY = 0.9, 0.95
LABEL_COLUMNS = ("label", "class", "variant", "lineage", "pango_lineage", "pango")
LINEAGE_COLUMNS = ("lineage", "pango_lineage", "pango")
DATE_COLUMNS = ("date", "tree_date", "collection_date")
MOST_EXAMPLES = 3
REPEATED = "the same sequence as an earlier one"


@dataclass(frozen=True)
class Label:
    """What is said of a genome: the variant or lineage it is called, its lineage where known, its date where known."""

    text: str
    lineage: str = ""
    date: str = ""


@dataclass(frozen=True, eq=False)
class VariantGenome:
    """A genome that is kept.

    Attributes:
        name: first word of its header.
        variant: one of the knowledge's.
        lineage: as the label says, else the variant's own.
        date: year, month, day; empty where unknown.
        base_ids: its bases, gaps left out.
        alignment: against the reference.
        reference: the reference itself.
    """

    name: str
    variant: str
    lineage: str
    date: str
    base_ids: UInt8[np.ndarray, "base"]
    alignment: Alignment
    reference: UInt8[np.ndarray, "reference_base"]

    @cached_property
    def mutations(self) -> frozenset[Mutation]:
        """Its differences from the reference."""
        return frozenset(mutations_of(self.reference, self.base_ids, self.alignment))

    @property
    def unknown_places(self) -> Int[np.ndarray, "_"]:
        """Places of the reference of which it tells nothing: N, or not aligned."""
        aligned = self.alignment.places >= 0
        unknown = self.alignment.open.copy()
        unknown[aligned] = self.base_ids[self.alignment.places[aligned]] >= N
        return np.flatnonzero(unknown)


def reference_genome(knowledge: Knowledge, variant: str) -> VariantGenome:
    """The reference itself as a genome, of a variant that is none."""
    reference = knowledge.reference
    return VariantGenome(variant, variant, "", "", reference, align(reference, reference), reference)


@dataclass
class Intake:
    """The genomes kept, and what was met on the way.

    Attributes:
        kept: in the order of the files.
        refused: number of records by reason.
        examples: names of the first records refused for a reason.
        handled: number of records with N, lower case, lost or gained bases, and the like, among those kept.
    """

    kept: list[VariantGenome] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    handled: Counter[str] = field(default_factory=Counter)

    def refuse(self, name: str, reason: str) -> None:
        """Counts a record that is left out."""
        self.refused[reason] += 1
        self.examples.setdefault(reason, [])[MOST_EXAMPLES:] = []
        if len(self.examples[reason]) < MOST_EXAMPLES:
            self.examples[reason].append(name)

    def record(self) -> dict[str, object]:
        """What the results say of it."""
        per_variant = Counter(genome.variant for genome in self.kept)
        return {
            "num_records": len(self.kept) + sum(self.refused.values()),
            "num_kept": len(self.kept),
            "per_variant": dict(sorted(per_variant.items())),
            "refused": [
                {"reason": reason, "count": count, "examples": self.examples[reason]}
                for reason, count in self.refused.most_common()
            ],
            "handled": dict(self.handled.most_common()),
        }


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
    labels = {}
    for file in files:
        for header in _headers(file):
            name, *words = header.split()
            if words:
                labels[name] = Label(words[0], *words[1:3])
    return labels


def read_genomes(files: Sequence[Path], knowledge: Knowledge, labels: Mapping[str, Label]) -> Intake:
    """Genomes of the files that belong to a variant and to the reference's virus, each sequence once.

    Raises:
        InputError: a file that is no FASTA, or not one genome that can be kept.
    """
    intake = Intake()
    seen: set[bytes] = set()
    for file in files:
        for record in read_sequences(file, gaps="drop", keep_soft_mask=True, repeated_names="number"):
            genome = _accepted(record, knowledge, labels, intake, seen)
            if genome is not None:
                _note(record, genome, intake)
                intake.kept.append(genome)
    if not intake.kept:
        reasons = "; ".join(f"{count} {reason}" for reason, count in intake.refused.most_common())
        raise InputError(f"{', '.join(map(str, files))}: no genome can be used ({reasons})")
    return intake


def _accepted(
    record: Record, knowledge: Knowledge, labels: Mapping[str, Label], intake: Intake, seen: set[bytes]
) -> VariantGenome | None:
    """The record as a genome, or None after its refusal was counted."""
    label = labels.get(record.name, Label(""))
    variant = knowledge.variant_of(label.text)
    digest = hashlib.blake2b(record.base_ids.tobytes(), digest_size=16).digest()
    reason = _label_refusal(label, variant, knowledge) or (REPEATED if digest in seen else "")
    alignment = None if reason else align(knowledge.reference, record.base_ids)
    reason = reason or (refusal(alignment) if alignment else "")
    if variant is None or alignment is None or reason:
        intake.refuse(record.name, reason)
        return None
    seen.add(digest)
    lineage = label.lineage or (label.text if label.text != variant else _own_lineage(knowledge, variant))
    return VariantGenome(record.name, variant, lineage, label.date, record.base_ids, alignment, knowledge.reference)


def _label_refusal(label: Label, variant: str | None, knowledge: Knowledge) -> str:
    if not label.text:
        return "without a label"
    return "" if variant else f"labelled as none of the {len(knowledge.variant_names)} variants"


def refusal(alignment: Alignment) -> str:
    """Why a genome so aligned cannot be used; empty where it can."""
    if alignment.compared < FOREIGN_COMPARED or alignment.identity < FOREIGN_IDENTITY:
        return "another virus: it does not align with the reference"
    if alignment.identity < LEAST_IDENTITY:
        return f"less than {LEAST_IDENTITY:.0%} of its bases are the reference's"
    if alignment.compared < LEAST_COMPARED:
        return f"incomplete: less than {LEAST_COMPARED:.0%} of the reference known (N runs, or missing)"
    return ""


def _own_lineage(knowledge: Knowledge, variant: str) -> str:
    return next(v.lineage for v in knowledge.file.variants if v.name == variant)


def _note(record: Record, genome: VariantGenome, intake: Intake) -> None:
    """Counts what the record had that needed care."""
    met = {
        "with N (left out of comparisons)": bool((genome.base_ids >= N).any()),
        "with ambiguity codes (read as N)": record.num_ambiguous > 0,
        "with lower case (read as upper case)": record.soft_masked is not None and bool(record.soft_masked.any()),
        "with lost bases": any(mutation.is_deletion for mutation in genome.mutations),
        "with gained bases": genome.alignment.num_inserted > 0,
        "with ends missing": bool(genome.alignment.open.any()),
    }
    intake.handled.update(name for name, is_met in met.items() if is_met)


def _table_labels(table: Path) -> dict[str, Label]:
    labels = {}
    for row in read_rows(table, ()):
        column = next((name for name in LABEL_COLUMNS if name in row.cells), None)
        name = row.name()
        if column is None or name is None:
            wanted = "a column 'name' (or 'id') and one of " + ", ".join(f"'{name}'" for name in LABEL_COLUMNS)
            raise InputError(f"{table}: got the columns {', '.join(row.cells)}, expected {wanted}")
        labels[name] = Label(row.cells[column], _cell(row.cells, LINEAGE_COLUMNS), _cell(row.cells, DATE_COLUMNS))
    return labels


def _cell(cells: Mapping[str, str], columns: Sequence[str]) -> str:
    return next((cells[column].strip() for column in columns if column in cells), "")


def _headers(file: Path) -> Iterator[str]:
    rest = b""
    for block in text_blocks(file):
        *whole, rest = (rest + block).split(b"\n")
        yield from (line[1:].decode("utf-8", "replace") for line in whole if line.startswith(b">") and line[1:].strip())
    if rest.startswith(b">") and rest[1:].strip():
        yield rest[1:].decode("utf-8", "replace")
