"""What each system of the species study makes of windows, before a linear classifier reads it.

Flow: Windows -> named representations [row, width]. Spectra count k-mers of the window. Tokenizers read each contig
once, and a window's tokens are those that lie in it; only codes within `context_bases` of its edges could differ from
those of the window read alone. Encoders read short windows whole, and of long ones pieces that lie in them, each piece
once. None of them sees a label, and padding is never read.
Paper: section 5.7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy.sparse import csr_matrix

from vqdna.baselines.code_features import Features, histograms_of
from vqdna.encoder.encoded_sequences import encode_sequences
from vqdna.encoder.genome_encoder import POOLINGS, GenomeEncoder, pool_positions
from vqdna.genome.bases import N
from vqdna.genome.corpus import Corpus
from vqdna.studies.species.splits import Part, Windows
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_sequence
from vqdna.tokenizers.padding import pad_codes

LONGEST_WORD = 6
"""k of the longest k-mers that spectra count."""

TILE_BASES = 2048
"""Bases that a learned tokenizer reads at a time, besides their context: small enough for the processor's caches."""

HAND_MADE_TILE_BASES = 1 << 17
ENCODER_BASES = 16_384
"""Bases of the windows that an encoder reads together."""

WHOLE_BASES = 8000
"""Longest window that an encoder reads by itself; of longer ones it reads pieces."""

PIECE_BASES = 1000
"""Bases of a piece: eight lie in the shortest window that is read by pieces, which loses less than two at its ends."""


class SpeciesFeatures(ABC):
    """What one system makes of windows."""

    @abstractmethod
    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        """Representations of each window by name, rows in order."""

    @abstractmethod
    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        """Representations of one window by itself, one row each: what a single prediction costs."""

    def positions_limit(self) -> int | None:
        """Bases of the longest window that can be read; None where any can."""
        return None


class SpectrumFeatures(SpeciesFeatures):
    """Shares of the k-mers of 1 to 6 bases, a k-mer and its reverse complement counted as one."""

    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        return self._of_rows([windows.bases(corpus, row) for row in range(len(windows))])

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        return self._of_rows([base_ids])

    def _of_rows(self, rows: Sequence[UInt8[ndarray, "_"]]) -> dict[str, Features]:
        """Spectra by name, `k=1` to `k=6`."""
        counts = np.stack([_word_counts(row) for row in rows])
        return {f"k={size}": _spectra(counts, size) for size in range(1, LONGEST_WORD + 1)}


@dataclass(frozen=True, eq=False)
class TokenRow:
    """Tokens of one contig in order: codes, and the span of each."""

    codes: Int[ndarray, "token level"]
    starts: Int[ndarray, "token"]
    ends: Int[ndarray, "token"]

    def within(self, start: int, end: int) -> Int[ndarray, "_ level"]:
        first, last = np.searchsorted(self.starts, start), np.searchsorted(self.ends, end, "right")
        return self.codes[first:last]


class TokenFeatures(SpeciesFeatures):
    """How often each code occurs among a window's tokens, level by level, whatever the tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._rows: dict[tuple[str, int], TokenRow] = {}

    def read(self, corpus: Corpus, used: Sequence[Part]) -> None:
        """Reads the parts of contigs that windows will be drawn from, and forgets what was read before."""
        self._rows = {}
        for part in used:
            edge = int(corpus.packed.contig_edges[part.contig])
            bases = corpus.packed.base_ids[edge + part.start : edge + part.end]
            self._rows[corpus.content_hash, part.contig] = read_tokens(self.tokenizer, bases, part.start)

    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        places = zip(windows.contigs.tolist(), windows.starts.tolist(), windows.ends.tolist(), strict=True)
        rows = self._rows
        return self._histograms([rows[corpus.content_hash, contig].within(*span) for contig, *span in places])

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        return self._histograms([read_tokens(self.tokenizer, base_ids).codes])

    def _histograms(self, rows: Sequence[Int[ndarray, "_ level"]]) -> dict[str, Features]:
        """Of the codes of each window; of several levels also all but the finest, and the finest alone."""
        sizes = self.tokenizer.level_sizes
        return dict(histograms_of(csr_matrix(np.stack([code_shares(codes, sizes) for codes in rows])), sizes))


@dataclass(frozen=True, eq=False)
class Pooled:
    """Mean and maximum over the hidden states of a window or a piece of one, and how many they are."""

    mean: Float[ndarray, "width"]
    maximum: Float[ndarray, "width"]
    positions: int


PieceKey = tuple[str, int, int]
"""Corpus, contig, and number of a piece on the contig's grid."""


