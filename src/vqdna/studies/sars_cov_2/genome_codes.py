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
from vqdna.tokenizers.encoding import token_spans
from vqdna.tokenizers.vq import VqTokenizer

TILE_BASES = 64
TILES_AT_A_TIME = 256

Tile = tuple[bytes, int, int]
"""Bases of a tile with its context, how many of them stand before its own, and the number of its own positions."""


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
    stride = int(tokenizer.bases_per_position)
    own = max(1, TILE_BASES // stride) * stride
    margin = -(-tokenizer.context_bases // stride) * stride
    numbers: dict[Tile, int] = {}
    rows = [
        np.array([numbers.setdefault(tile, len(numbers)) for tile in _tiles(genome, own, margin, stride)])
        for genome in genomes
    ]
    return GenomeCodes(tokenizer, _encode_tiles(tokenizer, list(numbers), stride), rows, None)


def _tiles(base_ids: UInt8[np.ndarray, "base"], own: int, margin: int, stride: int) -> list[Tile]:
    tiles = []
    for start in range(0, len(base_ids), own):
        first, end = max(0, start - margin), min(start + own, len(base_ids))
        tiles.append((base_ids[first : end + margin].tobytes(), start - first, -(-(end - start) // stride)))
    return tiles


@torch.inference_mode()
def _encode_tiles(tokenizer: VqTokenizer, tiles: list[Tile], stride: int) -> list[Int[np.ndarray, "_ level"]]:
    """Codes of each tile; those of one length go together, so that nothing is padded."""
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    by_length: dict[int, list[int]] = {}
    for number, (bases, _, _) in enumerate(tiles):
        by_length.setdefault(len(bases), []).append(number)
    coded: dict[int, Int[np.ndarray, "_ level"]] = {}
    for numbers in by_length.values():
        for start in range(0, len(numbers), TILES_AT_A_TIME):
            batch = numbers[start : start + TILES_AT_A_TIME]
            stacked = np.stack([np.frombuffer(tiles[number][0], np.uint8) for number in batch])
            codes = tokenizer.encode(torch.from_numpy(stacked)).codes.numpy().astype(kind)
            for number, row in zip(batch, codes):
                _, before, length = tiles[number]
                coded[number] = row[before // stride : before // stride + length].copy()
    return [coded[number] for number in range(len(tiles))]


@torch.inference_mode()
def _encode_whole(tokenizer: Tokenizer, genomes: Sequence[UInt8[np.ndarray, "_"]]) -> GenomeCodes:
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    tiles, starts = [], []
    for genome in genomes:
        tokens = tokenizer.encode(torch.from_numpy(genome)[None])
        tiles.append(tokens.codes[0].numpy().astype(kind))
        starts.append(tokens.spans[0, :, 0].numpy())
    on_a_grid = all(np.array_equal(row, np.arange(len(row)) * (row[1] if len(row) > 1 else 1)) for row in starts)
    return GenomeCodes(tokenizer, tiles, [np.array([n]) for n in range(len(tiles))], None if on_a_grid else starts)


def spans_of(codes: GenomeCodes, base_ids: UInt8[np.ndarray, "base"]) -> Int[np.ndarray, "position 2"]:
    """First base and end of each position of a genome."""
    return token_spans(codes.tokenizer, base_ids)
