"""k-mers as codes: overlapping (stride 1, DNABERT) or side by side (stride k, Nucleotide Transformer).

Flow: base_ids [batch, base] -> k-mer at every stride-th base [batch, window] -> codes [batch, position, 1]. A k-mer's
code is its base-4 number, A = 0, leftmost base most significant; after those 4^k codes stand A, C, G, T alone and one
code for anything that holds an N. The bases left over behind the last k-mer are single-base tokens, as in Nucleotide
Transformer; with stride 1 only rows shorter than k have any.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn import functional

from vqdna.devices import machine_code
from vqdna.errors import InputError
from vqdna.genome.bases import N
from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.tokenizers.padding import leading_mask, row_lengths

MAX_K = 12  # 16.8 million codes: beyond it no embedding table fits, and int32 sums would overflow at 15


class KmerTokenizer(Tokenizer):
    """Fixed-length words of DNA.

    Attributes:
        k: bases of a word.
        stride: bases from one word's start to the next one's, 1..k.
    """

    kind: ClassVar[str] = "kmer"

    def __init__(self, k: int, stride: int = 1) -> None:
        super().__init__()
        if not 1 <= k <= MAX_K:
            raise InputError(f"k-mer tokenizer: got k = {k}, expected 1 to {MAX_K}")
        if not 1 <= stride <= k:
            raise InputError(f"k-mer tokenizer: got stride {stride}, expected 1 to k = {k}")
        self.k = k
        self.stride = stride
        self.level_sizes = (4**k + 5,)
        self.bases_per_position, self.tile_step = float(stride), stride
        self.max_span = k

    @property
    def unknown_code(self) -> int:
        """Code of every word that holds an N."""
        return self.level_sizes[0] - 1

    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """k-mers of each row, then its left-over bases one by one; positions padded to the row with the most tokens."""
        lengths = row_lengths(base_ids, attention_mask)
        num_kmers = ((lengths - self.k) // self.stride + 1).clamp(min=0)
        covered = torch.where(num_kmers > 0, (num_kmers - 1) * self.stride + self.k, 0)
        num_positions = num_kmers + lengths - covered
        kept = leading_mask(num_positions, int(num_positions.max()) if len(lengths) else 0)

        position = torch.arange(kept.shape[1], device=base_ids.device)
        is_kmer = position < num_kmers[:, None]
        starts = torch.where(is_kmer, position * self.stride, covered[:, None] + position - num_kmers[:, None]) * kept
        ends = (starts + torch.where(is_kmer, self.k, 1)) * kept
        numbers, unknown = kmer_numbers(base_ids, self.k, self.stride)
        windows = numbers.masked_fill(unknown, self.unknown_code)
        # A batch has windows for its longest row and tokens for the row with the most, which left-over bases may make
        # another one: padded, or with a negative number cut.
        kmers = functional.pad(windows, (0, kept.shape[1] - windows.shape[1]))
        singles = 4**self.k + base_ids.gather(1, starts).long()
        codes = torch.where(is_kmer, kmers, singles) * kept
        return Tokens(codes[..., None], torch.stack([starts, ends], dim=-1), kept)

    def codes_of_rows(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Int[ndarray, "_ level"]] | None:
        """k-mers of each row, then its left-over bases one by one."""
        fits = np.int16 if self.level_sizes[0] <= np.iinfo(np.int16).max else np.int32
        codes = []
        for row in rows:
            num_kmers, covered = self._kmers_in(len(row))
            own = np.empty(num_kmers + len(row) - covered, dtype=fits)
            count_up(row, self.k, self.stride, own[:num_kmers])
            own[num_kmers:] = 4**self.k + row[covered:].astype(fits)
            codes.append(own[:, None])
        return codes

    def spans_of(self, num_bases: int) -> Int[ndarray, "position 2"]:
        """K bases of each k-mer, then one base each."""
        num_kmers, covered = self._kmers_in(num_bases)
        singles = np.arange(covered, num_bases)
        starts = np.concatenate([np.arange(num_kmers) * self.stride, singles])
        return np.stack([starts, starts + np.repeat([self.k, 1], [num_kmers, len(singles)])], axis=1)

    def _kmers_in(self, num_bases: int) -> tuple[int, int]:
        """k-mers of a row, and the bases from its start that they cover."""
        num_kmers = max(0, (num_bases - self.k) // self.stride + 1)
        return num_kmers, (num_kmers - 1) * self.stride + self.k if num_kmers else 0

    def settings(self) -> TokenizerSettings:
        """Kind, k and stride."""
        return {"kind": self.kind, "k": self.k, "stride": self.stride}

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> KmerTokenizer:
        """Tokenizer with the settings' k and stride."""
        return cls(settings["k"], settings["stride"])


@machine_code
def count_up(row: UInt8[ndarray, "base"], k: int, stride: int, codes: Int[ndarray, "window"]) -> None:
    """Code of each k-mer of a row, written into `codes`."""
    number = known = place = 0
    mask = (1 << 2 * k) - 1
    unknown = mask + 5
    for position in range(len(codes)):
        while place < position * stride + k:
            base = row[place]
            # A k-mer is known once k bases in turn are: those in front of an N have left the number by then.
            number = ((number << 2) | (base & 3)) & mask
            known = known + 1 if base < 4 else 0
            place += 1
        codes[position] = number if known >= k else unknown


def kmer_numbers(
    base_ids: UInt8[Tensor, "batch base"], k: int, stride: int = 1
) -> tuple[Int[Tensor, "batch window"], Bool[Tensor, "batch window"]]:
    """Base-4 number of the k bases at every stride-th base, and which of them hold an N, so that it says nothing.

    By Horner's rule, one pass for each of the k places.
    """
    batch, num_bases = base_ids.shape
    num_windows = max(0, (num_bases - k) // stride + 1)
    numbers = torch.zeros(batch, num_windows, dtype=torch.int32, device=base_ids.device)
    unknown = torch.zeros_like(numbers, dtype=torch.bool)
    for place in range(k):
        bases = base_ids[:, place::stride][:, :num_windows]
        numbers = numbers * 4 + bases
        unknown |= bases >= N
    return numbers.long(), unknown
