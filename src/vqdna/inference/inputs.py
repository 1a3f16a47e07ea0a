"""What a model is applied to: sequences that a caller gives, or whole records, windows and regions of a file.

Flow: a str, an array of base ids, a record, or many of them -> Named(place, base_ids), where `place` is what messages
call it; FASTA or FASTQ (and BED) -> Piece(name, start, end, strand, base_ids) in the order asked for. Coordinates are
0-based, half-open; a piece of the minus strand holds the reverse complement. It must not know models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import Gaps, N, UnknownBaseError, reverse_complement, to_base_ids
from vqdna.genome.intervals import Interval
from vqdna.genome.sequences import Sequence as Record
from vqdna.genome.sequences import read_sequences
from vqdna.genome.streams import text_blocks

Bases = UInt8[ndarray, "_"]
Sequences = str | Record | ndarray | Iterable[Any]
"""One sequence (a str, a 1-D array of base ids, a record of `read_sequences`), or an iterable of such sequences."""

SEQUENCES_AT_A_TIME = 4096

EXPECTED = "expected text, an array of base ids, a record of read_sequences, or several of these"

STRANDS = {"+": "+", "-": "-", ".": "+"}
"""What a BED file writes for a strand, and how it is read."""


@dataclass(frozen=True, eq=False)
class Named:
    """A sequence and what messages call it."""

    place: str
    base_ids: Bases


@dataclass(frozen=True, eq=False)
class Piece(Interval):
    """A window or region of a sequence.

    Attributes:
        base_ids: as the strand is read.
        region: name that a BED file gives it.
    """

    base_ids: Bases
    region: str | None = None

    def __str__(self) -> str:
        return f"'{self.name}' {self.start}-{self.end}"


Item = TypeVar("Item", Named, Piece, Record)


def is_single(sequences: Sequences) -> bool:
    """Whether one sequence was given, so that the answer is for one: a str, a record, or a 1-D array of base ids."""
    if isinstance(sequences, str | Record):
        return True
    return getattr(sequences, "ndim", None) == 1 and _holds_numbers(sequences)


def named_sequences(sequences: Sequences) -> Iterator[Named]:
    """The sequences one by one; an iterator of records is read as it is needed.

    Raises:
        InputError: not a sequence, an empty one, a letter that is no base, or a base id above 4; names the sequence.
    """
    if isinstance(sequences, bytes | Path | Mapping) or not isinstance(sequences, Iterable | Record):
        raise InputError(f"sequences: got {type(sequences).__name__}, {EXPECTED}")
    several: Iterable[Any] = [sequences] if is_single(sequences) else sequences  # type: ignore[assignment]
    for number, sequence in enumerate(several, 1):
        place = f"record '{sequence.name}'" if isinstance(sequence, Record) else f"sequence {number}"
        base_ids = _base_ids(place, sequence)
        if not len(base_ids):
            raise InputError(f"{place} is empty")
        yield Named(place, base_ids)


def _base_ids(place: str, sequence: Any) -> Bases:
    if isinstance(sequence, Record):
        return sequence.base_ids
    if isinstance(sequence, str):
        try:
            return to_base_ids(sequence).base_ids
        except UnknownBaseError as error:
            raise InputError(f"{place}: {error}") from None
    if not hasattr(sequence, "ndim") or sequence.ndim != 1 or not _holds_numbers(sequence):
        raise InputError(f"{place}: got {type(sequence).__name__}, expected text or a 1-D array of base ids 0 to {N}")
    numbers = np.asarray(sequence)
    if numbers.size and (numbers.min() < 0 or numbers.max() > N):
        raise InputError(f"{place}: got base ids {numbers.min()} to {numbers.max()}, expected 0 to {N} (A C G T N)")
    return numbers.astype(np.uint8)


def _holds_numbers(array: Any) -> bool:
    """Whether an array of NumPy or torch holds whole numbers; an array of strings holds several sequences."""
    return np.asarray(array).dtype.kind in "iu"


def held_together(items: Iterable[Item], most_bases: int) -> Iterator[list[Item]]:
    """Runs of sequences with at most so many bases together; a longer one alone."""
    held: list[Item] = []
    bases = 0
    for item in items:
        if held and (bases + len(item.base_ids) > most_bases or len(held) == SEQUENCES_AT_A_TIME):
            yield held
            held, bases = [], 0
        held.append(item)
        bases += len(item.base_ids)
    if held:
        yield held


@dataclass(frozen=True)
class Region(Interval):
    """Line of a BED file."""

    line: int
    label: str


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
        wanted.setdefault(region.name, []).append(number)
    pieces: dict[int, Piece] = {}
    names = []
    for record in read_sequences(source, gaps=gaps):
        names.append(record.name)
        pieces |= {number: _cut(record, regions[number], bed) for number in wanted.get(record.name, ())}
    for number, region in enumerate(regions):
        if number not in pieces:
            hint = nearest_name_hint(region.name, names)
            raise InputError(f"{bed}:{region.line}: {source} has no sequence '{region.name}'{hint}")
    return [pieces[number] for number in range(len(regions))]


def _cut(record: Record, region: Region, bed: Path) -> Piece:
    if region.end > len(record.base_ids):
        length = len(record.base_ids)
        raise InputError(
            f"{bed}:{region.line}: the region ends at {region.end}, and '{record.name}' has {length} bases"
        )
    bases = record.base_ids[region.bases]
    bases = reverse_complement(bases) if region.strand == "-" else bases.copy()
    return Piece(record.name, region.start, region.end, region.strand, bases, region.label)


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
    label = fields[3] if len(fields) > 3 else f"{fields[0]}:{start}-{end}"
    return Region(fields[0], start, end, STRANDS[strand], line, label)
