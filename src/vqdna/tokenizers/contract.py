"""The tokenizer contract: base ids -> codes with base spans, the same for learned and hand-made tokenizers.

Flow: base_ids [batch, base] -> Tokens(codes [batch, position, level], spans [batch, position, 2], mask [batch,
position]). Stages 2 and 3 see only this file's types, so nucleotide, k-mer, BPE, VQ and HRQ are exchangeable.
It must not know the vocabulary, nor anything of training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy import ndarray
from torch import Tensor, nn

from vqdna.errors import InputError

TokenizerSettings: TypeAlias = Mapping[str, Any]
"""What a model saves of its tokenizer as JSON: `kind`, and whatever that kind is built from."""


@dataclass(frozen=True)
class Tokens:
    """Codes of a batch of base sequences, each with the bases it stands for.

    Attributes:
        codes: level last, level 0 coarsest; 0 where there is no token.
        spans: first base (inclusive) and last base (exclusive) of each position, 0-based in its row; (0, 0) where
            there is no token.
        attention_mask: True where the position holds a token, False where it is padding.
    """

    codes: Int[Tensor, "batch position level"]
    spans: Int[Tensor, "batch position 2"]
    attention_mask: Bool[Tensor, "batch position"]


class Tokenizer(nn.Module, ABC):
    """Turns base ids into codes; frozen, and complete in its settings and its state dict.

    Attributes:
        kind: name under which settings are saved and `load_tokenizer` finds the class.
        level_sizes: number of codes of each level.
        bases_per_position: mean bases by which one position advances.
        context_bases: bases on either side of a position's span that can change its code; 0 for hand-made tokenizers.
        vector_size: width of the code vectors, or None where codes have none (hand-made tokenizers).
        max_span: bases of the longest span.
        tile_step: a sequence may be cut at multiples of so many bases: a piece from there, with `context_bases` on
            either side, has the codes of the whole. None where a token's start depends on all before it (BPE).
    """

    kind: ClassVar[str]
    level_sizes: tuple[int, ...]
    bases_per_position: float
    context_bases: int = 0
    vector_size: int | None = None
    max_span: int = 1
    tile_step: int | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass with codes of its own would otherwise give those of the class above for whole rows.
        super().__init_subclass__(**kwargs)
        if "encode" in cls.__dict__ and "codes_of_rows" not in cls.__dict__:
            cls.codes_of_rows = Tokenizer.codes_of_rows  # type: ignore[method-assign]

    @property
    def device(self) -> torch.device:
        """Where its tensors lie; the processor for a tokenizer that has none."""
        return next(chain(self.parameters(), self.buffers()), torch.empty(0, device="cpu")).device

    @abstractmethod
    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Tokens of each row; bases where `attention_mask` is False are padding at the row's end and change no code."""

    def codes_of_rows(self, rows: Sequence[UInt8[ndarray, "_"]]) -> list[Int[ndarray, "_ level"]] | None:
        """Codes of whole rows on the processor, without padding or tiles; None where a kind has no such way."""
        del rows
        return None

    def spans_of(self, num_bases: int) -> Int[ndarray, "position 2"]:
        """Bases of each position of a row, where only its length decides; what `codes_of_rows` goes with."""
        starts = np.arange(num_bases)
        return np.stack([starts, starts + 1], axis=1)

    def code_vectors(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Vector of each position's codes, merged over levels; only for tokenizers with a `vector_size`."""
        raise TypeError(f"the {self.kind} tokenizer has codes without vectors")

    def with_levels(self, num_levels: int) -> Tokenizer:
        """The tokenizer reduced to its first levels; only learned ones have several.

        Raises:
            InputError: it has fewer levels.
        """
        if num_levels != len(self.level_sizes):
            raise InputError(f"num_levels: got {num_levels}, and the {self.kind} tokenizer has {len(self.level_sizes)}")
        return self

    @abstractmethod
    def settings(self) -> TokenizerSettings:
        """JSON-serializable settings from which `from_settings` builds the same tokenizer (weights apart)."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: TokenizerSettings) -> Tokenizer:
        """Tokenizer built from what `settings` gave; learned weights follow by `load_state_dict`."""
