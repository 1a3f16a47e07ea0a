"""Whether a single changed base shows in the codes, how many codes it flips, and how far away.

Flow: Windows -> places of single-base changes -> pieces of the window around each, as they are and changed -> flipped
positions per level, by distance. Positions are matched by base span, so a tokenizer whose words move (BPE) counts every
position that the change moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqdna.audit.reading import CodedPositions, CodeReader, places_in
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import N

CHANGES_PER_WINDOW = 4
MAX_CHANGES = 4096


@dataclass(frozen=True, eq=False)
class Changes:
    """Pieces of windows with one base changed.

    Attributes:
        pieces: the bases as they are.
        place: changed base of each piece.
        changed: the pieces with that base replaced by one of the other three.
    """

    pieces: UInt8[np.ndarray, "change base"]
    place: Int[np.ndarray, "change"]
    changed: UInt8[np.ndarray, "change base"]


def sensitivity_of(reader: CodeReader, changes: Changes) -> dict[str, Any]:
    """Share of the changes that alter a code, flips per change, and the chance of a flip by distance, per level."""
    before, after = reader.read(changes.pieces), reader.read(changes.changed)
    flips = flipped(before, after, changes.pieces.shape[1])
    distance = distances(before, changes.place)
    columns = [*flips.T, flips.any(axis=1)] if flips.shape[1] > 1 else [*flips.T]
    num_changes = len(changes.place)
    records = [_record(before.window, column, distance, num_changes) for column in columns]
    any_level = np.zeros(num_changes, bool)
    any_level[before.window[flips.any(axis=1)]] = True
    share = float(any_level.mean())
    return {
        "num_changes": num_changes,
        "altered_fraction": share,
        "altered_standard_error": float(np.sqrt(share * (1 - share) / num_changes)),
        "columns": dict(zip(before.column_names(), records)),
    }


def draw_changes(windows: Windows, stride: int, seed: int) -> Changes:
    """Four random changes per window, at known bases, each in a piece that holds twice the context around it.

    Args:
        windows: where to draw from.
        stride: bases per position, at least 1; changes fall on every phase of it.
        seed: of the draws.
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


def flipped(before: CodedPositions, after: CodedPositions, size: int) -> Bool[np.ndarray, "position level"]:
    """Whether each code of `before` is missing or different where `after` has the same span."""
    place = places_in(before.keys(size), after.keys(size))
    missing: Bool[np.ndarray, "position 1"] = (place < 0)[:, None]
    flips: Bool[np.ndarray, "position level"] = missing | (after.codes[place] != before.codes)
    return flips


def distances(positions: CodedPositions, place: Int[np.ndarray, "change"]) -> Int[np.ndarray, "position"]:
    """Bases from each position's span to the changed base of its piece; 0 where the span holds it."""
    changed = place[positions.window]
    away: Int[np.ndarray, "position"] = np.maximum(positions.start - changed, changed - positions.end + 1).clip(min=0)
    return away


def _record(
    change: Int[np.ndarray, "position"],
    flips: Bool[np.ndarray, "position"],
    distance: Int[np.ndarray, "position"],
    num_changes: int,
) -> dict[str, Any]:
    """Numbers of one level."""
    altered = np.zeros(num_changes, bool)
    altered[change[flips]] = True
    farthest = int(distance[flips].max(initial=0))
    total = np.bincount(distance[distance <= farthest], minlength=farthest + 1)
    flips_at = np.bincount(distance[flips], minlength=farthest + 1)
    return {
        "altered_fraction": float(altered.mean()),
        "flips_per_change": float(flips.sum() / num_changes),
        "farthest": farthest,
        "mean_distance": float(distance[flips].mean()) if flips.any() else 0.0,
        "flips_by_distance": (flips_at / num_changes).tolist(),
        "flip_probability_by_distance": (flips_at / np.maximum(total, 1)).tolist(),
    }
