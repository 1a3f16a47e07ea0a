"""Codes of views by look-up: a level that reads few bases has few inputs, so all its codes are worked out once.

Flow: frozen ViewEncoder + ProductQuantizer -> one table per short level, word number -> code; then base_ids
[batch, base] -> codes [batch, position, level], without a matrix product for these levels. It must not know tokenizers
nor training.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from vqdna.vocabulary.convolution import NUM_BASES
from vqdna.vocabulary.quantizer import ProductQuantizer, Quantizer
from vqdna.vocabulary.views import ViewEncoder

LETTERS = NUM_BASES + 1
"""A, C, G, T and no base at all."""

MAX_VIEW = 8
"""Longest view with a table: 390,625 words. Longer ones go through the latent encoder."""


class WordTables:
    """Every level's codes by word number; the codes are those of the latent encoder and the quantizer.

    Args:
        latent_encoder: frozen encoder of views.
        quantizer: its trained quantizer, whose levels do not depend on each other.
    """

    @torch.no_grad()
    def __init__(self, latent_encoder: ViewEncoder, quantizer: ProductQuantizer) -> None:
        self.latent_encoder, self.quantizer = latent_encoder, quantizer
        self.views, self.reach = latent_encoder.views, latent_encoder.reach
        self.tables: dict[int, Int[Tensor, "word"]] = {}
        device = next(latent_encoder.parameters()).device
        for level, view in enumerate(self.views):
            if len(view) > MAX_VIEW:
                continue
            # A word's number is its letters read as digits of base 5, the first offset most significant. Taken apart
            # again, all numbers give all words, in the order in which `_codes` asks for them.
            places = LETTERS ** torch.arange(len(view) - 1, -1, -1, device=device)
            words = torch.arange(LETTERS ** len(view), device=device)[:, None] // places % LETTERS
            latents = latent_encoder.latents_of_words(level, words.to(torch.uint8))
            self.tables[level] = quantizer.codebooks[level].encode(latents)

    def encode(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None = None,
        num_levels: int | None = None,
    ) -> Int[Tensor, "batch position level"]:
        """Codes of every position, of the first levels; N, padding and what lies beyond the row's ends are no base."""
        known = base_ids if attention_mask is None else base_ids.masked_fill(~attention_mask, NUM_BASES)
        padded = torch.nn.functional.pad(known, (self.reach, self.reach), value=NUM_BASES)
        return torch.stack([self._codes(level, padded) for level in range(num_levels or len(self.views))], dim=-1)

    def _codes(self, level: int, padded: UInt8[Tensor, "batch padded"]) -> Int[Tensor, "batch position"]:
        num_bases = padded.shape[1] - 2 * self.reach
        if level not in self.tables:
            latents = self.latent_encoder.latents_at(level, padded, num_bases)
            return self.quantizer.codebooks[level].encode(latents)
        # Horner's rule over the offsets, all positions at once: one multiplication and one addition per letter. 5^8
        # words fit into 32 bits, which move half as much memory as 64.
        words = torch.zeros(len(padded), num_bases, dtype=torch.int32, device=padded.device)
        for offset in self.views[level]:
            start = self.reach + offset
            words = words * LETTERS + padded[:, start : start + num_bases]
        self.tables[level] = self.tables[level].to(words.device)  # a model that moved takes its tables along
        return self.tables[level][words]


def word_tables(latent_encoder: object, quantizer: Quantizer) -> WordTables | None:
    """Tables of a trained vocabulary, or None where no level's codes are a function of few bases."""
    if not (isinstance(latent_encoder, ViewEncoder) and isinstance(quantizer, ProductQuantizer)):
        return None
    if not quantizer.is_trained or min(map(len, latent_encoder.views)) > MAX_VIEW:
        return None
    return WordTables(latent_encoder, quantizer)
