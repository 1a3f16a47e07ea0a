"""A genome laid against a close reference: which base stands where, and what differs.

Flow: reference [base], genome [base] -> shared unique words -> the longest chain in one order -> what lies between,
base by base -> Alignment(place of each reference base) -> mutations. For genomes that are nearly the reference, such
as those of one virus: words of 24 bases must survive. It must not know what a mutation means.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqdna.errors import InputError
from vqdna.genome.bases import BASES, N, from_base_ids

ANCHOR_BASES = 24
DENSE_REACH, DENSE_DIFFERENCES = 50, 12
"""Equal lengths are one diagonal unless so many of so many neighboring bases differ, as behind a hidden indel."""

MAX_CELLS = 1 << 20
"""Largest stretch, in cells of the alignment matrix, that is aligned base by base; longer ones stay open."""

MISMATCH, GAP_OPEN, GAP = -3, -4, -1
MISSING = -1
_MUTATION = re.compile(rf"([{BASES}])(\d+)([{BASES}-])")


@dataclass(frozen=True, order=True)
class Mutation:
    """One base of the reference replaced by another, or lost.

    Attributes:
        position: 0-based in the reference.
        reference: base of the reference.
        base: what stands there instead; `-` for nothing.
    """

    position: int
    reference: str
    base: str

    def __str__(self) -> str:
        """As the field writes it, counted from 1: `C23604A`, `A28271-`."""
        return f"{self.reference}{self.position + 1}{self.base}"

    @property
    def is_deletion(self) -> bool:
        """Whether the base is lost."""
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
        places: place in the genome of each reference base; -1 where it has none.
        open: reference bases that could not be aligned, in contrast to those that are lost.
        num_inserted: bases of the genome between aligned ones that the reference has not.
        compared: share of the reference's bases that stand against a known base.
        identity: share of those that are equal to it.
    """

    places: Int[np.ndarray, "base"]
    open: Bool[np.ndarray, "base"]
    num_inserted: int
    compared: float
    identity: float


