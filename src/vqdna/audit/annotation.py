"""Annotations: GFF3, GTF or BED (plain or gzip) to a label for every base of every contig.

Flow: file -> Interval records, checked against the contigs -> tracks (coding frame, coding frame by strand, inside or
outside each kind of feature), each a list of UInt8[base], one per contig. Coordinates become 0-based, half-open here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome import Sequence as Contig
from vqdna.genome.streams import text_blocks

MAX_KINDS = 8
CODING = "CDS"
FRAME_NAMES = ("none", "0", "1", "2")
STRAND_FRAME_NAMES = ("none", "+0", "+1", "+2", "-0", "-1", "-2")


class Interval(NamedTuple):
    """A stretch of a contig; `phase` is that of a coding sequence, bases before its first whole codon."""

    contig: str
    start: int
    end: int
    kind: str
    strand: str
    phase: int | None
    line: int


@dataclass(frozen=True, eq=False)
class Track:
    """Labels for every base of every contig; label 0 is `value_names[0]`."""

    meaning: str
    value_names: tuple[str, ...]
    labels: list[UInt8[np.ndarray, "_"]]


@dataclass(frozen=True, eq=False)
class Annotation:
    """Tracks by name, and how many features of the file were on sequences that the input does not have."""

    tracks: dict[str, Track]
    num_features: int
    num_elsewhere: int


def read_annotation(path: Path, contigs: Sequence[Contig]) -> Annotation:
    """Tracks of an annotation file over the contigs.

    Features on sequences that the input lacks are counted and passed over, as an annotation of a whole genome is often
    used with one chromosome.

    Raises:
        InputError: neither GFF nor BED, a coordinate out of place, no sequence name that the input knows, or one name
            for two sequences of the input.
    """
    twice = [name for name, count in Counter(contig.name for contig in contigs).items() if count > 1]
    if twice:
        raise InputError(f"{path}: '{twice[0]}' names two sequences of the input; give one genome with an annotation")
    intervals = list(_intervals(path))
    number = {contig.name: index for index, contig in enumerate(contigs)}
    known = [interval for interval in intervals if interval.contig in number]
    if not known:
        raise _unknown_names(path, intervals, list(number))
    for interval in known:
        size = len(contigs[number[interval.contig]].base_ids)
        if interval.end > size:
            where = f"{path}:{interval.line}"
            raise InputError(f"{where}: feature ends at base {interval.end}, but '{interval.contig}' has {size} bases")
    return Annotation(_tracks(known, contigs, number), len(known), len(intervals) - len(known))


def _unknown_names(path: Path, intervals: Sequence[Interval], names: Sequence[str]) -> InputError:
    if not intervals:
        return InputError(f"{path}: holds no features")
    first = intervals[0]
    hint = nearest_name_hint(first.contig, names) or f"; the input has {', '.join(names[:5])}"
    return InputError(f"{path}:{first.line}: no sequence '{first.contig}' in the genomes{hint}")


def _tracks(intervals: Sequence[Interval], contigs: Sequence[Contig], number: dict[str, int]) -> dict[str, Track]:
    """Frames where there are coding sequences, and inside or outside for the kinds that cover most bases."""
    tracks: dict[str, Track] = {}
    coding = [interval for interval in intervals if interval.kind == CODING and interval.phase is not None]
    if coding:
        frame, strand_frame = _frame_labels(coding, contigs, number)
        tracks["coding frame"] = Track("place in the codon, on the gene's own strand", FRAME_NAMES, frame)
        meaning = "strand of the gene and place in the codon"
        tracks["frame and strand"] = Track(meaning, STRAND_FRAME_NAMES, strand_frame)
    sizes: Counter[str] = Counter()
    for interval in intervals:
        sizes[interval.kind] += interval.end - interval.start
    for kind, _ in sizes.most_common(MAX_KINDS):
        labels = _blank(contigs)
        for interval in intervals:
            if interval.kind == kind:
                labels[number[interval.contig]][interval.start : interval.end] = 1
        tracks[f"in {kind}"] = Track(f"the base lies in a feature '{kind}'", ("outside", "inside"), labels)
    return tracks


def _frame_labels(
    coding: Sequence[Interval], contigs: Sequence[Contig], number: dict[str, int]
) -> tuple[list[UInt8[np.ndarray, "_"]], list[UInt8[np.ndarray, "_"]]]:
    """1 + frame, and the same with 3 added on the reverse strand; where two overlap, the later one counts."""
    frame, strand_frame = _blank(contigs), _blank(contigs)
    for interval in coding:
        place = slice(interval.start, interval.end)
        offset = np.arange(interval.end - interval.start)
        if interval.strand == "-":
            offset = offset[::-1]
        value = 1 + (offset - (interval.phase or 0)) % 3
        frame[number[interval.contig]][place] = value
        strand_frame[number[interval.contig]][place] = value + (3 if interval.strand == "-" else 0)
    return frame, strand_frame


def _blank(contigs: Sequence[Contig]) -> list[UInt8[np.ndarray, "_"]]:
    return [np.zeros(len(contig.base_ids), np.uint8) for contig in contigs]


# Files ---------------------------------------------------------------------------------------------------------------


def _intervals(path: Path) -> Iterator[Interval]:
    """Features of the file; the first line of data says which format it is."""
    reader = None
    for line, text in _lines(path):
        if text.startswith(("##FASTA", ">")):
            return
        if not text.strip() or text.startswith(("#", "track", "browser")):
            continue
        fields = text.split("\t")
        if reader is None:
            reader = _format(path, line, fields)
        yield from reader(path, line, fields)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    rest, line = b"", 0
    for block in text_blocks(path):
        *whole, rest = (rest + block).split(b"\n")
        for text in whole:
            line += 1
            yield line, text.rstrip(b"\r").decode("utf-8", "replace")
    if rest:
        yield line + 1, rest.rstrip(b"\r").decode("utf-8", "replace")


def _format(path: Path, line: int, fields: list[str]) -> Callable[[Path, int, list[str]], Iterator[Interval]]:
    if len(fields) in (8, 9) and fields[3].isdigit() and fields[4].isdigit():
        return _gff
    if len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit():
        return _bed
    raise InputError(
        f"{path}:{line}: neither GFF nor BED: got {len(fields)} tab-separated fields beginning {fields[0][:20]!r}, "
        "wanted the 9 of GFF or at least name, start and end of BED"
    )


def _gff(path: Path, line: int, fields: list[str]) -> Iterator[Interval]:
    """One feature of GFF3 or GTF, whose coordinates are 1-based and closed."""
    if len(fields) < 8:
        raise InputError(f"{path}:{line}: got {len(fields)} fields, wanted the 9 of GFF")
    start, end = _coordinates(path, line, fields[3], fields[4])
    phase = int(fields[7]) if fields[7] in ("0", "1", "2") else None
    if fields[2] == CODING and phase is None:
        raise InputError(f"{path}:{line}: a CDS with the phase {fields[7]!r}, wanted 0, 1 or 2")
    yield _checked(path, Interval(fields[0], start - 1, end, fields[2], fields[6], phase, line))


def _bed(path: Path, line: int, fields: list[str]) -> Iterator[Interval]:
    """One feature of BED: its blocks where it has them (BED12), else the whole of it."""
    if len(fields) < 3:
        raise InputError(f"{path}:{line}: got {len(fields)} fields, wanted at least name, start and end of BED")
    start, end = _coordinates(path, line, fields[1], fields[2])
    kind = fields[3] if len(fields) > 3 and fields[3] else "annotated"
    strand = fields[5] if len(fields) > 5 else "."
    if len(fields) < 12:
        yield _checked(path, Interval(fields[0], start, end, kind, strand, None, line))
        return
    sizes, starts = ([text for text in fields[column].split(",") if text] for column in (10, 11))
    for size_text, start_text in zip(sizes, starts):
        offset, size = _coordinates(path, line, start_text, size_text)
        yield _checked(path, Interval(fields[0], start + offset, start + offset + size, "exon", strand, None, line))


def _coordinates(path: Path, line: int, first: str, second: str) -> tuple[int, int]:
    for text in (first, second):
        if not (text.isascii() and text.isdigit()):
            raise InputError(f"{path}:{line}: got the coordinate {text!r}, wanted a whole number")
    return int(first), int(second)


def _checked(path: Path, interval: Interval) -> Interval:
    if not 0 <= interval.start < interval.end:
        got = f"start {interval.start} and end {interval.end} (0-based, half-open)"
        raise InputError(f"{path}:{interval.line}: {got}, wanted a start below the end")
    return interval
