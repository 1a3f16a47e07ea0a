"""Codes of many nearly equal genomes: what they share is encoded once.

Flow: genomes [base] -> tiles with the context that codes depend on -> distinct tiles, encoded in batches ->
GenomeCodes: codes [position, level] and histograms of any genome. The codes are those of the whole genome to the last
one, as a tile holds all that its codes look at. Hand-made tokenizers, cheap as they are, read each genome whole. It
must not know labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from scipy.sparse import csr_matrix

from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_rows, encode_rows_with_spans, tiles
from vqdna.tokenizers.vq import VqTokenizer

TILE_BASES = 64

Tile = tuple[bytes, int, int | None]
"""Bases of a tile with its context, positions of the context before it, and of its own; None for all that follow."""


@dataclass(frozen=True, eq=False)
class GenomeCodes:
    """Codes of genomes, kept as tiles that several may share.

    Attributes:
        tiles: codes of each distinct tile, [position, level].
        rows: numbers of the tiles of each genome, in order.
        has_fixed_positions: whether positions lie on a grid, so that those of two genomes can be compared place by
            place.
    """

    tokenizer: Tokenizer
    tiles: list[Int[np.ndarray, "_ level"]]
    rows: list[Int[np.ndarray, "_"]]
    has_fixed_positions: bool

    def codes(self, genome: int) -> Int[np.ndarray, "position level"]:
        return np.asarray(np.concatenate([self.tiles[tile] for tile in self.rows[genome]]))

    def histograms(self) -> csr_matrix:
        """How often each code occurs in each genome, levels side by side."""
        offsets = np.cumsum([0, *self.tokenizer.level_sizes])
        columns = [(tile + offsets[:-1]).ravel() for tile in self.tiles]
        ends = np.cumsum([0, *map(len, columns)])
        by_tile = csr_matrix(
            (np.ones(ends[-1]), np.concatenate(columns), ends), shape=(len(self.tiles), int(offsets[-1]))
        )
        tiles, ends = np.concatenate(self.rows), np.cumsum([0, *map(len, self.rows)])
        held = csr_matrix((np.ones(len(tiles)), tiles, ends), shape=(len(self.rows), len(self.tiles)))
        return csr_matrix(held @ by_tile)

    def by_level(self, counts: csr_matrix) -> list[csr_matrix]:
        ends = np.cumsum([0, *self.tokenizer.level_sizes])
        return [counts[:, start:end] for start, end in pairwise(ends)]


def encode_genomes(tokenizer: Tokenizer, genomes: Sequence[UInt8[np.ndarray, "_"]]) -> GenomeCodes:
    """Codes of the genomes; those of a learned tokenizer are worked out once for each distinct tile."""
    if not isinstance(tokenizer, VqTokenizer):
        codes, spans = encode_rows_with_spans(tokenizer, genomes)
        starts = [row[:, 0] for row in spans]
        on_a_grid = all(np.array_equal(row, np.arange(len(row)) * (row[1] if len(row) > 1 else 1)) for row in starts)
        return GenomeCodes(tokenizer, codes, [np.array([n]) for n in range(len(codes))], on_a_grid)
    numbers: dict[Tile, int] = {}
    rows = []
    for genome in genomes:
        cut = tiles(tokenizer, len(genome), TILE_BASES)
        shared = [(genome[tile.first : tile.end].tobytes(), tile.skipped, tile.num_kept) for tile in cut]
        rows.append(np.array([numbers.setdefault(tile, len(numbers)) for tile in shared]))
    coded = encode_rows(tokenizer, [np.frombuffer(bases, np.uint8) for bases, _, _ in numbers])
    own = [
        row[skipped : None if num_kept is None else skipped + num_kept].copy()
        for row, (_, skipped, num_kept) in zip(coded, numbers, strict=True)
    ]
    return GenomeCodes(tokenizer, own, rows, has_fixed_positions=True)


@torch.inference_mode()
def level_means(codes: GenomeCodes) -> list[Float[np.ndarray, "genome width"]] | None:
    """Mean code vector of each genome at each level; None for tokenizers whose codes have no vectors."""
    if not isinstance(codes.tokenizer, VqTokenizer):
        return None
    means = []
    for level, held in enumerate(codes.by_level(codes.histograms())):
        table = codes.tokenizer.quantizer.code_table(level).double().cpu().numpy()
        means.append(np.asarray(held @ table) / np.maximum(np.asarray(held.sum(axis=1)), 1))
    return means
