"""A genome laid against a close reference: which base stands where, and what differs.

Flow: reference [base], genome [base] -> runs of equal bases (edlib) -> what lies between them with affine gaps
(parasail) -> Alignment(place of each reference base) -> mutations. For genomes that are nearly the reference, such as
those of one virus: runs of 24 equal bases must survive. It must not know what a mutation means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqdna.errors import InputError
from vqdna.genome.bases import BASES, N, from_base_ids

ANCHOR_BASES = 24
DENSE_REACH, DENSE_DIFFERENCES = 50, 12
"""Equal lengths are one diagonal unless so many of so many neighboring bases differ, as behind a hidden indel."""

MAX_CELLS = 1 << 20
"""Largest span, in cells of the alignment matrix, that is aligned base by base; longer ones stay open."""

MATCH, MISMATCH, GAP_FIRST, GAP_NEXT = 1, -3, 5, 1
MISSING = -1
_MUTATION = re.compile(rf"([{BASES}])(\d+)([{BASES}-])")
_OPERATIONS = re.compile(r"(\d+)([=XID])")


Reference: TypeAlias = UInt8[np.ndarray, "base"]
Genome: TypeAlias = UInt8[np.ndarray, "other"]
Places: TypeAlias = Int[np.ndarray, "base"]
"""Place in the genome of each reference base, -1 where it has none."""

Flags: TypeAlias = Bool[np.ndarray, "base"]


class Anchor(NamedTuple):
    """Bases without a gap: the first in the reference, the first in the genome, and their number."""

    start: int
    other: int
    length: int

    @property
    def ends(self) -> tuple[int, int]:
        return self.start + self.length, self.other + self.length


@dataclass(frozen=True, order=True)
class Mutation:
    """One base of the reference, at a 0-based position, replaced by another, or lost: then `base` is `-`."""

    position: int
    reference: str
    base: str

    def __str__(self) -> str:
        """As the field writes it, counted from 1: `C23604A`, `A28271-`."""
        return f"{self.reference}{self.position + 1}{self.base}"

    @property
    def is_deletion(self) -> bool:
        return self.base == "-"


def parse_mutation(text: str) -> Mutation:
    """Mutation written as `C23604A` or `A28271-`.

    Raises:
        InputError: it is not written so.
    """
    found = _MUTATION.fullmatch(text)
    if found is None:
        raise InputError(f"mutation '{text}': expected base, place counted from 1, base or '-', such as C23604A")
    return Mutation(int(found[2]) - 1, found[1], found[3])


@dataclass(frozen=True, eq=False)
class Alignment:
    """A genome against its reference.

    Attributes:
        open: reference bases that could not be aligned, in contrast to those that are lost.
        num_inserted: bases of the genome between aligned ones that the reference has not.
        compared: share of the reference's bases that stand against a known base.
        identity: share of those that are equal to it.
    """

    places: Places
    open: Flags
    num_inserted: int
    compared: float
    identity: float


def align(reference: Reference, genome: Genome) -> Alignment:
    """Alignment of a genome with a close reference; of a foreign one hardly a base is aligned.

    What stands before the first run of equal bases and behind the last is aligned without gaps, as far as both reach.
    """
    if len(reference) != len(genome):
        return _with_gaps(reference, genome)
    diagonal = _described(reference, genome, *_diagonal(len(reference)))
    if not _has_dense_differences(reference, genome):
        return diagonal
    other = _with_gaps(reference, genome)

    def num_differences(found: Alignment) -> int:
        return len(mutations_of(reference, genome, found)) + found.num_inserted + int(found.open.sum())

    return min(diagonal, other, key=num_differences)


@lru_cache(maxsize=8)
def _diagonal(num_bases: int) -> tuple[Places, Flags]:
    """Places of a genome without gaps, and that nothing is open."""
    # Thousands of genomes are kept, most of them without a gap: they share these two arrays, which are read-only.
    places, is_open = np.arange(num_bases), np.zeros(num_bases, bool)
    places.flags.writeable = is_open.flags.writeable = False
    return places, is_open


def _with_gaps(reference: Reference, genome: Genome) -> Alignment:
    places = np.full(len(reference), MISSING, np.int64)
    is_open = np.ones(len(reference), bool)
    blocks = _blocks(reference, genome)
    for block in blocks:
        places[block.start : block.ends[0]] = np.arange(block.other, block.ends[1])
    for before, after in pairwise(blocks):
        start, other = before.ends
        found = _align_between(reference[start : after.start], genome[other : after.other])
        if found is not None:
            places[start : after.start] = np.where(found >= 0, found + other, MISSING)
            is_open[start : after.start] = False
    if blocks:
        first, other = blocks[0].start, blocks[0].other
        head = min(first, other)
        places[first - head : first] = np.arange(other - head, other)
        end, other_end = blocks[-1].ends
        tail = min(len(reference) - end, len(genome) - other_end)
        places[end : end + tail] = np.arange(other_end, other_end + tail)
    return _described(reference, genome, places, is_open & (places < 0))


def mutations_of(reference: Reference, genome: Genome, alignment: Alignment) -> list[Mutation]:
    """Substitutions and lost bases in order; N, and what could not be aligned, is no mutation."""
    aligned = alignment.places >= 0
    bases = np.full(len(reference), N, np.uint8)
    bases[aligned] = genome[alignment.places[aligned]]
    changed = aligned & (bases < N) & (reference < N) & (bases != reference)
    lost = ~aligned & ~alignment.open & (reference < N)
    letters, others = from_base_ids(reference), from_base_ids(bases)
    return [
        Mutation(place, letters[place], "-" if lost[place] else others[place])
        for place in np.flatnonzero(changed | lost).tolist()
    ]


def _has_dense_differences(reference: Reference, genome: Reference) -> bool:
    differs = (reference != genome) & (reference < N) & (genome < N)
    total = np.concatenate([[0], np.cumsum(differs)])
    reach = min(DENSE_REACH, len(differs))
    return bool((total[reach:] - total[:-reach] >= DENSE_DIFFERENCES).any()) if reach else False


def _blocks(reference: Reference, genome: Genome) -> list[Anchor]:
    """Runs of at least `ANCHOR_BASES` equal bases in one order; none of two foreign genomes."""
    blocks = _equal_runs(reference, genome, "NW")
    # Where an end of the genome is missing, an edit distance does not say where the bases before it belong: to spread
    # them over what is missing costs no more than to keep them together. So what lies outside the blocks is sought
    # once more, now with the reference free to begin and to end anywhere.
    if blocks:
        first, (end, other_end) = blocks[0], blocks[-1].ends
        head = _equal_runs(reference[: first.start], genome[: first.other], "HW")
        tail = _equal_runs(reference[end:], genome[other_end:], "HW")
        blocks = [*head, *blocks, *(Anchor(start + end, at + other_end, length) for start, at, length in tail)]
    return _without_overlaps(blocks, reference, genome)


def _equal_runs(reference: Reference, genome: Genome, mode: Literal["NW", "HW"]) -> list[Anchor]:
    """Long runs of equal bases on a way of the least edit distance; N is taken for whatever stands against it."""
    import edlib

    if min(len(reference), len(genome)) < ANCHOR_BASES:
        return []
    letters, others = from_base_ids(reference), from_base_ids(genome)
    equalities = [("N", base) for base in BASES]
    found = edlib.align(others, letters, mode=mode, task="path", additionalEqualities=equalities)
    places = _places(found["cigar"], len(reference), found["locations"][0][0])
    equal = np.zeros(len(reference), bool)
    aligned = places >= 0
    equal[aligned] = (genome[places[aligned]] == reference[aligned]) & (reference[aligned] < N)
    # A run ends where a base differs and where the diagonal changes; -len marks what belongs to no run.
    diagonal = np.where(equal, places - np.arange(len(reference)), -len(reference) - 1)
    edges = [0, *(np.flatnonzero(np.diff(diagonal)) + 1).tolist(), len(reference)]
    return [
        Anchor(start, int(places[start]), end - start)
        for start, end in pairwise(edges)
        if equal[start] and end - start >= ANCHOR_BASES
    ]


def _without_overlaps(blocks: list[Anchor], reference: Reference, genome: Genome) -> list[Anchor]:
    """The blocks, each as far to the right as its bases are equal, and cut off where the one before it reaches.

    Repeats on both sides of a gap leave its place open. So it always stands as far to the right as it can, which is
    the rule of the Human Genome Variation Society.
    """
    kept: list[Anchor] = []
    end = other_end = 0
    for start, other, length in blocks:
        overlap = max(0, end - start, other_end - other)
        if overlap >= length:
            continue
        start, other = start + overlap, other + overlap
        end, other_end = start + length - overlap, other + length - overlap
        while end < len(reference) and other_end < len(genome) and reference[end] == genome[other_end] < N:
            end, other_end = end + 1, other_end + 1
        kept.append(Anchor(start, other, end - start))
    return kept


def _align_between(reference: Reference, genome: Genome) -> Places | None:
    """Place of each reference base between two blocks, -1 where it is lost; None where it is too long to tell."""
    import parasail

    size, other = len(reference), len(genome)
    if size == other and not _has_dense_differences(reference, genome):
        return np.arange(size)
    if not size or not other:
        return np.full(size, MISSING, np.int64)
    if size * other > MAX_CELLS:
        return None
    letters, others = from_base_ids(reference), from_base_ids(genome)
    found = parasail.nw_trace_striped_32(others, letters, GAP_FIRST, GAP_NEXT, _score_matrix())
    return _places(found.cigar.decode.decode(), size, 0)


@cache
def _score_matrix() -> Any:
    """Scores of two bases; N stands against any base at no cost or gain."""
    import parasail

    scores = parasail.matrix_create(f"{BASES}N", MATCH, MISMATCH)
    for base in range(N + 1):
        scores[N, base] = scores[base, N] = 0
    return scores


def _places(cigar: str, num_bases: int, start: int) -> Places:
    """Place in the genome of each reference base by a CIGAR whose first operation is at `start` of the reference."""
    places = np.full(num_bases, MISSING, np.int64)
    place = 0
    for count, operation in ((int(count), operation) for count, operation in _OPERATIONS.findall(cigar)):
        if operation in "=X":
            places[start : start + count] = np.arange(place, place + count)
        start += 0 if operation == "I" else count
        place += 0 if operation == "D" else count
    return places


def _described(
    reference: Reference,
    genome: Genome,
    places: Places,
    is_open: Flags,
) -> Alignment:
    aligned = np.flatnonzero(places >= 0)
    used = places[aligned]
    known = aligned[(genome[used] < N) & (reference[aligned] < N)]
    equal = int((genome[places[known]] == reference[known]).sum())
    inserted = int(used[-1] - used[0] + 1 - len(used)) if len(used) else 0
    return Alignment(places, is_open, inserted, len(known) / max(len(reference), 1), equal / max(len(known), 1))
