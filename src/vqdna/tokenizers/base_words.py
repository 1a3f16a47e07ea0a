"""Bases and the words that cover them: each base as a token, beside it what another tokenizer says there.

Flow: base_ids [batch, base] -> tokens of the other tokenizer -> codes [batch, base, 1 + level], where level 0 is the
base itself, A C G T = 0..3 and N = 4, and the others are codes of the word that covers it. A network that reads them
sees every base in its place, and which learned word it is part of. It must not know which tokenizer the words are of.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from vqdna.tokenizers.contract import Tokenizer, TokenizerSettings, Tokens
from vqdna.tokenizers.nucleotide import NucleotideTokenizer

MOST_CODES = 2048
"""Levels with more are left out: thousands of sequences do not show each word often enough."""


class BaseWordTokenizer(Tokenizer):
    """Bases as tokens, each with the codes of the word that covers it; a level's last code stands for no word.

    Args:
        words: frozen; up to its first level of too many codes, see `levels_of_few_codes`.
    """

    kind: ClassVar[str] = "base_words"

    def __init__(self, words: Tokenizer) -> None:
        super().__init__()
        self.bases, self.words = NucleotideTokenizer(), levels_of_few_codes(words).requires_grad_(False)
        self.level_sizes = (*self.bases.level_sizes, *(size + 1 for size in self.words.level_sizes))
        self.bases_per_position = self.bases.bases_per_position
        self.tile_step = self.words.tile_step
        self.context_bases = self.words.context_bases + self.words.max_span - 1

    @torch.no_grad()
    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Tokens:
        """Tokens of each row, positions as wide as the batch."""
        tokens = self.bases.encode(base_ids, attention_mask)
        words = words_at_bases(self.words, base_ids, tokens.attention_mask)
        codes = torch.cat([tokens.codes, words * tokens.attention_mask[..., None]], dim=2)
        return Tokens(codes, tokens.spans, tokens.attention_mask)

    def settings(self) -> TokenizerSettings:
        """The kind and what the words' tokenizer gives."""
        return {"kind": self.kind, "words": self.words.settings()}

    @classmethod
    def from_settings(cls, settings: TokenizerSettings) -> BaseWordTokenizer:
        """Tokenizer around `words`, which `tokenizer_from_settings` has built from what they were saved as."""
        return cls(settings["words"])


def levels_of_few_codes(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer up to its first level of too many codes, the coarsest in any case."""
    sizes = tokenizer.level_sizes
    num_levels = next((level for level, size in enumerate(sizes) if size > MOST_CODES), len(sizes))
    return tokenizer.with_levels(max(1, num_levels))


def words_at_bases(
    tokenizer: Tokenizer, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"]
) -> Int[Tensor, "batch base level"]:
    """Codes of the last token that starts at or before each base and covers it; a level's size where none does."""
    tokens = tokenizer.encode(base_ids, attention_mask)
    num_bases = base_ids.shape[1]
    # Tokens start in ascending order, so the last one that starts at or before a base is found by halving. Padding
    # starts behind the row's end: else its zeros would break the order.
    starts = tokens.spans[..., 0].masked_fill(~tokens.attention_mask, num_bases).contiguous()
    bases = torch.arange(num_bases, device=starts.device).expand(len(starts), -1).contiguous()
    token = torch.searchsorted(starts, bases, right=True) - 1
    # -1 before the first token; a token that starts in time may also end too early, in front of an N.
    is_covered = (token >= 0) & (bases < tokens.spans[..., 1].gather(1, token.clamp(min=0)))
    codes = tokens.codes.gather(1, token.clamp(min=0)[..., None].expand(-1, -1, tokens.codes.shape[2]))
    return torch.where(is_covered[..., None], codes, codes.new_tensor(tokenizer.level_sizes))
