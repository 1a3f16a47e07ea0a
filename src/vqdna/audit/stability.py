"""Whether DNA keeps its codes when it is read from another start, or from the other strand.

Flow: Windows and their codes -> the same bases read from a later start, or reverse complemented -> positions matched by
base span -> shares that agree, per level. Only positions whose whole context lies in both readings are counted.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Bool, Int

from vqdna.audit.information import chance_information, mutual_information, share_beyond_chance
from vqdna.audit.reading import CodedPositions, Read, joined, places_in
from vqdna.audit.results import Partner, ShiftAgreement, StrandAgreement, StrandRelation
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import reverse_complement

SHORTEST_MAX_SHIFT, LONGEST_MAX_SHIFT = 6, 12
NUM_SHUFFLES = 5


def shifts_for(bases_per_position: float) -> list[int]:
    """Shifts to try: 1 to the bases per position, at least to 6 and at most to 12."""
    return list(range(1, min(max(math.ceil(bases_per_position), SHORTEST_MAX_SHIFT), LONGEST_MAX_SHIFT) + 1))


def shift_stability(
    read: Read, windows: Windows, positions: CodedPositions, shifts: list[int], num_windows: int
) -> list[ShiftAgreement]:
    """For each shift, the share of positions that stand at the same bases with the same code, per level.

    Of the first `num_windows` windows; `positions` are the inner ones, read from the start of a window.
    """
    used = positions[positions.window < num_windows]
    records = []
    for shift in shifts:
        moved = read(windows.base_ids[:num_windows, shift:])
        moved = CodedPositions(moved.window, moved.start + shift, moved.end + shift, moved.codes)
        # What was context at the old start is partly cut off at the new one, so counting begins `shift` bases later.
        counted = used.between(windows.margin + shift, windows.size - windows.margin)
        place, same = counted.agreement(moved, windows.size)
        columns = {name: _share(column) for name, column in same.items()}
        records.append(ShiftAgreement(shift=shift, aligned_fraction=_share(place >= 0), columns=columns))
    return records


def reverse_complement_stability(
    read: Read, windows: Windows, positions: CodedPositions
) -> tuple[StrandAgreement, list[dict[int, Partner]]]:
    """How codes of the other strand relate to the codes of this one, and the partner of each code, per level.

    `same_code`: the position at the same bases of the other strand has the very same code. `partner_consistency`: it
    has the code that most often stands there, as learned on half of the windows and counted on the other half; codes
    that the first half does not hold count as wrong. `normalized_information`: mutual information between the strands'
    codes above that of shuffled pairs, over the codes' entropy. Positions without one at the same bases of the other
    strand count against all three.
    """
    size = _mirrored_size(positions, windows.size)
    other = read(reverse_complement(windows.base_ids[:, :size]))
    # A span of the other strand, in places of this one: its last base comes first, and so do the last positions.
    order = np.lexsort((size - other.end, other.window))
    mirrored = CodedPositions(other.window, size - other.end, size - other.start, other.codes)[order]
    counted = positions.between(windows.margin, size - windows.margin)
    place, same = counted.agreement(mirrored, windows.size)
    here, there = counted[place >= 0], mirrored[place[place >= 0]]
    aligned = _share(place >= 0)
    relations, partners = {}, []
    # Both strands in one list, so that a combination of levels gets the same number on either.
    both = joined([here, there], here.codes.shape[1])
    for name, column in both.columns().items():
        ours, theirs = column[: len(here)], column[len(here) :]
        consistency = _held_out_consistency(ours, theirs, here.window)
        information = _normalized_information(ours, theirs)
        relations[name] = StrandRelation(
            same_code=_share(same[name]),
            partner_consistency=None if consistency is None else aligned * consistency,
            normalized_information=None if information is None else aligned * information,
        )
        partners.append(best_partners(ours, theirs))
    return StrandAgreement(aligned_fraction=aligned, columns=relations), partners


def best_partners(ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"]) -> dict[int, Partner]:
    """For each code of this strand the code most often opposite it, and the share of its positions that has it."""
    if not len(ours):
        return {}
    width = int(max(ours.max(), theirs.max())) + 1
    pairs, counts = np.unique(ours * width + theirs, return_counts=True)
    code, partner = pairs // width, pairs % width
    # Within each code the most frequent partner first, of equals the lowest; `first` then points at the best.
    order = np.lexsort((partner, -counts, code))
    code, partner, counts = code[order], partner[order], counts[order]
    kinds, first = np.unique(code, return_index=True)
    shares = counts[first] / np.add.reduceat(counts, first)
    found = zip(kinds.tolist(), partner[first].tolist(), shares.tolist())
    return {code: Partner(code=partner, share=share) for code, partner, share in found}


def _normalized_information(ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"]) -> float | None:
    """Information between the strands over their entropy, both beyond chance; None where nothing was aligned."""
    if not len(ours):
        return None
    null = chance_information(ours, theirs, np.random.default_rng(0), NUM_SHUFFLES)
    entropy = max(mutual_information(ours, ours), mutual_information(theirs, theirs))
    return share_beyond_chance(mutual_information(ours, theirs), null, entropy)


def _held_out_consistency(
    ours: Int[np.ndarray, "position"], theirs: Int[np.ndarray, "position"], window: Int[np.ndarray, "position"]
) -> float | None:
    """Share of positions in odd windows that have the partner learned from even ones; None where either has none."""
    test = window % 2 == 1
    partners = best_partners(ours[~test], theirs[~test])
    if not partners or not test.any():
        return None
    known = np.array(sorted(partners))
    partner = np.array([partners[code].code for code in known.tolist()])
    place = places_in(ours[test], known)
    return float(((place >= 0) & (partner[place] == theirs[test])).mean())


def _share(flags: Bool[np.ndarray, "position"]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _mirrored_size(positions: CodedPositions, size: int) -> int:
    """Longest beginning of a window on which a regular grid of positions meets that of the other strand.

    A grid of step s and span w, mirrored in n bases, falls on itself where s divides n - w; of any other window the
    last bases are left out. Tokens of changing size have no grid: they meet where they happen to.
    """
    steps = np.diff(positions.start)[np.diff(positions.window) == 0]
    if not len(steps) or (steps != steps[0]).any():
        return size
    first, last = int(positions.start[0]), int(positions.end[0])
    offset = first % int(steps[0])
    return size - (size - offset - (last - first) - offset) % int(steps[0])
