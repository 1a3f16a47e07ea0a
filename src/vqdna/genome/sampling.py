"""Where windows may lie, and random draws by number.

Flow: PackedBases -> spans of a split Int[span, 2] -> intervals of eligible starts Int[interval, 2], whose windows hold
few enough N; and (key, index) -> a draw in [0, 1) without state. It must not know species weights or strands.
"""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from vqdna.genome.store import PackedBases

SPLITS = ("train", "evaluation", "all")

HELD_OUT_FRACTION = 0.05
LARGEST_HELD_OUT_CONTIG = 0.1
_BLOCKS_PER_SPECIES = 100
_FINGERPRINT_BASES = 64
_STEP, _FIRST_FACTOR, _SECOND_FACTOR, _64_BITS = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 2**64 - 1


def num_n_before(runs: Int[np.ndarray, "run 2"], positions: Int[np.ndarray, "place"]) -> Int[np.ndarray, "place"]:
    """Number of N at coordinates below each position."""
    if not len(runs):
        return np.zeros(len(positions), np.int64)
    lengths = runs[:, 1] - runs[:, 0]
    ends = np.cumsum(lengths)
    # Between run edges the count is flat or rises by one a base, so interpolation is exact (below 2**53).
    counts = np.stack([ends - lengths, ends], axis=1)
    before: Int[np.ndarray, "place"] = np.interp(positions, runs.ravel(), counts.ravel()).astype(np.int64)
    return before


def split_spans(
    packed: PackedBases, window: int, split: str, *, whole_contigs: bool = False
) -> Int[np.ndarray, "span 2"]:
    """Start and end of the spans that belong to `split`, in order; "train" and "evaluation" share no base.

    Each contig is cut into blocks of about a hundredth of its species, at least two windows; a contig shorter than
    that is one block, so a species of many contigs is held out by whole contigs. Blocks in the order of a hash of their
    content go to "evaluation" until it has a twentieth of the species. A block goes there only if a window fits
    and at most half of it is N, and "train" keeps at least one such block. No seed is involved.

    With `whole_contigs` the blocks are the contigs; those of more than a tenth of their species stay in "train", so a
    species of few large contigs has nothing held out.
    """
    # What is held out must not depend on the seed, else two runs on one genome could not be compared.
    edges = packed.contig_edges
    if split == "all":
        return np.stack([edges[:-1], edges[1:]], axis=1)
    parts = []
    for species in range(len(packed.species)):
        blocks = _contigs(packed, species) if whole_contigs else _blocks(packed, species, window)
        held_out = _held_out(packed, blocks, window, whole_contigs)
        parts.append(blocks[held_out] if split == "evaluation" else blocks[~held_out])
    return _merged(np.concatenate(parts), edges)


def eligible_starts(
    spans: Int[np.ndarray, "span 2"], runs: Int[np.ndarray, "run 2"], window: int, max_n: int
) -> Int[np.ndarray, "interval 2"]:
    """First and last-plus-one start of windows that lie in one span and hold at most `max_n` N, in order."""
    long_enough = spans[spans[:, 1] - spans[:, 0] >= window]
    starts = np.stack([long_enough[:, 0], long_enough[:, 1] - window + 1], axis=1)
    # Most spans of a real genome hold no N: all their starts are eligible, and only the others need a closer look.
    touches_n = np.searchsorted(runs[:, 0], long_enough[:, 1]) > np.searchsorted(runs[:, 1], long_enough[:, 0], "right")
    if not touches_n.any():
        return starts
    parts = [starts[~touches_n]] + [
        _few_n(begin, end, runs, window, max_n) for begin, end in starts[touches_n].tolist()
    ]
    intervals = np.concatenate(parts)
    return intervals[np.argsort(intervals[:, 0], kind="stable")]


def draw_key(seed: int, stream: int) -> int:
    """Key of an independent stream of draws."""
    return int(np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)[0])


def draw_bits(key: int, indices: Int[np.ndarray, "row"]) -> UInt64[np.ndarray, "row"]:
    """64 random bits for each index, a pure function of key and index.

    A generator with state would have to be run up to the index on resuming, and could not be shared by ranks.

    Reference: SplitMix64, Steele et al. 2014, "Fast splittable pseudorandom number generators".
    """
    bits = indices.astype(np.uint64) * np.uint64(_STEP) + np.uint64(key)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_FIRST_FACTOR)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_SECOND_FACTOR)
    return bits ^ (bits >> np.uint64(31))


def draw_bits_of_one(key: int, index: int) -> int:
    """What `draw_bits` gives for this index, without an array's cost."""
    bits = (index * _STEP + key) & _64_BITS
    bits = ((bits ^ (bits >> 30)) * _FIRST_FACTOR) & _64_BITS
    bits = ((bits ^ (bits >> 27)) * _SECOND_FACTOR) & _64_BITS
    return bits ^ (bits >> 31)


