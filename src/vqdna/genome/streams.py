"""Bytes of a sequence file, whatever holds them: a plain file, gzip, bgzip (many gzip members) or standard input.

Flow: path -> blocks of text bytes (about a megabyte each, cut anywhere).
Compression is told by the first bytes, never by the name. It must not know FASTA, FASTQ or bases.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import cast

from vqdna.errors import InputError, nearest_name_hint

_BLOCK_SIZE = 1 << 18
_INFLATED_SIZE = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for "a gzip member, checksum verified"
_FOREIGN = {
    b"BZh": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"PK\x03\x04": "a zip archive",
    b"CRAM": "a CRAM file",
    b"BAM\x01": "a BAM file",
    b"##fileformat=VCF": "a VCF file",
    b"@HD\t": "a SAM file",
    b"@SQ\t": "a SAM file",
    b"LOCUS ": "a GenBank file",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


def stream_name(path: str | Path) -> str:
    """Name of `path` for messages; `-` is standard input."""
    return "standard input" if str(path) == "-" else str(path)


def existing_file(path: str | Path) -> Path:
    """`path`, which is a file.

    Raises:
        InputError: nothing is there (names the nearest neighbor), or it is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder, wanted a FASTA or FASTQ file")
    if not path.exists():
        neighbors = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise InputError(f"{path}: no such file{nearest_name_hint(path.name, neighbors)}")
    return path


def text_blocks(path: str | Path) -> Iterator[bytes]:
    """Blocks of the decompressed bytes of `path` (`-`: standard input), none of them empty.

    Raises:
        InputError: the file is missing or unreadable, or its gzip data is truncated or damaged.
    """
    if str(path) == "-":
        yield from _decompressed(cast(BufferedReader, sys.stdin.buffer).read1, stream_name(path))
        return
    try:
        with existing_file(path).open("rb", buffering=0) as file:
            yield from _decompressed(lambda size: file.read(size) or b"", stream_name(path))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def text_lines(path: str | Path) -> Iterator[bytes]:
    """Lines without their ends, of a file as `text_blocks` takes it."""
    pending = b""
    for block in text_blocks(path):
        *lines, pending = (pending + block).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in lines)
    if pending:
        yield pending.removesuffix(b"\r")


def foreign_format(first_block: bytes) -> str | None:
    """What a file is that begins with `first_block`, if it is a known format that holds no plain sequence text."""
    return next((kind for magic, kind in _FOREIGN.items() if first_block.startswith(magic)), None)


def _decompressed(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    first = read(_BLOCK_SIZE)
    if len(first) == 1:  # a pipe may hand over a single byte; the magic has two
        first += read(_BLOCK_SIZE)
    if first.startswith(_GZIP_MAGIC):
        yield from _counted_gzip(first, read, name)
        return
    while first:
        yield first
        first = read(_BLOCK_SIZE)


def _counted_gzip(first: bytes, read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    line = 1
    try:
        for block in _inflated(first, read):
            yield block
            line += block.count(b"\n")
    except EOFError as error:
        raise InputError(f"{name}:{line}: truncated gzip file ({error})") from None
    except zlib.error as error:
        raise InputError(f"{name}:{line}: damaged gzip file ({error})") from None


def _inflated(pending: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    is_bgzip = bool(pending[3:4] and pending[3] & 4) and pending[12:14] == b"BC"
    member_size = 0
    while pending:
        member, member_size = zlib.decompressobj(_GZIP), 0
        while not member.eof:
            pending = pending or read(_BLOCK_SIZE)
            block = member.decompress(pending, _INFLATED_SIZE)
            if not pending and not block and not member.eof:
                raise EOFError("the data ends inside a gzip member")
            pending, member_size = member.unconsumed_tail, member_size + len(block)
            if block:
                yield block
        # Some writers pad with zero bytes after the last member.
        pending = (member.unused_data or read(_BLOCK_SIZE)).lstrip(b"\0")
    if is_bgzip and member_size:
        raise EOFError("bgzip's end marker is missing")


def sequence_files(paths: Sequence[Path]) -> list[Path]:
    """The files named, and the FASTA and FASTQ files below the folders named, each once and in order.

    Raises:
        InputError: a folder without such files.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        endings = (".fa", ".fasta", ".fna", ".fq", ".fastq")
        found = [file for file in sorted(path.rglob("*")) if file.name.removesuffix(".gz").endswith(endings)]
        if not found:
            raise InputError(f"{path}: no FASTA or FASTQ files ({', '.join(endings)}, also .gz) in this folder")
        files.extend(found)
    return list(dict.fromkeys(files))
