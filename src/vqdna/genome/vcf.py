"""Variants of a VCF file: what stands in place of which bases of a reference, one alternate at a time.

Flow: VCF (plain, gzip, bgzip or standard input) -> Variant per alternate, in file order. Only the first five columns
are read. Positions become 0-based here. It must not know genomes' bases nor models.

Reference: the VCF specification, version 4.3, sections 1.6.1 and 5.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vqdna.errors import InputError
from vqdna.genome.streams import stream_name, text_lines

COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT")
BASES = re.compile(r"[ACGTNacgtn]+")


@dataclass(frozen=True, slots=True)
class Variant:
    """One alternate of a line.

    Attributes:
        line: of the file, from 1.
        sequence: name of the reference's sequence.
        start: first replaced base, 0-based.
        identifier: as the file has it, "." for none.
        ref: bases that are replaced.
        alt: bases in their place, as the file has them; may be symbolic.
    """

    line: int
    sequence: str
    start: int
    identifier: str
    ref: str
    alt: str

    @property
    def end(self) -> int:
        """One past the last replaced base."""
        return self.start + len(self.ref)

    @property
    def is_spelled_out(self) -> bool:
        """Whether the alternate is bases: no `<DEL>`, no breakend, no `*` or `.`."""
        return BASES.fullmatch(self.alt) is not None


def read_variants(path: str | Path) -> list[Variant]:
    """Alternates of all lines, in file order; those of one line one after another.

    Args:
        path: VCF file, plain, gzip or bgzip; `-` reads standard input.

    Raises:
        InputError: no file, no variants in it, or a line that is none; names file and line.
    """
    name = stream_name(path)
    variants = [
        variant
        for number, line in enumerate(text_lines(path), 1)
        if line.strip() and not line.startswith(b"#")
        for variant in _alternates(name, number, line.split(b"\t", len(COLUMNS))[: len(COLUMNS)])
    ]
    if not variants:
        raise InputError(f"{name}: holds no variants, expected lines of {' '.join(COLUMNS)} behind tabs")
    return variants


def _alternates(name: str, line: int, columns: list[bytes]) -> Iterator[Variant]:
    fields = [column.decode("utf-8", "replace") for column in columns]
    if len(fields) < len(COLUMNS) or not fields[1].isdecimal() or not int(fields[1]):
        got = " ".join(fields)[:60]
        raise InputError(f"{name}:{line}: expected {' '.join(COLUMNS)} with tabs between, POS from 1, got '{got}'")
    sequence, position, identifier, ref, alternates = fields
    if not BASES.fullmatch(ref):
        raise InputError(f"{name}:{line}: expected REF of the letters A C G T N, got '{ref[:60]}'")
    for alt in alternates.split(","):
        yield Variant(line, sequence, int(position) - 1, identifier, ref, alt)