def align(reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"]) -> Alignment:
    """Alignment of a genome with a close reference; of a foreign one hardly a base is aligned.

    What stands before the first shared word and behind the last is aligned without gaps, as far as both reach.
    """
    if len(reference) != len(genome):
        return _with_gaps(reference, genome)
    diagonal = _described(reference, genome, *_diagonal(len(reference)))
    if not _has_dense_differences(reference, genome):
        return diagonal
    other = _with_gaps(reference, genome)
    return min(diagonal, other, key=lambda found: _num_differences(reference, genome, found))


@lru_cache(maxsize=8)
def _diagonal(num_bases: int) -> tuple[Int[np.ndarray, "base"], Bool[np.ndarray, "base"]]:
    """Places of a genome without gaps, and that nothing is open; all such genomes share them, read-only."""
    places, is_open = np.arange(num_bases), np.zeros(num_bases, bool)
    places.flags.writeable = is_open.flags.writeable = False
    return places, is_open


def _with_gaps(reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"]) -> Alignment:
    """Shared words in one order, and what lies between them base by base."""
    places = np.full(len(reference), MISSING, np.int64)
    is_open = np.ones(len(reference), bool)
    blocks = _blocks(*_chain(*_shared_words(reference, genome)))
    for start, other, length in blocks:
        places[start : start + length] = np.arange(other, other + length)
    for start, end, other, other_end in _between(blocks):
        found = _align_stretch(reference[start:end], genome[other:other_end])
        if found is not None:
            places[start:end] = np.where(found >= 0, found + other, MISSING)
            is_open[start:end] = False
    if blocks:
        _extend_ends(places, blocks, len(genome))
    return _described(reference, genome, places, is_open & (places < 0))


def mutations_of(
    reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"], alignment: Alignment
) -> list[Mutation]:
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


def _num_differences(
    reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"], alignment: Alignment
) -> int:
    """Bases changed, lost, gained, or left open."""
    return len(mutations_of(reference, genome, alignment)) + alignment.num_inserted + int(alignment.open.sum())


def _has_dense_differences(reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "base"]) -> bool:
    differs = (reference != genome) & (reference < N) & (genome < N)
    total = np.concatenate([[0], np.cumsum(differs)])
    reach = min(DENSE_REACH, len(differs))
    return bool((total[reach:] - total[:-reach] >= DENSE_DIFFERENCES).any()) if reach else False


def _words(base_ids: UInt8[np.ndarray, "base"]) -> tuple[Int[np.ndarray, "word"], Int[np.ndarray, "word"]]:
    """Words of `ANCHOR_BASES` bases that occur once, as base-4 numbers in order, and where each starts."""
    count = len(base_ids) - ANCHOR_BASES + 1
    if count <= 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    numbers, known = np.zeros(count, np.int64), np.ones(count, bool)
    for place in range(ANCHOR_BASES):
        bases = base_ids[place : place + count]
        numbers = numbers * 4 + bases
        known &= bases < N
    starts = np.flatnonzero(known)
    words, first, counts = np.unique(numbers[starts], return_index=True, return_counts=True)
    return words[counts == 1], starts[first[counts == 1]]


def _shared_words(
    reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"]
) -> tuple[Int[np.ndarray, "word"], Int[np.ndarray, "word"]]:
    """Starts of the words that both have once, in the order of the reference."""
    words, starts = _words(reference)
    others, other_starts = _words(genome)
    _, mine, theirs = np.intersect1d(words, others, assume_unique=True, return_indices=True)
    order = np.argsort(starts[mine], kind="stable")
    return starts[mine][order], other_starts[theirs][order]


def _chain(
    starts: Int[np.ndarray, "word"], others: Int[np.ndarray, "word"]
) -> tuple[Int[np.ndarray, "kept"], Int[np.ndarray, "kept"]]:
    """The longest subsequence in which both places rise (patience sorting)."""
    tops: list[int] = []
    top_words: list[int] = []
    before = np.full(len(starts), MISSING, np.int64)
    for word, other in enumerate(others.tolist()):
        pile = bisect_left(tops, other)
        before[word] = top_words[pile - 1] if pile else MISSING
        tops[pile : pile + 1], top_words[pile : pile + 1] = [other], [word]
    kept: list[int] = []
    word = top_words[-1] if top_words else MISSING
    while word >= 0:
        kept.append(word)
        word = int(before[word])
    chosen = np.array(kept[::-1], np.int64)
    return starts[chosen], others[chosen]


def _blocks(starts: Int[np.ndarray, "word"], others: Int[np.ndarray, "word"]) -> list[tuple[int, int, int]]:
    """Stretches without a gap (start, start in the genome, bases), from words that overlap on one diagonal.

    Overlaps with the block before, which repeats on both sides of a gap bring, are cut off.
    """
    blocks: list[tuple[int, int, int]] = []
    end = other_end = 0
    for start, other in zip(starts.tolist(), others.tolist()):
        if blocks and start - blocks[-1][0] == other - blocks[-1][1] and start <= end:
            blocks[-1] = (blocks[-1][0], blocks[-1][1], start + ANCHOR_BASES - blocks[-1][0])
        else:
            overlap = max(0, end - start, other_end - other)
            if overlap >= ANCHOR_BASES:
                continue
            blocks.append((start + overlap, other + overlap, ANCHOR_BASES - overlap))
        end, other_end = blocks[-1][0] + blocks[-1][2], blocks[-1][1] + blocks[-1][2]
    return blocks


def _between(blocks: list[tuple[int, int, int]]) -> list[tuple[int, int, int, int]]:
    """What lies between neighboring blocks: start and end in the reference, then in the genome."""
    return [
        (start + length, following, other + length, other_following)
        for (start, other, length), (following, other_following, _) in pairwise(blocks)
    ]


def _extend_ends(places: Int[np.ndarray, "base"], blocks: list[tuple[int, int, int]], num_bases: int) -> None:
    """Lays what stands before the first block and behind the last on their diagonals."""
    start, other, _ = blocks[0]
    before = min(start, other)
    places[start - before : start] = np.arange(other - before, other)
    last, last_other, length = blocks[-1]
    behind = min(len(places) - last - length, num_bases - last_other - length)
    places[last + length : last + length + behind] = np.arange(last_other + length, last_other + length + behind)


def _align_stretch(
    reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"]
) -> Int[np.ndarray, "base"] | None:
    """Place of each reference base in a short stretch, -1 where it is lost; None where it is too long to tell."""
    size, other = len(reference), len(genome)
    if size == other and not _has_dense_differences(reference, genome):
        return np.arange(size)
    if not size or not other:
        return np.full(size, MISSING, np.int64)
    return _best_path(reference, genome) if size * other <= MAX_CELLS else None


def _best_path(reference: UInt8[np.ndarray, "base"], genome: UInt8[np.ndarray, "other"]) -> Int[np.ndarray, "base"]:
    """Global alignment with affine gaps, traced back from the end. N stands against any base at no cost or gain.

    Reference: Gotoh 1982, "An improved algorithm for matching biological sequences".
    """
    size, other = len(reference), len(genome)
    unknown = (reference[:, None] >= N) | (genome >= N)
    pair = np.where(unknown, 0, np.where(reference[:, None] == genome, 1, MISMATCH))
    low = -(10**9)
    best = [[low] * (other + 1) for _ in range(size + 1)]
    lost = [[low] * (other + 1) for _ in range(size + 1)]
    gained = [[low] * (other + 1) for _ in range(size + 1)]
    best[0][0] = 0
    for row in range(size + 1):
        for column in range(other + 1):
            if row:
                lost[row][column] = max(best[row - 1][column] + GAP_OPEN, lost[row - 1][column]) + GAP
            if column:
                gained[row][column] = max(best[row][column - 1] + GAP_OPEN, gained[row][column - 1]) + GAP
            through = (
                best[row - 1][column - 1] + int(pair[row - 1, column - 1]) if row and column else best[row][column]
            )
            best[row][column] = max(through, lost[row][column], gained[row][column])
    return _trace_back(best, lost, gained, pair)


def _trace_back(
    best: list[list[int]], lost: list[list[int]], gained: list[list[int]], pair: Int[np.ndarray, "base other"]
) -> Int[np.ndarray, "base"]:
    row, column = pair.shape
    places = np.full(row, MISSING, np.int64)
    table = best
    while row or column:
        if table is best:
            if row and column and best[row][column] == best[row - 1][column - 1] + pair[row - 1, column - 1]:
                row, column = row - 1, column - 1
                places[row] = column
            else:
                table = lost if best[row][column] == lost[row][column] else gained
        elif table is lost:
            row -= 1
            table = lost if lost[row + 1][column] == lost[row][column] + GAP else best
        else:
            column -= 1
            table = gained if gained[row][column + 1] == gained[row][column] + GAP else best
    return places


def _described(
    reference: UInt8[np.ndarray, "base"],
    genome: UInt8[np.ndarray, "other"],
    places: Int[np.ndarray, "base"],
    is_open: Bool[np.ndarray, "base"],
) -> Alignment:
    aligned = np.flatnonzero(places >= 0)
    used = places[aligned]
    known = aligned[(genome[used] < N) & (reference[aligned] < N)]
    equal = int((genome[places[known]] == reference[known]).sum())
    inserted = int(used[-1] - used[0] + 1 - len(used)) if len(used) else 0
    return Alignment(places, is_open, inserted, len(known) / max(len(reference), 1), equal / max(len(known), 1))
