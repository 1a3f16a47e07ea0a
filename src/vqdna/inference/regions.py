"""Pieces of sequences that are to be looked at: whole records, windows of them, or the regions of a BED file.

Flow: FASTA or FASTQ (and BED) -> Piece(name, start, end, strand, base_ids) in the order asked for. Coordinates are
0-based, half-open; a piece of the minus strand holds the reverse complement. It must not know models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome import read_sequences, reverse_complement
from vqdna.genome.bases import Gaps
from vqdna.genome.sequences import Sequence
from vqdna.genome.streams import text_blocks

STRANDS = {"+": "+", "-": "-", ".": "+"}
"""What a BED file writes for a strand, and how it is read."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A stretch of a sequence.

    Attributes:
        name: of the sequence.
        start: first base on the sequence's plus strand.
        end: one past the last base.
        strand: "+" or "-".
        base_ids: as the strand is read.
        region: name that a BED file gives it.
    """

    name: str
    start: int
    end: int
    strand: str
    base_ids: UInt8[np.ndarray, "base"]
    region: str | None = None

    def __str__(self) -> str:
        return f"'{self.name}' {self.start}-{self.end}"


@dataclass(frozen=True)
class Region:
    """Line of a BED file."""

    line: int
    sequence: str
    start: int
    end: int
    name: str
    strand: str


def whole_records(source: str, gaps: Gaps = "error") -> Iterator[Piece]:
    """Every record as one piece."""
    for record in read_sequences(source, gaps=gaps):
        yield Piece(record.name, 0, len(record.base_ids), "+", record.base_ids)


def windows_of_records(source: str, window: int, step: int, gaps: Gaps = "error") -> Iterator[Piece]:
    """Windows of every record, one each `step` bases until the record's end is reached; the last may be shorter."""
    for piece in whole_records(source, gaps):
        for start in range(0, max(1, piece.end - window + step), step):
            end = min(start + window, piece.end)
            yield Piece(piece.name, start, end, "+", piece.base_ids[start:end])


def regions_of_records(source: str, bed: Path, gaps: Gaps = "error") -> list[Piece]:
    """The regions of a BED file, in its order; only their bases are held, not the genome.

    Raises:
        InputError: a line that is no region, a sequence that the FASTA file lacks, or a region beyond its end.
    """
    regions = read_regions(bed)
    wanted: dict[str, list[int]] = {}
    for number, region in enumerate(regions):
        wanted.setdefault(region.sequence, []).append(number)
    pieces: dict[int, Piece] = {}
    names = []
    for record in read_sequences(source, gaps=gaps):
        names.append(record.name)
        pieces |= {number: _cut(record, regions[number], bed) for number in wanted.get(record.name, ())}
    for number, region in enumerate(regions):
        if number not in pieces:
            hint = nearest_name_hint(region.sequence, names)
            raise InputError(f"{bed}:{region.line}: {source} has no sequence '{region.sequence}'{hint}")
    return [pieces[number] for number in range(len(regions))]


def _cut(record: Sequence, region: Region, bed: Path) -> Piece:
    if region.end > len(record.base_ids):
        length = len(record.base_ids)
        raise InputError(
            f"{bed}:{region.line}: the region ends at {region.end}, and '{record.name}' has {length} bases"
        )
    bases = record.base_ids[region.start : region.end]
    bases = reverse_complement(bases) if region.strand == "-" else bases.copy()
    return Piece(record.name, region.start, region.end, region.strand, bases, region.name)


def read_regions(bed: Path) -> list[Region]:
    """Regions of a BED file (.gz too); comments, `track` and `browser` lines are left out.

    Raises:
        InputError: no file, no regions in it, or a line that is none; names file and line.
    """
    text = b"".join(text_blocks(bed)).decode("utf-8", "replace")
    regions = [
        _region(bed, number, line.split("\t" if "\t" in line else None))
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.startswith(("#", "track", "browser"))
    ]
    if not regions:
        raise InputError(f"{bed}: holds no regions, expected lines of 'sequence start end'")
    return regions


def _region(bed: Path, line: int, fields: list[str]) -> Region:
    if len(fields) < 3 or not (fields[1].isdecimal() and fields[2].isdecimal()):
        got = " ".join(fields)[:60]
        raise InputError(f"{bed}:{line}: expected 'sequence start end' with whole numbers, got '{got}'")
    start, end = int(fields[1]), int(fields[2])
    if end <= start:
        raise InputError(f"{bed}:{line}: the region {start}-{end} holds no base; coordinates are 0-based, half-open")
    strand = fields[5].strip() if len(fields) > 5 else "+"
    if strand not in STRANDS:
        raise InputError(f"{bed}:{line}: got the strand '{strand}', expected one of {' '.join(STRANDS)}")
    name = fields[3] if len(fields) > 3 else f"{fields[0]}:{start}-{end}"
    return Region(line, fields[0], start, end, name, STRANDS[strand])
