"""Codes of many nearly equal genomes: what they share is encoded once.

Flow: genomes [base] -> tiles with the context that codes depend on -> distinct tiles, encoded in batches ->
GenomeCodes: codes [position, level] and histograms of any genome. The codes are those of the whole genome to the last
one, as a tile holds all that its codes look at. Hand-made tokenizers, cheap as they are, read each genome whole. It
must not know labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
        tokenizer: that made them.
        tiles: codes of each distinct tile, [position, level].
        rows: numbers of the tiles of each genome, in order.
        starts: first base of each position, for each genome; None where it is a multiple of the stride.
    """

    tokenizer: Tokenizer
    tiles: list[Int[np.ndarray, "_ level"]]
    rows: list[Int[np.ndarray, "_"]]
    starts: list[Int[np.ndarray, "_"]] | None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return self.tokenizer.level_sizes

    @property
    def stride(self) -> int:
        """Bases from one position to the next, at least about."""
        return max(1, round(self.tokenizer.bases_per_position))

    @property
    def has_fixed_positions(self) -> bool:
        """Whether positions lie on a grid, so that those of two genomes can be compared place by place."""
        return self.starts is None

    def codes(self, genome: int) -> Int[np.ndarray, "position level"]:
        """Codes of a genome."""
        joined: Int[np.ndarray, "position level"] = np.concatenate([self.tiles[tile] for tile in self.rows[genome]])
        return joined

    def histograms(self) -> csr_matrix:
        """How often each code occurs in each genome, levels side by side."""
        offsets = np.cumsum([0, *self.level_sizes])
        columns = [(tile + offsets[:-1]).ravel() for tile in self.tiles]
        lengths = np.array([len(held) for held in columns])
        by_tile = csr_matrix(
            (np.ones(lengths.sum()), np.concatenate(columns), np.concatenate([[0], np.cumsum(lengths)])),
            shape=(len(self.tiles), int(offsets[-1])),
        )
        tiles = np.concatenate(self.rows)
        indices = np.concatenate([[0], np.cumsum([len(row) for row in self.rows])])
        held = csr_matrix((np.ones(len(tiles)), tiles, indices), shape=(len(self.rows), len(self.tiles)))
        return csr_matrix(held @ by_tile)

    def level_histogram(self, level: int, counts: csr_matrix | None = None) -> csr_matrix:
        """The columns of one level."""
        offsets = np.cumsum([0, *self.level_sizes])
        return (self.histograms() if counts is None else counts)[:, offsets[level] : offsets[level + 1]]


def encode_genomes(tokenizer: Tokenizer, genomes: Sequence[UInt8[np.ndarray, "_"]]) -> GenomeCodes:
    """Codes of the genomes; those of a learned tokenizer are worked out once for each distinct tile."""
    if isinstance(tokenizer, VqTokenizer):
        return _encode_in_tiles(tokenizer, genomes)
    return _encode_whole(tokenizer, genomes)


@torch.inference_mode()
def level_means(codes: GenomeCodes) -> list[Float[np.ndarray, "genome width"]] | None:
    """Mean code vector of each genome at each level; None for tokenizers whose codes have no vectors."""
    if not isinstance(codes.tokenizer, VqTokenizer):
        return None
    counts = codes.histograms()
    means = []
    for level in range(len(codes.level_sizes)):
        held = codes.level_histogram(level, counts)
        table = codes.tokenizer.quantizer.code_table(level).double().cpu().numpy()
        means.append(np.asarray(held @ table) / np.maximum(np.asarray(held.sum(axis=1)), 1))
    return means


def _encode_in_tiles(tokenizer: VqTokenizer, genomes: Sequence[UInt8[np.ndarray, "_"]]) -> GenomeCodes:
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
    return GenomeCodes(tokenizer, own, rows, None)


def _encode_whole(tokenizer: Tokenizer, genomes: Sequence[UInt8[np.ndarray, "_"]]) -> GenomeCodes:
    codes, spans = encode_rows_with_spans(tokenizer, genomes)
    starts = [row[:, 0] for row in spans]
    on_a_grid = all(np.array_equal(row, np.arange(len(row)) * (row[1] if len(row) > 1 else 1)) for row in starts)
    return GenomeCodes(tokenizer, codes, [np.array([n]) for n in range(len(codes))], None if on_a_grid else starts)
