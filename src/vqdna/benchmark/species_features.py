"""What each system of the species study makes of windows, before a linear classifier reads it.

Flow: Windows -> named representations [row, width]. Spectra count k-mers of the window. Tokenizers read each contig
once, and a window's tokens are those that lie in it; only codes within `context_bases` of its edges could differ from
those of the window read alone. Encoders read every window. None of them sees a label, and padding is never read.
Paper: section 5.7.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy.sparse import csr_matrix

from vqdna.benchmark.features import Features, histograms_of
from vqdna.finetune.encoding import encode_sequences, pad_codes
from vqdna.genome.bases import N
from vqdna.genome.corpus import Corpus
from vqdna.pretrain.encoder import GenomeEncoder
from vqdna.pretrain.pooling import POOLINGS, pool_positions
from vqdna.tasks.species import Part, Windows
from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.tiling import encode_sequence

LONGEST_WORD = 6
"""k of the longest k-mers that spectra count."""

TILE_BASES = 2048
"""Bases that a learned tokenizer reads at a time, besides their context: small enough for the processor's caches."""

HAND_MADE_TILE_BASES = 1 << 17
ENCODER_BASES = 16_384
"""Bases of the windows that an encoder reads together."""


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
        """Spectra by name, `k=1` to `k=6`."""
        counts = np.stack([_word_counts(windows.bases(corpus, row)) for row in range(len(windows))])
        return {f"k={size}": _spectra(counts, size) for size in range(1, LONGEST_WORD + 1)}

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        """Spectra of one window."""
        counts = _word_counts(base_ids)[None]
        return {f"k={size}": _spectra(counts, size) for size in range(1, LONGEST_WORD + 1)}


@dataclass(frozen=True, eq=False)
class TokenRow:
    """Tokens of one contig in order: codes, and the span of each."""

    codes: Int[ndarray, "token level"]
    starts: Int[ndarray, "token"]
    ends: Int[ndarray, "token"]

    def moved(self, bases: int) -> TokenRow:
        """The same tokens, so many bases further on."""
        return TokenRow(self.codes, self.starts + np.int32(bases), self.ends + np.int32(bases))

    def within(self, start: int, end: int) -> Int[ndarray, "_ level"]:
        """Codes of the tokens that lie in [start, end)."""
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
            self._rows[corpus.content_hash, part.contig] = read_tokens(self.tokenizer, bases).moved(part.start)

    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        """Histogram of codes; of several levels also all but the finest, and the finest alone."""
        counts = np.zeros((len(windows), sum(self.tokenizer.level_sizes)), np.float32)
        for row, (contig, start, end) in enumerate(zip(windows.contigs, windows.starts, windows.ends, strict=True)):
            tokens = self._rows[corpus.content_hash, int(contig)]
            counts[row] = code_shares(tokens.within(int(start), int(end)), self.tokenizer.level_sizes)
        return dict(histograms_of(csr_matrix(counts), self.tokenizer.level_sizes))

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        """Histogram of one window."""
        codes = read_tokens(self.tokenizer, base_ids).codes
        shares = code_shares(codes, self.tokenizer.level_sizes)[None]
        return dict(histograms_of(csr_matrix(shares), self.tokenizer.level_sizes))


class EncoderFeatures(SpeciesFeatures):
    """Pooled hidden states of a frozen genome encoder."""

    def __init__(self, encoder: GenomeEncoder) -> None:
        self.encoder = encoder.eval()

    def of_windows(self, corpus: Corpus, windows: Windows) -> dict[str, Features]:
        """Pooled states by the name of the pooling."""
        together = max(1, ENCODER_BASES // windows.length)
        batches = [range(first, min(first + together, len(windows))) for first in range(0, len(windows), together)]
        parts = [self._pooled([windows.bases(corpus, row) for row in batch]) for batch in batches]
        return {name: np.concatenate([part[name] for part in parts]) for name in POOLINGS}

    def of_bases(self, base_ids: UInt8[ndarray, "base"]) -> dict[str, Features]:
        """Pooled states of one window."""
        return dict(self._pooled([base_ids]))

    def positions_limit(self) -> int | None:
        """Bases that the backbone has positions for."""
        positions = self.encoder.max_positions
        return None if positions is None else int(positions * self.encoder.bases_per_position)

    @torch.inference_mode()
    def _pooled(self, rows: Sequence[UInt8[ndarray, "_"]]) -> dict[str, Float[ndarray, "row _"]]:
        encoded = encode_sequences(self.encoder, list(rows), lambda row: f"window {row}")
        codes, mask = pad_codes(encoded.codes)
        output = self.encoder(codes=codes, position_mask=mask)
        return {
            name: pool_positions(output.last_hidden_state, output.attention_mask, name).numpy() for name in POOLINGS
        }


def read_tokens(tokenizer: Tokenizer, base_ids: UInt8[ndarray, "base"]) -> TokenRow:
    """Tokens of a sequence of any length, read in tiles; learned codes are those of the sequence read whole."""
    kind = np.int16 if max(tokenizer.level_sizes) <= np.iinfo(np.int16).max else np.int32
    if tokenizer.vector_size is not None:
        codes, spans = encode_sequence(tokenizer, base_ids, tile_bases=TILE_BASES)
        return TokenRow(codes.astype(kind), spans[:, 0].astype(np.int32), spans[:, 1].astype(np.int32))
    tiles = [
        _hand_made_tile(tokenizer, base_ids[first : first + HAND_MADE_TILE_BASES], first)
        for first in range(0, len(base_ids), HAND_MADE_TILE_BASES)
    ]
    codes, spans = (np.concatenate(parts) for parts in zip(*tiles, strict=True))
    return TokenRow(codes.astype(kind), spans[:, 0].astype(np.int32), spans[:, 1].astype(np.int32))


def code_shares(codes: Int[ndarray, "token level"], level_sizes: Sequence[int]) -> Float[ndarray, "code"]:
    """Share of the tokens that hold each code, levels side by side; zeros where there is no token."""
    counts = [np.bincount(codes[:, level], minlength=size) for level, size in enumerate(level_sizes)]
    shares: Float[ndarray, "code"] = (np.concatenate(counts) / max(1, len(codes))).astype(np.float32)
    return shares


def describe_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """What results say of a tokenizer."""
    return {
        "level_sizes": list(tokenizer.level_sizes),
        "bases_per_position": tokenizer.bases_per_position,
        "context_bases": tokenizer.context_bases,
        "parameters": sum(tensor.numel() for name, tensor in tokenizer.state_dict().items() if "ema_" not in name),
    }


def training_of(folder: Path) -> Mapping[str, Any]:
    """Stage, steps, seed and genomes of the run that made what lies in a folder; empty where it does not say."""
    from vqdna.config import read_yaml
    from vqdna.results import RESULTS_FILE, read_json

    found: dict[str, Any] = {}
    for place in (folder, folder.parent):
        if (place / RESULTS_FILE).is_file():
            record = read_json(place / RESULTS_FILE)
            found = {key: record[key] for key in ("stage", "seed", "seconds", "genomes") if key in record}
            if (place / "run.yaml").is_file():
                found["steps"] = read_yaml(place / "run.yaml").get("training", {}).get("steps")
            return found
    return found


def _hand_made_tile(
    tokenizer: Tokenizer, base_ids: UInt8[ndarray, "base"], first: int
) -> tuple[Int[ndarray, "token level"], Int[ndarray, "token 2"]]:
    tokens = tokenizer.encode(torch.from_numpy(np.array(base_ids))[None])
    return tokens.codes[0].numpy(), tokens.spans[0].numpy() + first


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
