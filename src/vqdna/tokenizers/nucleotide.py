"""One code per base: A C G T = 0..3 and N = 4, as HyenaDNA reads DNA.

Flow: base_ids [batch, base] -> codes [batch, base, 1], where position i spans the bases [i, i + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from numpy import ndarray
from torch import Tensor

from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.tokenizers.padding import leading_mask, row_lengths


class NucleotideTokenizer(Tokenizer):
    """Single bases as codes; a position is a base."""

    kind: ClassVar[str] = "nucleotide"

    def __init__(self) -> None:
        super().__init__()
        self.level_sizes = (5,)
        self.bases_per_position, self.tile_step = 1.0, 1

    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Base ids of each row as they stand, positions as wide as the batch."""
        batch, num_bases = base_ids.shape
        kept = leading_mask(row_lengths(base_ids, attention_mask), num_bases)
        starts = torch.arange(num_bases, device=base_ids.device).expand(batch, -1)
        spans = torch.stack([starts, starts + 1], dim=-1)
        return Tokens((base_ids.long() * kept)[..., None], spans * kept[..., None], kept)

    def codes_of_rows(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Int[ndarray, "_ level"]] | None:
        """Base ids of each row as they stand."""
        return [row[:, None].astype(np.int16) for row in rows]

    def settings(self) -> TokenizerSettings:
        """The kind alone."""
        return {"kind": self.kind}

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> NucleotideTokenizer:
        """The one nucleotide tokenizer there is."""
        return cls()
