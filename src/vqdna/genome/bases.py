"""Base ids: the one numeric form of DNA (A C G T = 0..3, N = 4), and the one way from text to it and back.

Flow: text -> table look-up, one byte a letter -> base_ids UInt8[base]. Lower case counts as upper case, U as T, the
other IUPAC ambiguity codes as N (and are counted). Gaps are an error unless dropped; anything else is an error.
It must not know files, records or line numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError

BASES = "ACGT"
N = 4
IUPAC_CODES = "RYSWKMBDHV"
GAPS = "-.*"

Gaps = Literal["error", "drop"]

_AMBIGUOUS, _GAP, _UNKNOWN = 5, 6, 7
# Small enough for the looked-up bytes to stay in cache until they are copied out: 1.3x faster than one call on 100 Mb.
_LOOK_UP_SIZE = 1 << 17


def _code_of_byte() -> bytes:
    """256-entry table from a character to its base id, or to one of the codes above N that need a second look."""
    table = bytearray([_UNKNOWN] * 256)
    letters = dict(zip(BASES, range(4))) | {"U": 3, "N": N} | dict.fromkeys(IUPAC_CODES, _AMBIGUOUS)
    for letter, code in letters.items():
        table[ord(letter)] = table[ord(letter.lower())] = code
    for gap in GAPS:
        table[ord(gap)] = _GAP
    return bytes(table)


_CODE_OF_BYTE = _code_of_byte()
_LETTER_OF_ID = bytes((BASES + "N").encode().ljust(256, b"?"))


class UnknownBaseError(InputError):
    """A character that stands for no base; `character` and its 0-based `offset` say which and where."""

    def __init__(self, character: str, offset: int) -> None:
        self.character = character
        self.offset = offset
        super().__init__(f"{character!r} at offset {offset} is no base; {self.wanted}")

    @property
    def is_gap(self) -> bool:
        """Whether dropping gaps would mend this."""
        return self.character in GAPS

    @property
    def wanted(self) -> str:
        """What should have stood there, as the end of an error message."""
        if self.is_gap:
            return "gaps are an error unless dropped (--gaps drop)"
        return f"wanted one of {' '.join(BASES)} U N or an ambiguity code ({IUPAC_CODES})"


@dataclass(frozen=True, eq=False, slots=True)
class EncodedText:
    """Base ids of a text, and how many of its letters were IUPAC ambiguity codes other than N."""

    base_ids: UInt8[np.ndarray, "base"]
    num_ambiguous: int


def to_base_ids(text: bytes | str, *, gaps: Gaps = "error") -> EncodedText:
    """Base id of every letter of `text`, in a new writable array.

    Args:
        text: letters only; line ends must be gone already.
        gaps: "drop" leaves out `-`, `.` and `*`; "error" refuses them.

    Raises:
        UnknownBaseError: a character is no nucleotide letter, or is a gap; it names the first one.
    """
    # "?" stands for no base, so a character outside ASCII is refused at its own offset.
    raw = text.encode("ascii", "replace") if isinstance(text, str) else bytes(text)
    codes = _look_up(raw)
    highest = np.maximum.reduce(codes, initial=0)
    if highest <= N:
        return EncodedText(codes, 0)
    if highest > _AMBIGUOUS:
        codes = _without_gaps(codes, text, gaps)
    num_ambiguous = int(np.count_nonzero(codes == _AMBIGUOUS))
    return EncodedText(np.minimum(codes, N, out=codes), num_ambiguous)


def from_base_ids(base_ids: UInt8[np.ndarray, "base"]) -> str:
    """Upper-case text of `base_ids`; the inverse of `to_base_ids` for text in A C G T N."""
    base_ids = np.asarray(base_ids, dtype=np.uint8)
    if base_ids.max(initial=0) > N:
        raise ValueError(f"base id {base_ids.max()} is out of range 0..{N}")
    return base_ids.tobytes().translate(_LETTER_OF_ID).decode("ascii")


def reverse_complement(base_ids: UInt8[np.ndarray, "*batch base"]) -> UInt8[np.ndarray, "*batch base"]:
    """The other strand, read 5' to 3': last axis reversed, A <-> T, C <-> G, N stays N; a new array."""
    complement = np.asarray(base_ids, dtype=np.uint8) ^ 3  # 0 <-> 3, 1 <-> 2, and N = 4 becomes 7
    np.minimum(complement, N, out=complement)
    return np.ascontiguousarray(complement[..., ::-1])


def _look_up(raw: bytes) -> UInt8[np.ndarray, "letter"]:
    if len(raw) <= _LOOK_UP_SIZE:
        return np.frombuffer(bytearray(raw).translate(_CODE_OF_BYTE), np.uint8)
    codes = np.empty(len(raw), np.uint8)
    for start in range(0, len(raw), _LOOK_UP_SIZE):
        part = raw[start : start + _LOOK_UP_SIZE].translate(_CODE_OF_BYTE)
        codes[start : start + len(part)] = np.frombuffer(part, np.uint8)
    return codes


def _without_gaps(codes: UInt8[np.ndarray, "letter"], text: bytes | str, gaps: Gaps) -> UInt8[np.ndarray, "base"]:
    refused = codes >= (_UNKNOWN if gaps == "drop" else _GAP)
    if refused.any():
        offset = int(refused.argmax())
        character = text[offset]
        raise UnknownBaseError(character if isinstance(character, str) else chr(character), offset)
    kept: UInt8[np.ndarray, "base"] = codes[codes != _GAP]
    return kept
