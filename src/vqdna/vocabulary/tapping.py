"""Latent encoder and quantizer together: bases -> codes, with what the block behind a tap is fed.

Flow: base_ids [batch, base] -> taps, each [batch, position, width] -> codes [batch, position, level]. Fed "continuous"
features, the latent encoder runs through and the quantizer reads its taps; fed "quantized" ones, it stops at each tap,
and the next block reads the token of the levels so far. Both the VQ-VAE and the frozen tokenizer encode through here.
It must not know losses nor the base decoder. Paper: section 3.3, which does not say what block 4 receives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from vqdna.vocabulary.convolution import LatentEncoder, kept
from vqdna.vocabulary.quantizer import HierarchicalQuantizer, LevelOutput, Quantizer, QuantizerOutput, mean_of
from vqdna.vocabulary.views import ViewEncoder

Feed = Literal["continuous", "quantized"]

QuantizeLevel = Callable[[int, Float[Tensor, "batch position width"], Sequence[LevelOutput]], LevelOutput]


def quantize_bases(
    latent_encoder: LatentEncoder | ViewEncoder,
    quantizer: Quantizer,
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"] | None = None,
    feed: Feed = "continuous",
) -> QuantizerOutput:
    """Codes, code vectors and loss terms of a batch; in training mode the codebooks take note of its latents."""
    if feed == "continuous":
        output: QuantizerOutput = quantizer(latent_encoder(base_ids, attention_mask))
        return output
    steps = stepwise(quantizer)
    return steps.merge(_fed_by_codes(latent_encoder, base_ids, attention_mask, steps.quantize_level))


def encode_bases(
    latent_encoder: LatentEncoder | ViewEncoder,
    quantizer: Quantizer,
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"] | None = None,
    feed: Feed = "continuous",
) -> Int[Tensor, "batch position level"]:
    """Codes of a batch, nothing noted.

    Raises:
        UntrainedCodebookError: the quantizer was neither trained nor loaded.
    """
    if feed == "continuous":
        return quantizer.encode(latent_encoder(base_ids, attention_mask))
    levels = _fed_by_codes(latent_encoder, base_ids, attention_mask, stepwise(quantizer).choose_level)
    return torch.stack([output.codes for output in levels], dim=-1)


def stepwise(quantizer: Quantizer) -> HierarchicalQuantizer:
    """The quantizer, where it takes one tap after the other.

    Raises:
        TypeError: it reads one tap only, so that no block can be fed its codes.
    """
    if not isinstance(quantizer, HierarchicalQuantizer):
        raise TypeError(f"a {type(quantizer).__name__} feeds no block; only HRQ has taps before the last")
    return quantizer


def _fed_by_codes(
    latent_encoder: LatentEncoder | ViewEncoder,
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"] | None,
    quantize_level: QuantizeLevel,
) -> list[LevelOutput]:
    """Every level's output, each later segment reading the token so far in place of the features."""
    if isinstance(latent_encoder, ViewEncoder):
        raise TypeError("views have no block that could be fed the codes")
    features, keep = latent_encoder.start(base_ids, attention_mask)
    levels: list[LevelOutput] = []
    for level in range(len(latent_encoder.taps)):
        features = latent_encoder.segment(level, features, keep)
        levels.append(quantize_level(level, features, levels))
        features = kept(mean_of([output.code_vectors for output in levels]).to(features.dtype), keep)
    return levels