class EncoderFeatures(SpeciesFeatures):
    """Pooled hidden states of a frozen genome encoder.

    A window of up to `whole_bases` is read by itself. Of a longer one the pieces of its contig's grid that lie wholly
    in it are pooled, each read by itself, and once for all windows.
    """

    def __init__(self, encoder: GenomeEncoder) -> None:
        self.encoder = encoder.eval()
        limit = self.backbone_bases()
        self.whole_bases = WHOLE_BASES if limit is None else min(WHOLE_BASES, limit)
        self._pieces: dict[PieceKey, Pooled] = {}

    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        long = np.flatnonzero(windows.ends - windows.starts > self.whole_bases).tolist()
        pieces = {row: _pieces_of(corpus, windows, row) for row in long}
        self._read(corpus, sorted({key for keys in pieces.values() for key in keys} - self._pieces.keys()))
        found = {row: _joined([self._pieces[key] for key in keys]) for row, keys in pieces.items()}
        whole = [row for row in range(len(windows)) if row not in found]
        found |= dict(zip(whole, self._pooled([windows.bases(corpus, row) for row in whole]), strict=True))
        return _named([found[row] for row in range(len(windows))])

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        if len(base_ids) <= self.whole_bases:
            return _named(self._pooled([base_ids]))
        ends = range(PIECE_BASES, len(base_ids) + 1, PIECE_BASES)
        return _named([_joined(self._pooled([base_ids[end - PIECE_BASES : end] for end in ends]))])

    def positions_limit(self) -> int | None:
        """Bases of the backbone's positions where they are too few for a piece; else None, and any window is read."""
        return self.backbone_bases() if self.whole_bases < PIECE_BASES else None

    def backbone_bases(self) -> int | None:
        """Bases that the backbone has positions for; None where it has for any."""
        positions = self.encoder.max_positions
        return None if positions is None else int(positions * self.encoder.bases_per_position)

    def _read(self, corpus: Corpus, wanted: Sequence[PieceKey]) -> None:
        edges = corpus.packed.contig_edges
        first = [int(edges[contig]) + number * PIECE_BASES for _, contig, number in wanted]
        rows = [corpus.packed.base_ids[start : start + PIECE_BASES] for start in first]
        self._pieces |= dict(zip(wanted, self._pooled(rows), strict=True))

    def _pooled(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Pooled]:
        together = max(1, ENCODER_BASES // max(map(len, rows), default=1))
        batches = [rows[first : first + together] for first in range(0, len(rows), together)]
        return [pooled for batch in batches for pooled in self._pooled_batch(batch)]

    @torch.inference_mode()
    def _pooled_batch(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Pooled]:
        encoded = encode_sequences(self.encoder, list(rows), lambda row: f"window {row}")
        codes, mask = pad_codes(encoded.codes)
        output = self.encoder(codes=codes, position_mask=mask)
        both = pool_positions(output.last_hidden_state, output.attention_mask, "mean+max").numpy()
        means, maxima = np.split(both, 2, axis=1)
        return [Pooled(*row) for row in zip(means, maxima, output.attention_mask.sum(dim=1).tolist(), strict=True)]


def read_tokens(tokenizer: Tokenizer, base_ids: UInt8[ndarray, "base"], start: int = 0) -> TokenRow:
    """Tokens of a sequence of any length that begins at `start`, those of the sequence read whole.

    Words of one text, which cannot be told in tiles, do not cross the ends of its pieces: memory is bounded by those.
    """
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    piece = len(base_ids) if tokenizer.tile_step is not None else HAND_MADE_TILE_BASES
    codes, spans = [], []
    for first in range(0, len(base_ids), piece):
        coded, covered = encode_sequence(tokenizer, base_ids[first : first + piece], tile_bases=TILE_BASES)
        codes.append(coded)
        spans.append(covered.astype(np.int32) + np.int32(start + first))
    starts, ends = np.concatenate(spans).T
    return TokenRow(np.concatenate(codes).astype(kind), starts, ends)


def code_shares(codes: Int[ndarray, "token level"], level_sizes: Sequence[int]) -> Float[ndarray, "code"]:
    """Share of the tokens that hold each code, levels side by side; zeros where there is no token."""
    counts = [np.bincount(codes[:, level], minlength=size) for level, size in enumerate(level_sizes)]
    shares: Float[ndarray, "code"] = (np.concatenate(counts) / max(1, len(codes))).astype(np.float32)
    return shares


def _pieces_of(corpus: Corpus, windows: Windows, row: int) -> list[PieceKey]:
    """Pieces of the grid that lie wholly in a window."""
    first, last = -(-int(windows.starts[row]) // PIECE_BASES), int(windows.ends[row]) // PIECE_BASES
    return [(corpus.content_hash, int(windows.contigs[row]), number) for number in range(first, last)]


def _joined(pieces: Sequence[Pooled]) -> Pooled:
    """The same as of the positions of all pieces together."""
    positions = np.array([piece.positions for piece in pieces])
    mean = np.average([piece.mean for piece in pieces], axis=0, weights=positions).astype(np.float32)
    return Pooled(mean, np.max([piece.maximum for piece in pieces], axis=0), int(positions.sum()))


def _named(rows: Sequence[Pooled]) -> dict[str, Features]:
    """Representations by the name of the pooling."""
    means = np.stack([row.mean for row in rows])
    return dict(zip(POOLINGS, (means, np.concatenate([means, [row.maximum for row in rows]], axis=1)), strict=True))


def _word_counts(base_ids: UInt8[ndarray, "base"]) -> Int[ndarray, "word"]:
    """Number of each word of six bases, in base-4 order; words that hold an N are left out."""
    size = len(base_ids) - LONGEST_WORD + 1
    if size < 1:
        return np.zeros(4**LONGEST_WORD, np.int64)
    codes, known = np.zeros(size, np.int32), np.ones(size, bool)
    for place in range(LONGEST_WORD):
        bases = base_ids[place : place + size]
        codes = codes * 4 + bases
        known &= bases != N
    return np.bincount(codes if known.all() else codes[known], minlength=4**LONGEST_WORD)


def _spectra(counts: Int[ndarray, "row word"], size: int) -> Float[ndarray, "row _"]:
    """Shares of the words' first `size` bases, each added to its reverse complement's."""
    shorter = counts.reshape(len(counts), 4**size, -1).sum(axis=2)
    partners, words = _reverse_complements(size), np.arange(4**size)
    both = shorter + np.where(words == partners, 0, shorter[:, partners])
    kept = np.flatnonzero(words <= partners)
    shares: Float[ndarray, "row _"] = both[:, kept] / np.maximum(1, both[:, kept].sum(axis=1, keepdims=True))
    return shares


def _reverse_complements(size: int) -> Int[ndarray, "word"]:
    """Number of the reverse complement of each word, in base-4 order."""
    words = np.arange(4**size)
    reversed_words = np.zeros_like(words)
    for _ in range(size):
        reversed_words = reversed_words * 4 + (3 - words % 4)
        words = words // 4
    return reversed_words
