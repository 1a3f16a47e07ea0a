"""Annotations: GFF3, GTF or BED (plain or gzip) to a label for every base of every contig.

Flow: file -> AnnotatedInterval records, checked against the contigs -> tracks (coding frame, coding frame by strand,
inside or outside each kind of feature), each a list of UInt8[base], one per contig. Coordinates become 0-based,
half-open here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome import Sequence as Contig
from vqdna.genome.intervals import STRANDS, Interval
from vqdna.genome.streams import text_lines

MAX_KINDS = 8
CODING = "CDS"
FRAME_NAMES = ("none", "0", "1", "2")
Parsed = tuple[str, int, int, str, str, int | None]
"""Sequence, start, end (0-based, half-open), strand, kind and phase of a feature."""

STRAND_FRAME_NAMES = ("none", "+0", "+1", "+2", "-0", "-1", "-2")


@dataclass(frozen=True)
class AnnotatedInterval(Interval):
    """A feature on a contig; `phase` is that of a coding sequence, bases before its first whole codon."""

    kind: str
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
    features = list(_features(path))
    number = {contig.name: index for index, contig in enumerate(contigs)}
    known = [feature for feature in features if feature.name in number]
    if not features:
        raise InputError(f"{path}: holds no features")
    if not known:
        first = features[0]
        hint = nearest_name_hint(first.name, number) or f"; the input has {', '.join([*number][:5])}"
        raise InputError(f"{path}:{first.line}: no sequence '{first.name}' in the genomes{hint}")
    for feature in known:
        size = len(contigs[number[feature.name]].base_ids)
        if feature.end > size:
            where = f"{path}:{feature.line}"
            raise InputError(f"{where}: feature ends at base {feature.end}, but '{feature.name}' has {size} bases")
    return Annotation(_tracks(known, contigs, number), len(known), len(features) - len(known))


def _tracks(
    features: Sequence[AnnotatedInterval], contigs: Sequence[Contig], number: dict[str, int]
) -> dict[str, Track]:
    """Frames where there are coding sequences, and inside or outside for the kinds that cover most bases."""
    tracks: dict[str, Track] = {}
    coding = [feature for feature in features if feature.kind == CODING and feature.phase is not None]
    if coding:
        # 1 + frame, and the same with 3 added on the reverse strand; where two overlap, the later one counts.
        frame, strand_frame = _blank(contigs), _blank(contigs)
        for feature in coding:
            offset = np.arange(feature.length)[:: -1 if feature.strand == "-" else 1]
            value = 1 + (offset - (feature.phase or 0)) % 3
            frame[number[feature.name]][feature.bases] = value
            strand_frame[number[feature.name]][feature.bases] = value + (3 if feature.strand == "-" else 0)
        tracks["coding frame"] = Track("place in the codon, on the gene's own strand", FRAME_NAMES, frame)
        meaning = "strand of the gene and place in the codon"
        tracks["frame and strand"] = Track(meaning, STRAND_FRAME_NAMES, strand_frame)
    sizes: Counter[str] = Counter()
    for feature in features:
        sizes[feature.kind] += feature.length
    for kind, _ in sizes.most_common(MAX_KINDS):
        labels = _blank(contigs)
        for feature in features:
            if feature.kind == kind:
                labels[number[feature.name]][feature.bases] = 1
        tracks[f"in {kind}"] = Track(f"the base lies in a feature '{kind}'", ("outside", "inside"), labels)
    return tracks


def _blank(contigs: Sequence[Contig]) -> list[UInt8[np.ndarray, "_"]]:
    return [np.zeros(len(contig.base_ids), np.uint8) for contig in contigs]


# Files ---------------------------------------------------------------------------------------------------------------


def _features(path: Path) -> Iterator[AnnotatedInterval]:
    """Features of the file; the first line of data says which format it is."""
    read = None
    for line, raw in enumerate(text_lines(path), 1):
        text = raw.decode("utf-8", "replace")
        if text.startswith(("##FASTA", ">")):
            return
        if not text.strip() or text.startswith(("#", "track", "browser")):
            continue
        fields = text.split("\t")
        try:
            read = read or _format(fields)
            for name, start, end, strand, kind, phase in read(fields):
                if not 0 <= start < end:
                    got = f"start {start} and end {end} (0-based, half-open)"
                    raise InputError(f"{got}, wanted a start below the end")
                # GFF also writes "?" for a strand that matters but is unknown.
                yield AnnotatedInterval(name, start, end, strand if strand in STRANDS else ".", kind, phase, line)
        except InputError as error:
            raise InputError(f"{path}:{line}: {error}") from None


def _format(fields: list[str]) -> Callable[[list[str]], Iterator[Parsed]]:
    if len(fields) in (8, 9) and fields[3].isdigit() and fields[4].isdigit():
        return _gff
    if len(fields) >= 3 and fields[1].isdigit() and fields[2].isdigit():
        return _bed
    raise InputError(
        f"neither GFF nor BED: got {len(fields)} tab-separated fields beginning {fields[0][:20]!r}, "
        "wanted the 9 of GFF or at least name, start and end of BED"
    )


def _gff(fields: list[str]) -> Iterator[Parsed]:
    """One feature of GFF3 or GTF, whose coordinates are 1-based and closed."""
    if len(fields) < 8:
        raise InputError(f"got {len(fields)} fields, wanted the 9 of GFF")
    phase = int(fields[7]) if fields[7] in ("0", "1", "2") else None
    start, end = _whole(fields[3]), _whole(fields[4])
    if fields[2] == CODING and phase is None:
        raise InputError(f"a CDS with the phase {fields[7]!r}, wanted 0, 1 or 2")
    yield fields[0], start - 1, end, fields[6], fields[2], phase


def _bed(fields: list[str]) -> Iterator[Parsed]:
    """One feature of BED: its blocks where it has them (BED12), else the whole of it."""
    if len(fields) < 3:
        raise InputError(f"got {len(fields)} fields, wanted at least name, start and end of BED")
    start, end = _whole(fields[1]), _whole(fields[2])
    strand = fields[5] if len(fields) > 5 else "."
    if len(fields) < 12:
        yield fields[0], start, end, strand, (fields[3] if len(fields) > 3 else "") or "annotated", None
        return
    sizes, offsets = ([_whole(text) for text in fields[column].split(",") if text] for column in (10, 11))
    for size, offset in zip(sizes, offsets):
        yield fields[0], start + offset, start + offset + size, strand, "exon", None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"got the coordinate {text!r}, wanted a whole number")
    return int(text)
