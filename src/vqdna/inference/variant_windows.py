"""Windows of a genome without and with each variant.

Flow: variants + FASTA -> Pair(ref, alt) of windows around each, one sequence of the genome at a time. Both windows have
the same bases before and behind the variant. It must not know models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome import from_base_ids, read_sequences, to_base_ids
from vqdna.genome.streams import stream_name
from vqdna.genome.vcf import Variant

Bases = UInt8[ndarray, "_"]

MISMATCHES = ("error", "skip")
"""What may be done where the genome does not have a REF."""

VARIANTS_AT_A_TIME = 512
BASES_AT_A_TIME = 1 << 24
"""Of all windows that are held together."""

SHOWN = 40
"""Bases of a message."""

GO_ON = " (`--mismatches skip` leaves it out)"


@dataclass(frozen=True, eq=False)
class Pair:
    """A variant and the same window of the genome without and with it.

    Attributes:
        row: number of the variant.
        variant: what the windows are of.
        offset: bases of a window before the variant.
        ref: the genome's bases.
        alt: the same with the alternate.
    """

    row: int
    variant: Variant
    offset: int
    ref: Bases
    alt: Bases


def variant_pairs(
    variants: Sequence[Variant],
    source: str,
    genome: Path,
    window: int,
    mismatches: str = "error",
    advance: Callable[[int], None] = lambda count: None,
) -> Iterator[list[Pair]]:
    """Pairs of windows, some hundred of one sequence at a time; the genome's sequences are held one by one.

    Left out are alternates that are not spelled out, and those longer than the window.

    Args:
        variants: their number in this order is a pair's `row`.
        source: file that they are from, for messages.
        genome: FASTA.
        window: bases of the genome around each variant, fewer at the end of a sequence.
        mismatches: "error", or "skip" to leave out a variant whose REF the genome does not have.
        advance: is told how many variants are done.

    Raises:
        InputError: the genome cannot be read, or does not have a sequence or a REF, and that is not to be skipped.
    """
    rows: dict[str, list[int]] = {}
    for row, variant in enumerate(variants):
        rows.setdefault(variant.sequence, []).append(row)
    at_a_time, names = max(1, min(VARIANTS_AT_A_TIME, BASES_AT_A_TIME // (2 * window))), []
    for record in read_sequences(genome):
        names.append(record.name)
        own = rows.pop(record.name, [])
        for chosen in (own[first : first + at_a_time] for first in range(0, len(own), at_a_time)):
            made = [_pair(row, variants[row], record.base_ids, source, window, mismatches) for row in chosen]
            pairs = [pair for pair in made if pair is not None]
            if pairs:
                yield pairs
            advance(len(chosen))
    if rows and mismatches == "error":
        name, lost = next(iter(rows.items()))
        place = f"{stream_name(source)}:{variants[lost[0]].line}"
        raise InputError(f"{place}: {genome} has no sequence '{name}'{_name_hint(name, names)}{GO_ON}")


def _name_hint(name: str, names: Sequence[str]) -> str:
    """The name that may be meant; assemblies differ in whether it begins with `chr`."""
    other = name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"
    return f"; did you mean '{other}'?" if other in names else nearest_name_hint(name, names)


def _pair(row: int, variant: Variant, bases: Bases, source: str, window: int, mismatches: str) -> Pair | None:
    """The variant's windows; None where it is left out.

    Raises:
        InputError: the sequence does not have its REF, and that is not to be skipped.
    """
    fault = _mismatch(variant, bases)
    if fault and mismatches == "error":
        raise InputError(f"{stream_name(source)}:{variant.line}: {fault}; another assembly?{GO_ON}")
    if fault or not variant.is_spelled_out or max(len(variant.ref), len(variant.alt)) > window:
        return None
    start = max(0, (variant.start + variant.end - window) // 2)
    before = bases[start : variant.start]
    behind = bases[variant.end : max(start + window, variant.end)]
    ref, alt = (
        np.concatenate([before, to_base_ids(letters).base_ids, behind]) for letters in (variant.ref, variant.alt)
    )
    return Pair(row, variant, len(before), ref, alt)


def _mismatch(variant: Variant, bases: Bases) -> str:
    """How REF differs from the sequence's bases; nothing where it does not."""
    if variant.end > len(bases):
        return f"REF ends at {variant.end}, and '{variant.sequence}' has {len(bases)} bases"
    there = bases[variant.start : variant.end]
    if np.array_equal(to_base_ids(variant.ref).base_ids, there):
        return ""
    shown = from_base_ids(there[:SHOWN])
    return f"REF is '{variant.ref[:SHOWN]}', and '{variant.sequence}' has '{shown}' at {variant.start + 1}"
