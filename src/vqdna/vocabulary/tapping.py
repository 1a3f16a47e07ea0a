"""Latent encoder and quantizer together: bases -> codes, with what the block behind a tap is fed.

Flow: base_ids [batch, base] -> taps, each [batch, position, width] -> codes [batch, position, level]. Fed "continuous"
features, the latent encoder runs through and the quantizer reads its taps; fed "quantized" ones, it stops at each tap,
and the next block reads the token of the levels so far. Both the VQ-VAE and the frozen tokenizer encode through here.
It must not know losses nor the base decoder. Paper: section 3.3, which does not say what block 4 receives.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor

from vqdna.vocabulary.convolution import LatentEncoder, kept
from vqdna.vocabulary.quantizer import HierarchicalQuantizer, Quantizer, QuantizerOutput, mean_of
from vqdna.vocabulary.views import ViewEncoder

Feed = Literal["continuous", "quantized"]


def quantize_bases(
    latent_encoder: LatentEncoder | ViewEncoder,
    quantizer: Quantizer,
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"] | None = None,
    feed: Feed = "continuous",
    *,
    only_codes: bool = False,
) -> QuantizerOutput:
    """Codes, code vectors and loss terms of a batch; in training mode the codebooks take note of its latents.

    Args:
        latent_encoder: gives the latents.
        quantizer: reads them.
        base_ids: A, C, G, T = 0..3, N = 4.
        attention_mask: False for padding at a row's end.
        feed: what the block behind a tap reads.
        only_codes: no codebook takes note of anything, and the loss terms may be zero.

    Raises:
        UntrainedCodebookError: codes alone are asked for, or in evaluation mode, before any training.
        TypeError: codes are to be fed, and the quantizer reads one tap only or the latent encoder has no blocks.
    """
    if feed == "continuous":
        output: QuantizerOutput = quantizer(latent_encoder(base_ids, attention_mask), only_codes=only_codes)
        return output
    if not isinstance(quantizer, HierarchicalQuantizer):
        raise TypeError(f"a {type(quantizer).__name__} feeds no block; only HRQ has taps before the last")
    if isinstance(latent_encoder, ViewEncoder):
        raise TypeError("views have no block that could be fed the codes")
    features, keep = latent_encoder.start(base_ids, attention_mask)
    levels: list[QuantizerOutput] = []
    for level in range(len(latent_encoder.taps)):
        features = latent_encoder.segment(level, features, keep)
        levels.append(quantizer.quantize_level(level, features, levels, only_codes=only_codes))
        # The next block reads the token of the levels so far, which carries the gradient straight through to the
        # features it replaces. Padding has a token too, the code nearest to zeros: it must not reach its neighbors.
        features = kept(mean_of([output.code_vectors for output in levels]).to(features.dtype), keep)
    return quantizer.merge(levels)


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
    with torch.no_grad():
        return quantize_bases(latent_encoder, quantizer, base_ids, attention_mask, feed, only_codes=True).codes
