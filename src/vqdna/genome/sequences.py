"""Sequence files in: FASTA and FASTQ, plain, gzip, bgzip or standard input, one record at a time.

Flow: path -> text blocks -> records -> Sequence(name, base_ids UInt8[base], soft_masked Bool[base]).
Every fault of a file is one InputError that says file and line. Work is done per block, never per letter
(docs/decisions/0001-sequence-reader.md). It must not know what the sequences are used for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from vqdna.errors import InputError
from vqdna.genome.bases import GAPS, EncodedText, Gaps, UnknownBaseError, to_base_ids
from vqdna.genome.streams import foreign_format, stream_name, text_blocks

RepeatedNames = Literal["error", "number"]

_BLANKS = b" \t\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(eq=False, slots=True)
class Sequence:
    """One record of a sequence file.

    Attributes:
        name: first word of the header.
        soft_masked: True where the file had a lower-case letter; None unless asked for.
        num_ambiguous: letters that were IUPAC ambiguity codes other than N; they are N in `base_ids`.
    """

    name: str
    base_ids: UInt8[np.ndarray, "base"]
    soft_masked: Bool[np.ndarray, "base"] | None = None
    num_ambiguous: int = 0


@dataclass(frozen=True, slots=True)
class _Reading:
    """How and from where one file is read, and the line of each name so far."""

    file: str
    gaps: Gaps
    keep_soft_mask: bool
    line_of_name: dict[str, int]
    repeated_names: RepeatedNames = "error"
    last_number: dict[str, int] = field(default_factory=dict)

    def fault(self, line: int, message: str) -> InputError:
        return InputError(f"{self.file}:{line}: {message}")

    def name(self, header: bytes, line: int) -> str:
        """Name in the header at `line`, its first word, numbered where that is asked.

        Raises:
            InputError: there is none, or another record has it.
        """
        words = header[1:].split(None, 1)
        if not words:
            raise self.fault(line, f"a record without a name, wanted '{chr(header[0])}name'")
        name = words[0].decode("utf-8", "replace")
        if self.repeated_names == "number":
            name = self._numbered(name)
        first_line = self.line_of_name.setdefault(name, line)
        if first_line != line:
            raise self.fault(line, f"duplicate name '{name}', first used in line {first_line}")
        return name

    def _numbered(self, name: str) -> str:
        """The name itself the first time, then `name#2`, `name#3`, ..., each never used before."""
        if name not in self.line_of_name:
            return name
        numbers = itertools.count(self.last_number.get(name, 1) + 1)
        number = next(number for number in numbers if f"{name}#{number}" not in self.line_of_name)
        self.last_number[name] = number
        return f"{name}#{number}"

    def soft_mask(self, letters: bytes) -> Bool[np.ndarray, "base"]:
        if self.gaps == "drop":
            letters = letters.translate(None, GAPS.encode())
        return np.frombuffer(letters, np.uint8) >= ord("a")

    def unknown_base(self, error: UnknownBaseError, line: int, name: str, offset: int, letters: bytes) -> InputError:
        where = f"{error.character!r} at offset {offset} of '{name}' is no base"
        if _looks_like_protein(letters):
            return self.fault(line, f"{where}; this looks like protein, wanted DNA")
        return self.fault(line, f"{where}; {error.wanted}")


def read_sequences(
    path: str | Path, *, gaps: Gaps = "error", keep_soft_mask: bool = False, repeated_names: RepeatedNames = "error"
) -> Iterator[Sequence]:
    r"""Records of a FASTA or FASTQ file in file order, told apart by the first character; holds one record at a time.

    Args:
        path: plain, gzip or bgzip file; `-` reads standard input.
        gaps: "drop" leaves out `-`, `.` and `*`; "error" refuses them.
        keep_soft_mask: also says which letters were lower case.
        repeated_names: "error" refuses a name that an earlier record has; "number" makes it `name#2`, `name#3`, ...

    Raises:
        InputError: the file is missing, empty, truncated or no sequence file, or a record is at fault.

    Example:
        >>> import vqdna
        >>> _ = open("two.fa", "w").write(">a\nACGTTGCANNACGT\n>b\nGATTACA\n")
        >>> [(record.name, len(record.base_ids)) for record in vqdna.read_sequences("two.fa")]
        [('a', 14), ('b', 7)]
    """
    reading = _Reading(stream_name(path), gaps, keep_soft_mask, {}, repeated_names)
    blocks = text_blocks(path)
    first, line = _first_text(blocks, reading)
    records = _fasta_records if first.startswith(b">") else _fastq_records
    yield from records(chain([first], blocks), reading, line)


def _first_text(blocks: Iterator[bytes], reading: _Reading) -> tuple[bytes, int]:
    """First block from its first character that is not blank, and that character's line."""
    line, block = 1, next(blocks, b"").removeprefix(_BYTE_ORDER_MARK)
    while not (text := block.lstrip()):
        line += block.count(b"\n")
        following = next(blocks, None)
        if following is None:
            raise reading.fault(1, "empty file, wanted FASTA or FASTQ")
        block = following
    line += block[: len(block) - len(text)].count(b"\n")
    kind = foreign_format(text)
    if kind or text[:1] not in (b">", b"@"):
        got = f"this is {kind}" if kind else f"the text begins with {_shown(text)}"
        raise reading.fault(line, f"no sequence file: {got}, wanted '>' (FASTA) or '@' (FASTQ)")
    return text, line


