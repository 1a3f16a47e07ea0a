"""The part of genomes an audit looks at: contigs cut into windows, all of them or a seeded choice.

Flow: files -> contigs Sequence -> tiles (whole windows whose inner parts lie end to end) -> Windows(base_ids
UInt8[window, base]). A window's outer `margin` bases give context only: no measure counts a position that reaches into
them. It must not know tokenizers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome import N
from vqdna.genome import Sequence as Contig

MAX_N_FRACTION = 0.1
SMALLEST_INNER_PART = 32


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one size on contigs.

    Attributes:
        start: each window's first base, 0-based in its contig.
        margin: bases at either end of a window that serve as context only.
        num_tiles: windows that the whole input has.
    """

    contigs: tuple[Contig, ...]
    contig: Int[np.ndarray, "window"]
    start: Int[np.ndarray, "window"]
    size: int
    margin: int
    num_tiles: int

    def __len__(self) -> int:
        return len(self.start)

    @cached_property
    def base_ids(self) -> UInt8[np.ndarray, "window base"]:
        return self.around(0)

    def around(self, flank: int) -> UInt8[np.ndarray, "window base_with_flanks"]:
        """Bases of every window and of `flank` bases on either side, N beyond the ends of a contig."""
        return self.slices([contig.base_ids for contig in self.contigs], flank, fill=N)

    def slices(
        self, tracks: Sequence[np.ndarray], flank: int = 0, *, fill: int = 0
    ) -> UInt8[np.ndarray, "window base_with_flanks"]:
        """What each window sees of `tracks`, one array of a value per base for each contig."""
        out = np.full((len(self), self.size + 2 * flank), fill, dtype=np.uint8)
        for row, contig, start in zip(out, self.contig.tolist(), self.start.tolist()):
            first, last = start - flank, start + self.size + flank
            values = tracks[contig][max(first, 0) : last]
            row[max(-first, 0) : max(-first, 0) + len(values)] = values
        return out


def draw_windows(contigs: tuple[Contig, ...], *, size: int, margin: int, num_windows: int, seed: int) -> Windows:
    """`num_windows` tiles of the contigs chosen at random, or all where there are no more or it is 0.

    Tiles overlap by two margins, so that their inner parts cover a contig without gap or overlap; those of more than
    a tenth N are left out.

    Raises:
        InputError: the window has no room for the margins, or no window fits anywhere.
    """
    if size < 2 * margin + SMALLEST_INNER_PART:
        smallest = 2 * margin + SMALLEST_INNER_PART
        raise InputError(f"--window {size}: wanted {smallest} or more, as codes here depend on {margin} bases around")
    tiles = []
    for one in contigs:
        starts = np.arange(0, len(one.base_ids) - size + 1, size - 2 * margin, dtype=np.int64)
        num_n = np.concatenate([[0], np.cumsum(one.base_ids == N, dtype=np.int64)])
        tiles.append(starts[num_n[starts + size] - num_n[starts] <= MAX_N_FRACTION * size])
    contig = np.repeat(np.arange(len(contigs)), [len(starts) for starts in tiles])
    start = np.concatenate([*tiles, np.zeros(0, np.int64)])
    if not len(start):
        longest = max((len(contig.base_ids) for contig in contigs), default=0)
        raise InputError(
            f"no window of {size} bases with at most {MAX_N_FRACTION:.0%} N: the longest of {len(contigs)} sequences "
            f"has {longest} bases; give longer sequences or a smaller --window"
        )
    wanted = min(num_windows or len(start), len(start))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(start))[:wanted])
    return Windows(contigs, contig[chosen], start[chosen], size, margin, len(start))