def as_fraction(bits: UInt64[np.ndarray, "row"]) -> Float[np.ndarray, "row"]:
    """The upper 53 bits as a number in [0, 1)."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _blocks(packed: PackedBases, species: int, window: int) -> Int[np.ndarray, "block 2"]:
    starts, ends = _contigs(packed, species).T
    # Two windows at least, or cutting would make most windows lie across an edge and be lost.
    size = max(int((ends - starts).sum()) // _BLOCKS_PER_SPECIES, 2 * window)
    counts = np.maximum((ends - starts + size // 2) // size, 1)
    contig = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(contig)) - np.repeat(np.cumsum(counts) - counts, counts)
    length, count = (ends - starts)[contig], counts[contig]
    blocks: Int[np.ndarray, "block 2"] = np.stack([length * place // count, length * (place + 1) // count], axis=1)
    blocks += starts[contig][:, None]
    return blocks


def _contigs(packed: PackedBases, species: int) -> Int[np.ndarray, "contig 2"]:
    contigs = np.flatnonzero(packed.contig_species == species)
    return np.stack([packed.contig_edges[contigs], packed.contig_edges[contigs + 1]], axis=1)


def _held_out(
    packed: PackedBases, blocks: Int[np.ndarray, "block 2"], window: int, whole_contigs: bool
) -> Bool[np.ndarray, "block"]:
    lengths = blocks[:, 1] - blocks[:, 0]
    num_n = num_n_before(packed.n_runs, blocks[:, 1]) - num_n_before(packed.n_runs, blocks[:, 0])
    is_candidate = (lengths >= window) & (2 * num_n <= lengths)
    if whole_contigs:
        is_candidate &= lengths <= LARGEST_HELD_OUT_CONTIG * lengths.sum()
    candidates = np.flatnonzero(is_candidate)
    # By a hash of the content, so that a genome added to the corpus leaves what is held out of the others as it was.
    order = sorted(candidates.tolist(), key=lambda block: (_fingerprint(packed, *blocks[block].tolist()), block))
    before = np.cumsum(lengths[order]) - lengths[order]
    # One candidate always stays in training.
    num_held_out = min(int((before < HELD_OUT_FRACTION * lengths.sum()).sum()), len(order) - 1)
    held_out = np.zeros(len(blocks), bool)
    held_out[order[: max(num_held_out, 0)]] = True
    return held_out


def _fingerprint(packed: PackedBases, start: int, end: int) -> bytes:
    content = packed.base_ids[start : min(start + _FINGERPRINT_BASES, end)].tobytes()
    return hashlib.blake2b(content + int(end - start).to_bytes(8, "little"), digest_size=8).digest()


def _merged(blocks: Int[np.ndarray, "block 2"], edges: Int[np.ndarray, "edge"]) -> Int[np.ndarray, "span 2"]:
    """Blocks that touch within a contig made one."""
    if not len(blocks):
        return blocks
    begins = np.append(True, (blocks[1:, 0] != blocks[:-1, 1]) | np.isin(blocks[1:, 0], edges))
    return np.stack([blocks[begins, 0], blocks[np.append(begins[1:], True), 1]], axis=1)


def _few_n(
    first: int, stop: int, runs: Int[np.ndarray, "run 2"], window: int, max_n: int
) -> Int[np.ndarray, "interval 2"]:
    """Starts in [first, stop) whose windows hold at most `max_n` N.

    As a function of its start, a window's number of N is linear with slope -1, 0 or 1 between the points where one of
    its ends meets an end of a run; so each piece is eligible wholly, not at all, or up to where the line meets `max_n`.
    """
    near = runs[np.searchsorted(runs[:, 1], first, "right") : np.searchsorted(runs[:, 0], stop + window)]
    points = np.unique(np.concatenate([[first, stop - 1], near.ravel(), near.ravel() - window]))
    points = points[(points >= first) & (points < stop)]
    counts = num_n_before(near, points + window) - num_n_before(near, points)
    left, right = points, np.append(points[1:], stop)
    # Room for further N in the window at the left end of each piece, and at its right end. Where one end has room and
    # the other has not, the line of slope 1 or -1 meets `max_n` exactly `room` bases from the end that has.
    left_room, right_room = max_n - counts, max_n - np.append(counts[1:], counts[-1])
    low = np.where(left_room >= 0, left, np.where(right_room >= 0, right - right_room, right))
    high = np.where(right_room >= 0, right, np.where(left_room >= 0, np.minimum(left + left_room + 1, right), left))
    intervals = np.stack([low, high], axis=1)
    return intervals[high > low]