# FASTA ---------------------------------------------------------------------------------------------------------------


class _FastaRecord:
    """A FASTA record while its lines arrive, in pieces cut anywhere."""

    def __init__(self, header: bytes, line: int, reading: _Reading) -> None:
        self.reading = reading
        self.name = reading.name(header, line)
        self.header_line = line
        self.line = line + 1
        self.num_letters = 0
        self.pieces: list[EncodedText] = []
        self.soft_masks: list[Bool[np.ndarray, "_"]] = []

    def add(self, body: bytes) -> None:
        """Takes further lines of the record, blanks and line ends dropped.

        Raises:
            InputError: a letter that is no base, with its place.
        """
        letters = body.replace(b"\n", b"")
        num_lines = len(body) - len(letters)
        if b"\r" in letters or b" " in letters or b"\t" in letters:
            letters = letters.translate(None, _BLANKS)
        try:
            self.pieces.append(to_base_ids(letters, gaps=self.reading.gaps))
        except UnknownBaseError as error:
            raise self._located(error, body, letters) from None
        if self.reading.keep_soft_mask:
            self.soft_masks.append(self.reading.soft_mask(letters))
        self.line += num_lines
        self.num_letters += len(letters)

    def finish(self) -> Sequence:
        base_ids = _joined([piece.base_ids for piece in self.pieces])
        if base_ids is None:
            raise self.reading.fault(self.header_line, f"record '{self.name}' has no sequence")
        num_ambiguous = sum(piece.num_ambiguous for piece in self.pieces)
        return Sequence(self.name, base_ids, _joined(self.soft_masks), num_ambiguous)

    def _located(self, error: UnknownBaseError, body: bytes, letters: bytes) -> InputError:
        is_letter = ~np.isin(np.frombuffer(body, np.uint8), np.frombuffer(_BLANKS + b"\n", np.uint8))
        line = self.line + body[: int(np.flatnonzero(is_letter)[error.offset])].count(b"\n")
        return self.reading.unknown_base(error, line, self.name, self.num_letters + error.offset, letters)


def _fasta_records(blocks: Iterator[bytes], reading: _Reading, line: int) -> Iterator[Sequence]:
    record: _FastaRecord | None = None
    header: bytes | None = b""  # None while in a record's lines; else the part of a header line seen so far
    at_line_start = True
    for block in blocks:
        position = 0
        while position < len(block):
            if header is not None:
                end = block.find(b"\n", position)
                header += block[position : end if end >= 0 else len(block)]
                if end < 0:
                    break
                record, header, position = _FastaRecord(header, line, reading), None, end + 1
            else:
                assert record is not None
                start = _next_header(block, position, at_line_start)
                record.add(block[position:start])
                if start < len(block):
                    yield record.finish()
                    header, line = b"", record.line
                position = start
        at_line_start = block.endswith(b"\n")
    if header is not None:
        record = _FastaRecord(header, line, reading)
    assert record is not None
    yield record.finish()


def _next_header(block: bytes, position: int, at_line_start: bool) -> int:
    """Place of the first `>` that begins a line, at `position` or later; the block's length if there is none."""
    start = block.find(b">", position)
    while start > 0 and block[start - 1] != ord("\n"):
        start = block.find(b">", start + 1)
    if start < 0 or (start == 0 and not at_line_start):
        return len(block)
    return start


def _joined(pieces: list[np.ndarray]) -> np.ndarray | None:
    """The pieces as one array; None if they hold nothing."""
    pieces = [piece for piece in pieces if piece.size]
    if not pieces:
        return None
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


