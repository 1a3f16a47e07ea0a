"""What callers of the public functions may give as sequences.

Flow: a str, an array of base ids, a record, or many of them -> Named(place, base_ids), one after another; `place` is
what messages call the sequence. Nothing is read from files here. It must not know models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vqdna.errors import InputError
from vqdna.genome.bases import N, UnknownBaseError, to_base_ids
from vqdna.genome.sequences import Sequence as Record
from vqdna.inference.regions import Piece

Bases = UInt8[ndarray, "_"]
Sequences = str | Record | ndarray | Iterable[Any]
"""One sequence (a str, a 1-D array of base ids, a record of `read_sequences`), or an iterable of such sequences."""

SEQUENCES_AT_A_TIME = 4096

EXPECTED = "expected text, an array of base ids, a record of read_sequences, or several of these"


@dataclass(frozen=True, eq=False)
class Named:
    """A sequence and what messages call it."""

    place: str
    base_ids: Bases


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
