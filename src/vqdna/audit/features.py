"""What is known of each base, as labels to hold codes against: G+C, CpG, repeats, and what an annotation says.

Flow: Windows (and tracks of an annotation) -> Feature(labels UInt8[window, base]). Nothing here has seen a code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vqdna.audit.annotation import Track
from vqdna.audit.sampled_windows import Windows
from vqdna.genome import N

GC_REACH = 50
CPG_REACH = 100
NUM_GC_BINS, NUM_CPG_BINS = 5, 4
TRIPLET_WINDOW = 64
LOW_COMPLEXITY_SCORE = 2.0
C, G = 1, 2


@dataclass(frozen=True, eq=False)
class Feature:
    """Labels of every base of every window.

    Attributes:
        meaning: what the label says, as a clause.
        value_names: what each label stands for.
    """

    name: str
    meaning: str
    value_names: tuple[str, ...]
    labels: UInt8[np.ndarray, "window base"]


def features_of(windows: Windows, tracks: Mapping[str, Track]) -> list[Feature]:
    """Features of the windows that take more than one value."""
    found = [gc_content(windows), cpg_ratio(windows), cpg_site(windows), repeats(windows)]
    found += [
        Feature(name, track.meaning, track.value_names, windows.slices(track.labels)) for name, track in tracks.items()
    ]
    inner = slice(windows.margin, windows.size - windows.margin)
    return [feature for feature in found if len(np.unique(feature.labels[:, inner])) > 1]


def gc_content(windows: Windows) -> Feature:
    """Share of G and C among the 101 bases around, in five bins with equally many bases."""
    around = windows.around(GC_REACH)
    gc = _sums((around == C) | (around == G), 2 * GC_REACH + 1)
    share = gc / np.maximum(_sums(around < N, 2 * GC_REACH + 1), 1)
    return _binned("GC", f"share of G and C in the {2 * GC_REACH + 1} bases around", share, NUM_GC_BINS)


def cpg_ratio(windows: Windows) -> Feature:
    """Observed over expected CpG in the 201 bases around, in four bins with equally many bases."""
    around = windows.around(CPG_REACH)
    size = 2 * CPG_REACH + 1
    pairs = np.zeros(around.shape, bool)
    pairs[:, :-1] = (around[:, :-1] == C) & (around[:, 1:] == G)
    expected = _sums(around == C, size) * _sums(around == G, size) / np.maximum(_sums(around < N, size), 1)
    ratio = _sums(pairs, size) / np.maximum(expected, 1e-9) * (expected > 0)
    return _binned("CpG ratio", f"CpG observed over expected in the {size} bases around", ratio, NUM_CPG_BINS)


def cpg_site(windows: Windows) -> Feature:
    around = windows.around(1)
    first = (around[:, :-1] == C) & (around[:, 1:] == G)
    labels = (first[:, 1:] | first[:, :-1]).astype(np.uint8)
    return Feature("CpG site", "the base is part of a CpG", ("no", "yes"), labels)


def repeats(windows: Windows) -> Feature:
    """Soft-masked bases where the input has any; else spans of low complexity."""
    masks = [contig.soft_masked for contig in windows.contigs if contig.soft_masked is not None]
    if any(mask.any() for mask in masks):
        labels = windows.slices([mask.view(np.uint8) for mask in masks])
        return Feature("repeat", "the base is soft-masked (lower case in the file)", ("no", "yes"), labels)
    low = triplet_score(windows.around(TRIPLET_WINDOW // 2), TRIPLET_WINDOW + 1) > LOW_COMPLEXITY_SCORE
    meaning = f"low complexity: triplet score over {LOW_COMPLEXITY_SCORE} in {TRIPLET_WINDOW + 1} bases"
    return Feature("repeat", f"{meaning} (the file has no soft mask)", ("no", "yes"), low.astype(np.uint8))


def triplet_score(
    base_ids: UInt8[np.ndarray, "window base_with_flanks"], size: int
) -> Float[np.ndarray, "window base"]:
    """DUST's score of the `size` bases around each base: pairs of equal triplets per triplet; about 0.5 by chance.

    Reference: Morgulis et al. 2006, "A fast and symmetric DUST implementation", where 2 is the usual threshold.
    """
    number = base_ids[:, :-2] * 16 + base_ids[:, 1:-1] * 4 + base_ids[:, 2:]
    known = (base_ids[:, :-2] < N) & (base_ids[:, 1:-1] < N) & (base_ids[:, 2:] < N)
    score = np.zeros((len(base_ids), base_ids.shape[1] - size + 1))
    for triplet in range(64):
        count = _sums((number == triplet) & known, size - 2)
        score += count * (count - 1) / 2
    return score / (size - 3)


def _binned(name: str, meaning: str, values: Float[np.ndarray, "window base"], num_bins: int) -> Feature:
    """Values in bins that hold equally many of them; fewer bins where many are equal."""
    edges = np.unique(np.quantile(values, np.arange(1, num_bins) / num_bins))
    # Equal values stay in one bin: an edge at the lowest value would leave the bin below it empty.
    edges = edges[edges > values.min()]
    bounds = [f"{edge:.2f}" for edge in edges]
    middle = [f"{low} to {high}" for low, high in pairwise(bounds)]
    names = (f"below {bounds[0]}", *middle, f"{bounds[-1]} or more") if bounds else ("all",)
    return Feature(name, meaning, names, np.searchsorted(edges, values, side="right").astype(np.uint8))


def _sums(flags: Bool[np.ndarray, "window base"], size: int) -> Int[np.ndarray, "window place"]:
    """Number of True among each `size` neighboring bases."""
    total = np.zeros((len(flags), flags.shape[1] + 1), np.int32)
    np.cumsum(flags, axis=1, out=total[:, 1:])
    counts: Int[np.ndarray, "window place"] = total[:, size:] - total[:, :-size]
    return counts
