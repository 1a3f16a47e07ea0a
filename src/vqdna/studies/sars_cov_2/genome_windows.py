"""Windows of genomes: cut after the split, at random places of a grid, with their genome and variant.

Flow: genomes of a part -> Windows(base_ids, genome, variant of each). Places are multiples of 64 bases, so that
windows of different genomes share most of their tiles; what a window's codes look at ends with the window. It must
not know codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome import N
from vqdna.studies.sars_cov_2.genomes import VariantGenome

GRID = 64
MOST_N = 0.1


@dataclass(frozen=True, eq=False)
class GenomeWindows:
    """Windows in the order of their genomes.

    Attributes:
        base_ids: bases of each.
        genome: number of the genome each comes from.
        start: first base, 0-based in its genome.
    """

    base_ids: list[UInt8[np.ndarray, "_"]]
    genome: Int[np.ndarray, "window"]
    start: Int[np.ndarray, "window"]

    def __len__(self) -> int:
        return len(self.base_ids)


def cut_windows(
    genomes: Sequence[VariantGenome], numbers: Sequence[int], *, size: int, per_genome: int, seed: int
) -> GenomeWindows:
    """`per_genome` windows of each genome in `numbers`; a genome's own draw, whatever others there are.

    Places with more than a tenth N are drawn again; a genome that has none left is passed over.

    Raises:
        InputError: a genome is shorter than a window.
    """
    rows, owners, starts = [], [], []
    for number in numbers:
        base_ids = genomes[number].base_ids
        if len(base_ids) < size:
            raise InputError(
                f"genome '{genomes[number].name}' has {len(base_ids)} bases, fewer than a window of {size}"
            )
        # A generator for each genome, so that its windows do not hang on which other genomes were drawn. Places on a
        # grid let windows of different genomes share tiles, which are then encoded once.
        random = np.random.default_rng([seed, 6, number])
        places = random.permutation((len(base_ids) - size) // GRID + 1) * GRID
        good = [p for p in places.tolist() if (base_ids[p : p + size] >= N).mean() <= MOST_N][:per_genome]
        rows += [base_ids[p : p + size] for p in good]
        owners += [number] * len(good)
        starts += good
    return GenomeWindows(rows, np.array(owners, np.int64), np.array(starts, np.int64))


def tiled_windows(genome: VariantGenome, size: int) -> list[UInt8[np.ndarray, "_"]]:
    """Windows of a genome end to end; what is left over at its end is in none."""
    return [genome.base_ids[start : start + size] for start in range(0, len(genome.base_ids) - size + 1, size)]
