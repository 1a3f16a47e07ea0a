"""What a vocabulary is: shape, quantizer and loss weights, checked where they contradict each other.

Flow: keyword values or a saved config.json -> VQVAEConfig, or one line naming the key at fault. It must not know
modules nor training runs. Paper: section 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedConfig

from vqdna.errors import InputError, nearest_name_hint

FORMAT_VERSION = 1
"""Version of the saved directory; a directory of another version is refused."""

QUANTIZERS = ("vq", "hrq", "product", "rvq", "fsq", "cosine", "simvq")
"""Names of the quantizers; see `VQVAEConfig`."""

SEVERAL_LEVELS = ("hrq", "product", "rvq")
"""Quantizers of two levels or more; the others have one."""

LATENT_PER_LEVEL = ("hrq", "product")
"""Quantizers whose levels read a latent each; the others read the last one alone."""

NEIGHBOR_WORD = 4
"""Bases of the words by which a neighboring block is described."""

CODE_DIM = 16
"""Dimensions in which the cosine quantizer compares codes where none are given (vector-quantize-pytorch's example)."""


class VQVAEConfig(PreTrainedConfig):
    """Shape of a vocabulary and of its training losses; the defaults are the paper's HRQ.

    Args:
        quantizer: "vq" (one level), "hrq" (one level per tap), "product" (one level per tap, nothing subtracted), "rvq"
            (residual levels, added, on the last tap), "fsq" (rounded scalars), "cosine" (directions in a narrow space)
            or "simvq" (one learned matrix moves all codes).
        level_sizes: codes per level, coarsest first; the paper's K = 512 gives (512,) for VQ and (1024, 2048) for HRQ.
        taps: latent-encoder blocks (from 1) whose output is quantized, one per level for HRQ and product and one for
            all others; the last one is the last block. Default: evenly spaced. Views read no block.
        bases_per_position: bases that one position advances.
        commitment_weight: the paper's beta.
        codebook_learning: "ema", or "gradient" for the poster's codebook loss (weight `codebook_weight`).
        codebook_decay: EMA decay per optimizer step.
        codebook_warm_up_decay: whether the first steps decay faster, see `Codebook`; dead codes are then found at once.
        dead_code_threshold: EMA count per step below which a code is revived; 0 turns revival off.
        codebook_revival: "random" or "farthest", where dead codes go, see `Codebook`.
        stop_residual_gradient: HRQ: no gradient through `e(M(n-1))` inside `H(n)`.
        gradient: "straight_through" or "rotation", how the gradient passes the codes.
        feed: HRQ: what the block behind a tap reads, the "continuous" features or the "quantized" token so far.
        code_dim: cosine: dimensions in which codes are compared; default 16.
        fsq_levels: FSQ: steps of each scalar; their product is the level's size.
        views: for each level the offsets of the bases that it reads, in place of the convolutional latent encoder;
            `stem_width` is then the width of the hidden layer. Stride 1.
        fixed_latents: whether the latent encoder stays as it was started, random features of the bases, and codebooks
            and decoder alone learn.
        shared_strands: whether a position and its place on the other strand have the same latent; one value, or one for
            each level. Stride 1.
        decoder: "mirror" (the paper's, sees all positions) or "pointwise" (each position from its own token).
        target_reach: pointwise: bases to be rebuilt on either side of a position's span.
        masked_base_fraction: share of the bases hidden from the latent encoder in training, in stretches of
            `masked_base_span`; they are to be rebuilt like all others.
        strand_weight: weight of the distance between the latents of the two strands. Stride 1.
        neighbor_weight: weight of predicting the words of the neighboring block (`neighbor_bases`) from the mean token.
    """

    model_type = "vqdna_vqvae"

    def __init__(
        self,
        quantizer: str = "hrq",
        level_sizes: Sequence[int] = (1024, 2048),
        taps: Sequence[int] | None = None,
        width: int = 384,
        stem_width: int = 256,
        stem_kernel_size: int = 5,
        num_blocks: int = 6,
        kernel_size: int = 7,
        expansion: int = 4,
        bases_per_position: int = 1,
        commitment_weight: float = 0.5,
        codebook_weight: float = 1.0,
        codebook_learning: str = "ema",
        codebook_decay: float = 0.99,
        codebook_warm_up_decay: bool = False,
        dead_code_threshold: float = 0.5,
        codebook_revival: str = "random",
        stop_residual_gradient: bool = True,
        gradient: str = "straight_through",
        feed: str = "continuous",
        code_dim: int | None = None,
        fsq_levels: Sequence[int] | None = None,
        views: Sequence[Sequence[int]] | None = None,
        fixed_latents: bool = False,
        shared_strands: bool | Sequence[bool] = False,
        decoder: str = "mirror",
        target_reach: int = 0,
        masked_base_fraction: float = 0.0,
        masked_base_span: int = 1,
        strand_weight: float = 0.0,
        neighbor_weight: float = 0.0,
        neighbor_bases: int = 128,
        codebook_seed: int = 0,
        format_version: int = FORMAT_VERSION,
        **kwargs: Any,
    ) -> None:
        self.quantizer, self.level_sizes = quantizer, list(level_sizes)
        num_taps = len(self.level_sizes) if quantizer in LATENT_PER_LEVEL else 1
        self.taps = list(taps) if taps is not None else _even_taps(num_blocks, num_taps)
        self.width, self.stem_width, self.stem_kernel_size = width, stem_width, stem_kernel_size
        self.num_blocks, self.kernel_size, self.expansion = num_blocks, kernel_size, expansion
        self.bases_per_position = bases_per_position
        self.commitment_weight, self.codebook_weight = commitment_weight, codebook_weight
        self.codebook_learning, self.codebook_decay = codebook_learning, codebook_decay
        self.codebook_warm_up_decay, self.codebook_revival = codebook_warm_up_decay, codebook_revival
        self.dead_code_threshold, self.stop_residual_gradient = dead_code_threshold, stop_residual_gradient
        self.gradient, self.feed = gradient, feed
        self.code_dim = min(CODE_DIM, width) if quantizer == "cosine" and code_dim is None else code_dim
        self.fsq_levels = None if fsq_levels is None else list(fsq_levels)
        self.views = None if views is None else [list(view) for view in views]
        shared = [shared_strands] * num_taps if isinstance(shared_strands, bool) else list(shared_strands)
        self.shared_strands: list[bool] = shared
        self.fixed_latents = fixed_latents
        self.decoder, self.target_reach = decoder, target_reach
        self.masked_base_fraction, self.masked_base_span = masked_base_fraction, masked_base_span
        self.strand_weight, self.neighbor_weight, self.neighbor_bases = strand_weight, neighbor_weight, neighbor_bases
        self.codebook_seed, self.format_version = codebook_seed, format_version
        super().__init__(**kwargs)
        _refuse_contradictions(self)

    @property
    def context_bases(self) -> int:
        """Bases on either side of a position's span that its codes can depend on (20 with the paper's shape)."""
        if self.views:
            return max(abs(offset) for view in self.views for offset in view)
        stem = -(-(self.stem_kernel_size - self.bases_per_position) // 2)
        return stem + self.taps[-1] * (self.kernel_size // 2) * self.bases_per_position


def _even_taps(num_blocks: int, num_taps: int) -> list[int]:
    return [max(num_blocks, num_taps) * (tap + 1) // num_taps for tap in range(num_taps)]


def _refuse_contradictions(config: VQVAEConfig) -> None:
    """Refuses values that contradict each other, naming the key."""
    for checks in (_version_and_names, _levels, _shape, _what_one_quantizer_has, _latents, _objectives):
        for holds, message in checks(config):
            if not holds:
                raise InputError(message)


Checks = list[tuple[bool, str]]


def _version_and_names(config: VQVAEConfig) -> Checks:
    return [
        (
            config.format_version == FORMAT_VERSION,
            f"format_version: got {config.format_version}, this version reads {FORMAT_VERSION}",
        ),
        _one_of("quantizer", config.quantizer, QUANTIZERS),
        _one_of("codebook_learning", config.codebook_learning, ("ema", "gradient")),
        _one_of("gradient", config.gradient, ("straight_through", "rotation")),
        _one_of("feed", config.feed, ("continuous", "quantized")),
        _one_of("codebook_revival", config.codebook_revival, ("random", "farthest")),
        _one_of("decoder", config.decoder, ("mirror", "pointwise")),
    ]


def _one_of(key: str, name: str, known: Sequence[str]) -> tuple[bool, str]:
    return name in known, f"{key}: got '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}"


def _levels(config: VQVAEConfig) -> Checks:
    name, sizes, taps = config.quantizer, config.level_sizes, config.taps
    per_level = name in LATENT_PER_LEVEL
    num_taps = len(sizes) if per_level else 1
    several, last = name in SEVERAL_LEVELS, config.num_blocks
    return [
        (len(sizes) > 0 and all(size > 1 for size in sizes), f"level_sizes: got {sizes}, expected sizes of at least 2"),
        (several or len(sizes) == 1, f"level_sizes: {name} has one level, got {len(sizes)} sizes {sizes}"),
        (
            not several or len(sizes) >= 2,
            f"level_sizes: {name} has two levels or more, got {sizes}; one level is vq",
        ),
        (
            len(taps) == num_taps,
            f"taps: expected one block per level ({num_taps}), got {taps}"
            if per_level
            else f"taps: {name} reads the last block {last} alone, got {taps}",
        ),
        (taps == sorted(set(taps)) and taps[:1] >= [1], f"taps: expected ascending blocks from 1, got {taps}"),
        (bool(config.views) or taps[-1:] == [last], f"taps: the last tap must be the last block {last}, got {taps}"),
    ]


def _shape(config: VQVAEConfig) -> Checks:
    return [
        (config.kernel_size % 2 == 1, f"kernel_size: expected an odd number, got {config.kernel_size}"),
        (
            config.stem_kernel_size >= config.bases_per_position,
            f"stem_kernel_size: {config.stem_kernel_size} is below bases_per_position {config.bases_per_position}",
        ),
        (0 < config.codebook_decay < 1, f"codebook_decay: expected between 0 and 1, got {config.codebook_decay}"),
    ]


def _what_one_quantizer_has(config: VQVAEConfig) -> Checks:
    name, steps, size, learning = config.quantizer, config.fsq_levels, config.level_sizes[0], config.codebook_learning
    return [
        (config.feed == "continuous" or name == "hrq", f"feed: quantized is for hrq, the quantizer is {name}"),
        (name == "fsq" or steps is None, f"fsq_levels: only fsq has them, the quantizer is {name}"),
        (name != "fsq" or bool(steps), "fsq_levels: fsq needs them, for example [8, 8, 8] for 512 codes"),
        (not steps or min(steps) >= 3, f"fsq_levels: expected at least 3 steps each, got {steps}"),
        (
            not steps or math.prod(steps) == size,
            f"fsq_levels: {steps} makes {math.prod(steps or ())} codes, level_sizes says {size}",
        ),
        (name != "fsq" or config.gradient == "straight_through", "gradient: fsq rounds straight through, got rotation"),
        (name != "fsq" or learning == "ema", "codebook_learning: fsq has no code vectors that learn, leave it out"),
        (name != "simvq" or learning == "gradient", f"codebook_learning: simvq learns by gradient, got '{learning}'"),
        (
            name == "cosine" or config.code_dim is None,
            f"code_dim: only the cosine quantizer has it, the quantizer is {name}",
        ),
        (
            config.code_dim is None or 1 < config.code_dim <= config.width,
            f"code_dim: expected 2 to width {config.width}, got {config.code_dim}",
        ),
    ]


def _latents(config: VQVAEConfig) -> Checks:
    """Views, and what both strands may share."""
    views, shared, num_latents = config.views or [], config.shared_strands, len(config.taps)
    both, has_stem = any(shared) or config.strand_weight > 0, config.views is None
    unmirrored = [view for view, is_shared in zip(views, shared) if is_shared and view != [-o for o in reversed(view)]]
    return [
        (has_stem or len(views) == num_latents, f"views: expected {num_latents}, one per level, got {len(views)}"),
        (all(view and view == sorted(set(view)) for view in views), f"views: expected ascending offsets, got {views}"),
        (not views or config.bases_per_position == 1, "views: bases_per_position is 1 where levels read views"),
        (not views or config.feed == "continuous", "feed: views feed no block, leave it out"),
        (len(shared) == num_latents, f"shared_strands: expected {num_latents}, one per level, got {shared}"),
        (not unmirrored, f"shared_strands: a shared view mirrors itself around 0, got {unmirrored[:1]}"),
        (not both or config.bases_per_position == 1, "shared_strands, strand_weight: need bases_per_position 1"),
        (
            not (both and has_stem) or config.stem_kernel_size % 2 == 1,
            "shared_strands, strand_weight: need an odd stem_kernel_size",
        ),
        (not any(shared) or config.feed == "continuous", "feed: quantized does not go with shared_strands"),
    ]


def _objectives(config: VQVAEConfig) -> Checks:
    block, stride = config.neighbor_bases, config.bases_per_position
    return [
        (
            config.target_reach == 0 or config.decoder == "pointwise",
            f"target_reach: {config.target_reach} is for the pointwise decoder, the decoder is {config.decoder}",
        ),
        (config.target_reach >= 0, f"target_reach: expected 0 or more bases, got {config.target_reach}"),
        (
            0 <= config.masked_base_fraction < 1,
            f"masked_base_fraction: expected from 0 to below 1, got {config.masked_base_fraction}",
        ),
        (config.masked_base_span >= 1, f"masked_base_span: expected 1 base or more, got {config.masked_base_span}"),
        (
            config.strand_weight == 0 or config.feed == "continuous",
            "feed: quantized does not go with strand_weight",
        ),
        (
            config.neighbor_weight == 0 or (block >= max(stride, NEIGHBOR_WORD) and block % stride == 0),
            f"neighbor_bases: expected a multiple of bases_per_position {stride}, {NEIGHBOR_WORD} or more, got {block}",
        ),
    ]
