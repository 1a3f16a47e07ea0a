"""Whether a single changed base shows in the codes, how many codes it changes, and how far away.

Flow: Windows -> places of single-base changes -> pieces of the window around each, as they are and changed -> changed
codes per level, by distance. Positions are matched by base span, so a tokenizer whose tokens move (BPE) counts every
position that the change moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqdna.audit.reading import Read
from vqdna.audit.results import ChangeResponse, Sensitivity, whole
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import N

CHANGES_PER_WINDOW = 4
MAX_CHANGES = 4096


@dataclass(frozen=True, eq=False)
class Changes:
    """Pieces of windows with one base changed.

    Attributes:
        place: changed base of each piece.
        changed: the pieces with that base replaced by one of the other three.
    """

    pieces: UInt8[np.ndarray, "change base"]
    place: Int[np.ndarray, "change"]
    changed: UInt8[np.ndarray, "change base"]


def sensitivity_of(read: Read, changes: Changes) -> Sensitivity:
    """Share of the base changes that alter a code, code changes for each, and their chance by distance, per level."""
    before, after = read(changes.pieces), read(changes.changed)
    same = before.agreement(after, changes.pieces.shape[1])[1]
    place = changes.place[before.window]
    # Bases from each position's span to the changed base; 0 where the span holds it.
    distance = np.maximum(before.start - place, place - before.end + 1).clip(min=0)
    num_changes = len(changes.place)
    columns = {name: _response(before.window, ~column, distance, num_changes) for name, column in same.items()}
    share = whole(columns).altered_fraction
    return Sensitivity(
        num_changes=num_changes,
        altered_fraction=share,
        altered_standard_error=float(np.sqrt(share * (1 - share) / num_changes)),
        columns=columns,
    )


def draw_changes(windows: Windows, stride: int, seed: int) -> Changes:
    """Four random changes per window, at known bases, each in a piece that holds twice the context around it.

    Changes fall on every phase of `stride`, the bases per position.
    """
    random = np.random.default_rng([seed, 1])
    reach = min(2 * windows.margin, windows.size // 2 - stride)
    wanted = min(CHANGES_PER_WINDOW * len(windows), MAX_CHANGES)
    row = random.integers(0, len(windows), 2 * wanted)  # some fall on N or twice on a place
    place = random.integers(reach + stride, windows.size - reach - stride + 1, 2 * wanted)
    first = np.unique(row * windows.size + place, return_index=True)[1]
    first = np.sort(first[windows.base_ids[row, place][first] < N])[:wanted]
    row, place = row[first], place[first]
    phase = random.integers(0, stride, len(row))
    starts = place - reach - phase
    pieces = windows.base_ids[row[:, None], starts[:, None] + np.arange(2 * reach + stride)]
    place = reach + phase
    changed = pieces.copy()
    index = np.arange(len(row))
    changed[index, place] = (pieces[index, place] + random.integers(1, 4, len(row))) % 4
    return Changes(pieces, place, changed)


def _response(
    change: Int[np.ndarray, "position"],
    altered: Bool[np.ndarray, "position"],
    distance: Int[np.ndarray, "position"],
    num_changes: int,
) -> ChangeResponse:
    farthest = int(distance[altered].max(initial=0))
    total = np.bincount(distance[distance <= farthest], minlength=farthest + 1)
    changed_at = np.bincount(distance[altered], minlength=farthest + 1)
    return ChangeResponse(
        altered_fraction=len(np.unique(change[altered])) / num_changes,
        flips_per_change=float(altered.sum() / num_changes),
        farthest=farthest,
        mean_distance=float(distance[altered].mean()) if altered.any() else 0.0,
        flips_by_distance=(changed_at / num_changes).tolist(),
        flip_probability_by_distance=(changed_at / np.maximum(total, 1)).tolist(),
    )