# FASTQ ---------------------------------------------------------------------------------------------------------------


def _fastq_records(blocks: Iterator[bytes], reading: _Reading, line: int) -> Iterator[Sequence]:
    lines: list[bytes] = []
    numbers: list[int] = []
    for block in _whole_lines(blocks):
        new_lines = block.replace(b"\r\n", b"\n").split(b"\n")[:-1]
        new_numbers = list(range(line, line + len(new_lines)))
        line += len(new_lines)
        if b"" in new_lines:
            new_numbers = [number for number, text in zip(new_numbers, new_lines) if text]
            new_lines = [text for text in new_lines if text]
        lines, numbers = lines + new_lines, numbers + new_numbers
        end = len(lines) // 4 * 4
        yield from _reads(lines[:end], numbers[:end], reading)
        lines, numbers = lines[end:], numbers[end:]
    if lines:
        _check_read(lines, numbers, reading)


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same text in blocks that end with a line; the last line gets its line end if it has none."""
    rest = b""
    for block in blocks:
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = b""
        rest += block[cut:]
    if rest:
        yield rest + b"\n"


def _reads(lines: list[bytes], numbers: list[int], reading: _Reading) -> Iterator[Sequence]:
    """Records of four lines each: header, letters, plus, qualities. All letters of a block are looked up together."""
    headers, letters, pluses, qualities = (lines[column::4] for column in range(4))
    sizes = list(map(len, letters))
    sound = sizes == list(map(len, qualities)) and all(plus.startswith(b"+") for plus in pluses)
    try:
        together = to_base_ids(b"".join(letters))
        sound = sound and together.num_ambiguous == 0 and all(header.startswith(b"@") for header in headers)
    except UnknownBaseError:
        sound = False
    if not sound:  # a fault to locate, a gap to drop or an ambiguity code to count
        for first in range(0, len(lines), 4):
            yield _check_read(lines[first : first + 4], numbers[first : first + 4], reading)
        return
    end = 0
    for number, header, text, size in zip(numbers[::4], headers, letters, sizes):
        start, end = end, end + size
        soft_masked = reading.soft_mask(text) if reading.keep_soft_mask else None
        yield Sequence(reading.name(header, number), together.base_ids[start:end], soft_masked, 0)


def _check_read(lines: list[bytes], numbers: list[int], reading: _Reading) -> Sequence:
    """The record in `lines`, at most four of them, or the InputError that says what is wrong with it."""
    header, number = lines[0], numbers[0]
    if not header.startswith(b"@"):
        raise reading.fault(number, f"expected a FASTQ header '@name', got {_shown(header)}")
    name = reading.name(header, number)
    if len(lines) < 2 or lines[1].startswith(b"+"):
        raise reading.fault(number, f"record '{name}' has no sequence")
    if len(lines) < 4:
        raise reading.fault(numbers[-1], f"truncated FASTQ: record '{name}' has {len(lines)} of its 4 lines")
    letters, plus, qualities = lines[1:]
    if not plus.startswith(b"+"):
        got = f"got {_shown(plus)}; records of more than 4 lines are not read"
        raise reading.fault(numbers[2], f"expected the '+' line of '{name}', {got}")
    if len(letters) != len(qualities):
        raise reading.fault(
            numbers[3], f"record '{name}' has {len(letters)} bases but {len(qualities)} quality letters"
        )
    try:
        encoded = to_base_ids(letters, gaps=reading.gaps)
    except UnknownBaseError as error:
        raise reading.unknown_base(error, numbers[1], name, error.offset, letters) from None
    if not encoded.base_ids.size:
        raise reading.fault(number, f"record '{name}' has no sequence")
    soft_masked = reading.soft_mask(letters) if reading.keep_soft_mask else None
    return Sequence(name, encoded.base_ids, soft_masked, encoded.num_ambiguous)


def _shown(text: bytes) -> str:
    """Beginning of the text, quoted for a message."""
    return repr(text[:20].decode("ascii", "replace"))


def _looks_like_protein(letters: bytes) -> bool:
    """Whether the text is letters, most of which a nucleotide sequence would not use often."""
    counts = np.bincount(np.frombuffer(letters[:10_000].upper(), np.uint8), minlength=256)
    num_letters = counts[ord("A") : ord("Z") + 1].sum()
    num_nucleotides = sum(counts[ord(letter)] for letter in "ACGTUN")
    return bool(num_letters >= 0.8 * counts.sum() and num_nucleotides < 0.6 * num_letters)
