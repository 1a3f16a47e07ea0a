"""Whether a stretch of DNA keeps its codes when it is read from another start, or from the other strand.

Flow: Windows and their codes -> the same bases read from a later start, or reverse complemented -> positions matched by
base span -> shares that agree, per level. Only positions whose whole context lies in both readings are counted.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from vqdna.audit.information import mutual_information
from vqdna.audit.reading import CodedPositions, CodeReader, joined, places_in
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import reverse_complement

SHORTEST_MAX_SHIFT, LONGEST_MAX_SHIFT = 6, 12
NUM_SHUFFLES = 5


def shifts_for(bases_per_position: float) -> list[int]:
    """Shifts to try: 1 to the bases per position, at least to 6 and at most to 12."""
    return list(range(1, min(max(math.ceil(bases_per_position), SHORTEST_MAX_SHIFT), LONGEST_MAX_SHIFT) + 1))


def shift_stability(
    reader: CodeReader, windows: Windows, positions: CodedPositions, shifts: list[int], num_windows: int
) -> list[dict[str, Any]]:
    """For each shift, the share of positions that stand at the same bases with the same code, per level.

    Args:
        reader: of the tokenizer.
        windows: the audit's windows.
        positions: their inner positions, read from the window's start.
        shifts: bases left out at the window's start.
        num_windows: windows to use, the first ones.
    """
    used = positions[positions.window < num_windows]
    records = []
    for shift in shifts:
        moved = reader.read(windows.base_ids[:num_windows, shift:])
        moved = CodedPositions(moved.window, moved.start + shift, moved.end + shift, moved.codes)
        counted = used.between(windows.margin + shift, windows.size - windows.margin)
        records.append({"shift": shift, **_agreement(counted, moved, windows.size)})
    return records


def reverse_complement_stability(
    reader: CodeReader, windows: Windows, positions: CodedPositions
) -> tuple[dict[str, Any], list[dict[int, tuple[int, float]]]]:
    """How codes of the other strand relate to the codes of this one, and the partner of each code, per level.

    `same_code`: the position at the same bases of the other strand has the very same code. `partner_consistency`: it
    has the code that most often stands there, as learned on half of the windows and counted on the other half; codes
    that the first half does not hold count as wrong. `normalized_information`: mutual information between the strands'
    codes above that of shuffled pairs, over the codes' entropy. Positions without one at the same bases of the other
    strand count against all three.
    """
    size = _mirrored_size(positions, windows.size)
    other = reader.read(reverse_complement(windows.base_ids[:, :size]))
    order = np.lexsort((size - other.end, other.window))
    mirrored = CodedPositions(other.window, size - other.end, size - other.start, other.codes)[order]
    counted = positions.between(windows.margin, size - windows.margin)
    place = places_in(counted.keys(windows.size), mirrored.keys(windows.size))
    here, there = counted[place >= 0], mirrored[place[place >= 0]]
    agreement = _agreement(counted, mirrored, windows.size)
    records, partners = {}, []
    both = joined([here, there], here.codes.shape[1])
    for name, column in zip(both.column_names(), both.columns()):
        ours, theirs = column[: len(here)], column[len(here) :]
        relation = _relation(ours, theirs, here.window)
        aligned = agreement["aligned_fraction"]
        records[name] = {
            "same_code": agreement["columns"][name],
            **{key: None if value is None else aligned * value for key, value in relation.items()},
        }
        partners.append(best_partners(ours, theirs))
    return {"aligned_fraction": agreement["aligned_fraction"], "columns": records}, partners


def best_partners(
    ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"]
) -> dict[int, tuple[int, float]]:
    """For each code of this strand the code most often opposite it, and the share of its positions that has it."""
    if not len(ours):
        return {}
    width = int(max(ours.max(), theirs.max())) + 1
    pairs, counts = np.unique(ours * width + theirs, return_counts=True)
    code, partner = pairs // width, pairs % width
    order = np.lexsort((partner, -counts, code))
    code, partner, counts = code[order], partner[order], counts[order]
    kinds, first = np.unique(code, return_index=True)
    totals = np.add.reduceat(counts, first)
    shares = counts[first] / totals
    return {int(c): (int(p), float(s)) for c, p, s in zip(kinds, partner[first], shares)}


def _relation(
    ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"], window: Int[np.ndarray, "position"]
) -> dict[str, float | None]:
    """Consistency of the best partners and information between the strands; None where nothing was aligned."""
    if not len(ours):
        return {"partner_consistency": None, "normalized_information": None}
    random = np.random.default_rng(0)
    bits = mutual_information(ours, theirs)
    null = float(np.mean([mutual_information(ours, random.permutation(theirs)) for _ in range(NUM_SHUFFLES)]))
    entropy = max(mutual_information(ours, ours), mutual_information(theirs, theirs))
    room = entropy - null
    return {
        "partner_consistency": _held_out_consistency(ours, theirs, window % 2 == 1),
        "normalized_information": float(max(0.0, bits - null) / room) if room > 1e-9 else 0.0,
    }


def _held_out_consistency(
    ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"], test: Bool[np.ndarray, "position"]
) -> float | None:
    partners = best_partners(ours[~test], theirs[~test])
    if not partners or not test.any():
        return None
    known = np.array(sorted(partners))
    partner = np.array([partners[code][0] for code in known.tolist()])
    place = places_in(ours[test], known)
    return float(((place >= 0) & (partner[place] == theirs[test])).mean())


def _agreement(counted: CodedPositions, other: CodedPositions, size: int) -> dict[str, Any]:
    """Share of positions with the same span in the other reading, and with the same code there, per level."""
    place = places_in(counted.keys(size), other.keys(size))
    aligned = place >= 0
    same: Bool[np.ndarray, "position level"] = (other.codes[place] == counted.codes) & aligned[:, None]
    columns = [*same.T, same.all(axis=1)] if same.shape[1] > 1 else [*same.T]
    shares: Float[np.ndarray, "column"] = np.array([column.mean() if len(column) else 0.0 for column in columns])
    return {
        "aligned_fraction": float(aligned.mean()) if len(aligned) else 0.0,
        "columns": dict(zip(counted.column_names(), shares.tolist())),
    }


def _mirrored_size(positions: CodedPositions, size: int) -> int:
    """Longest beginning of a window on which a regular grid of positions meets that of the other strand."""
    steps = np.diff(positions.start)[np.diff(positions.window) == 0]
    if not len(steps) or (steps != steps[0]).any():
        return size
    first, last = int(positions.start[0]), int(positions.end[0])
    offset = first % int(steps[0])
    return size - (size - offset - (last - first) - offset) % int(steps[0])
