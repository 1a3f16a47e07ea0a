"""What a vocabulary is: shape, quantizer and loss weights, checked where they contradict each other.

Flow: keyword values or a saved config.json -> VQVAEConfig, or one line naming the key at fault. It must not know
modules nor training runs. Paper: section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from transformers import PreTrainedConfig

from vqdna.config import StrictModel
from vqdna.errors import InputError, nearest_name_hint

FORMAT_VERSION = 1
"""Version of the saved directory; a directory of another version is refused."""

QUANTIZERS = ("vq", "hrq", "product", "rvq", "fsq", "cosine", "simvq")
"""Names of the quantizers; see `VocabularySettings`."""

NAMES = {
    "quantizer": QUANTIZERS,
    "codebook_learning": ("ema", "gradient"),
    "gradient": ("straight_through", "rotation"),
    "feed": ("continuous", "quantized"),
    "codebook_revival": ("random", "farthest"),
    "decoder": ("mirror", "pointwise"),
}
"""Keys that take one of a few names."""

SEVERAL_LEVELS = ("hrq", "product", "rvq")
"""Quantizers of two levels or more; the others have one."""

LATENT_PER_LEVEL = ("hrq", "product")
"""Quantizers whose levels read a latent each; the others read the last one alone."""

NEIGHBOR_WORD = 4
"""Bases of the words by which a neighboring block is described."""

CODE_DIM = 16
"""Dimensions in which the cosine quantizer compares codes where none are given (vector-quantize-pytorch's example)."""


class VocabularySettings(StrictModel):
    """Shape of a vocabulary and of its training losses."""

    # "vq" (one level), "hrq" (one level per tap), "product" (one level per tap, nothing subtracted), "rvq" (residual
    # levels, added, on the last tap), "fsq" (rounded scalars), "cosine" (directions in a narrow space) or "simvq" (one
    # learned matrix moves all codes)
    quantizer: str
    # codes per level, coarsest first; the paper's K = 512 gives (512,) for VQ and (1024, 2048) for HRQ
    level_sizes: tuple[int, ...]
    # latent-encoder blocks (from 1) whose output is quantized, one per level for HRQ and product and one for all
    # others; the last one is the last block; evenly spaced by default; views read no block
    taps: tuple[int, ...] | None = None
    width: int = Field(default=384, ge=1)
    stem_width: int = Field(default=256, ge=1)
    stem_kernel_size: int = Field(default=5, ge=1)
    num_blocks: int = Field(default=6, ge=1)
    kernel_size: int = Field(default=7, ge=1)
    expansion: int = Field(default=4, ge=1)
    bases_per_position: int = Field(default=1, ge=1)  # bases that one position advances
    commitment_weight: float = Field(default=0.5, ge=0)  # the paper's beta
    codebook_weight: float = Field(default=1.0, ge=0)
    codebook_learning: Literal["ema", "gradient"] = "ema"  # "gradient" is the poster's codebook loss
    codebook_decay: float = 0.99  # EMA decay per optimizer step
    # whether the first steps decay faster, see `Codebook`; dead codes are then found at once
    codebook_warm_up_decay: bool = False
    # EMA count per step below which a code is revived; 0 turns revival off
    dead_code_threshold: float = Field(default=0.5, ge=0)
    codebook_revival: Literal["random", "farthest"] = "random"  # where dead codes go, see `Codebook`
    stop_residual_gradient: bool = True  # HRQ: no gradient through `e(M(n-1))` inside `H(n)`
    gradient: Literal["straight_through", "rotation"] = "straight_through"  # how the gradient passes the codes
    # HRQ: what the block behind a tap reads, the continuous features or the quantized token so far
    feed: Literal["continuous", "quantized"] = "continuous"
    code_dim: int | None = Field(default=None, ge=2)  # cosine: dimensions in which codes are compared; default 16
    fsq_levels: tuple[int, ...] | None = None  # FSQ: steps of each scalar; their product is the level's size
    # for each level the offsets of the bases that it reads, in place of the convolutional latent encoder; `stem_width`
    # is then the width of the hidden layer; stride 1
    views: tuple[tuple[int, ...], ...] | None = None
    # whether the latent encoder stays as it was started, random features of the bases, and codebooks and decoder learn
    fixed_latents: bool = False
    # whether a position and its place on the other strand have the same latent; one value, or one a level; stride 1
    shared_strands: bool | tuple[bool, ...] = False
    # the paper's "mirror" sees all positions, "pointwise" makes each position from its own token
    decoder: Literal["mirror", "pointwise"] = "mirror"
    target_reach: int = Field(default=0, ge=0)  # pointwise: bases to be rebuilt on either side of a position's span
    # share of the bases hidden from the latent encoder in training, in spans; they are to be rebuilt like all others
    masked_base_fraction: float = Field(default=0.0, ge=0, lt=1)
    masked_base_span: int = Field(default=1, ge=1)
    strand_weight: float = Field(default=0.0, ge=0)  # of the distance between the latents of the two strands; stride 1
    # weight of predicting the words of the neighboring block (`neighbor_bases`) from the mean token
    neighbor_weight: float = Field(default=0.0, ge=0)
    neighbor_bases: int = Field(default=128, ge=8)

    @field_validator("quantizer")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in QUANTIZERS:
            known = ", ".join(QUANTIZERS)
            raise PydanticCustomError("quantizer", f"expected one of {known}{nearest_name_hint(name, QUANTIZERS)}")
        return name


class VQVAEConfig(PreTrainedConfig):
    """`VocabularySettings`, of any of its keys, as transformers saves them; the defaults are the paper's HRQ."""

    model_type = "vqdna_vqvae"

    def __init__(
        self,
        quantizer: str = "hrq",
        level_sizes: Sequence[int] = (1024, 2048),
        codebook_seed: int = 0,
        format_version: int = FORMAT_VERSION,
        **kwargs: Any,
    ) -> None:
        given = {name: kwargs.pop(name) for name in VocabularySettings.model_fields if name in kwargs}
        # Values are taken as they are: `_contradictions` checks them, key by key, and tells of each in one way.
        shape = VocabularySettings.model_construct(quantizer=quantizer, level_sizes=tuple(level_sizes), **given)
        num_taps = len(shape.level_sizes) if quantizer in LATENT_PER_LEVEL else 1
        last, shared = max(shape.num_blocks, num_taps), shape.shared_strands
        own = dict(shape)
        if shape.taps is None:
            own["taps"] = [last * (tap + 1) // num_taps for tap in range(num_taps)]
        if shape.code_dim is None and quantizer == "cosine":
            own["code_dim"] = min(CODE_DIM, shape.width)
        own["shared_strands"] = [shared] * num_taps if isinstance(shared, bool) else shared
        for name, value in own.items():
            setattr(self, name, _as_lists(value))
        self.codebook_seed, self.format_version = codebook_seed, format_version
        super().__init__(**kwargs)
        for fault in _contradictions(self):
            raise InputError(fault)

    @property
    def context_bases(self) -> int:
        """Bases on either side of a position's span that its codes can depend on (20 with the paper's shape)."""
        if self.views:
            return max(abs(int(offset)) for view in self.views for offset in view)
        stem = -(-(self.stem_kernel_size - self.bases_per_position) // 2)
        return int(stem + self.taps[-1] * (self.kernel_size // 2) * self.bases_per_position)


def _as_lists(value: Any) -> Any:
    """Tuples as JSON has them, so that a saved configuration equals the one that was saved."""
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _contradictions(config: VQVAEConfig) -> Iterator[str]:
    """What is wrong with a configuration, key by key; what one needs to be right stands before what builds on it."""
    if config.format_version != FORMAT_VERSION:
        yield f"format_version: got {config.format_version}, this version reads {FORMAT_VERSION}"
    for key, known in NAMES.items():
        name = getattr(config, key)
        if name not in known:
            yield f"{key}: got '{name}', expected one of {', '.join(known)}{nearest_name_hint(name, known)}"
    yield from _of_shape(config)
    yield from _of_quantizer(config)
    yield from _of_latents(config)
    yield from _of_objectives(config)


def _of_shape(config: VQVAEConfig) -> Iterator[str]:
    name, sizes, taps, last = config.quantizer, config.level_sizes, config.taps, config.num_blocks
    per_level = name in LATENT_PER_LEVEL
    num_taps = len(sizes) if per_level else 1
    if not sizes or min(sizes) < 2:
        yield f"level_sizes: got {sizes}, expected sizes of at least 2"
    if len(sizes) != 1 and name not in SEVERAL_LEVELS:
        yield f"level_sizes: {name} has one level, got {len(sizes)} sizes {sizes}"
    if len(sizes) < 2 and name in SEVERAL_LEVELS:
        yield f"level_sizes: {name} has two levels or more, got {sizes}; one level is vq"
    if len(taps) != num_taps:
        wanted = (
            f"expected one block per level ({num_taps})" if per_level else f"{name} reads the last block {last} alone"
        )
        yield f"taps: {wanted}, got {taps}"
    if taps != sorted(set(taps)) or taps[:1] < [1]:
        yield f"taps: expected ascending blocks from 1, got {taps}"
    if not config.views and taps[-1:] != [last]:
        yield f"taps: the last tap must be the last block {last}, got {taps}"
    if config.kernel_size % 2 == 0:
        yield f"kernel_size: expected an odd number, got {config.kernel_size}"
    if config.stem_kernel_size < config.bases_per_position:
        yield f"stem_kernel_size: {config.stem_kernel_size} is below bases_per_position {config.bases_per_position}"
    if not 0 < config.codebook_decay < 1:
        yield f"codebook_decay: expected between 0 and 1, got {config.codebook_decay}"


def _of_quantizer(config: VQVAEConfig) -> Iterator[str]:
    """What one quantizer alone has."""
    name, steps, size, learning = config.quantizer, config.fsq_levels, config.level_sizes[0], config.codebook_learning
    if config.feed == "quantized" and name != "hrq":
        yield f"feed: quantized is for hrq, the quantizer is {name}"
    if steps is not None and name != "fsq":
        yield f"fsq_levels: only fsq has them, the quantizer is {name}"
    if not steps and name == "fsq":
        yield "fsq_levels: fsq needs them, for example [8, 8, 8] for 512 codes"
    if steps and min(steps) < 3:
        yield f"fsq_levels: expected at least 3 steps each, got {steps}"
    if steps and math.prod(steps) != size:
        yield f"fsq_levels: {steps} makes {math.prod(steps)} codes, level_sizes says {size}"
    if name == "fsq" and config.gradient != "straight_through":
        yield "gradient: fsq rounds straight through, got rotation"
    if name == "fsq" and learning != "ema":
        yield "codebook_learning: fsq has no code vectors that learn, leave it out"
    if name == "simvq" and learning != "gradient":
        yield f"codebook_learning: simvq learns by gradient, got '{learning}'"
    if name != "cosine" and config.code_dim is not None:
        yield f"code_dim: only the cosine quantizer has it, the quantizer is {name}"
    if config.code_dim is not None and not 1 < config.code_dim <= config.width:
        yield f"code_dim: expected 2 to width {config.width}, got {config.code_dim}"


def _of_latents(config: VQVAEConfig) -> Iterator[str]:
    """Views, and what both strands may share."""
    views, shared, num_latents = config.views or [], config.shared_strands, len(config.taps)
    both, has_stem = any(shared) or config.strand_weight > 0, config.views is None
    unmirrored = [view for view, is_shared in zip(views, shared) if is_shared and view != [-o for o in reversed(view)]]
    if not has_stem and len(views) != num_latents:
        yield f"views: expected {num_latents}, one per level, got {len(views)}"
    if not all(view and view == sorted(set(view)) for view in views):
        yield f"views: expected ascending offsets, got {views}"
    if views and config.bases_per_position != 1:
        yield "views: bases_per_position is 1 where levels read views"
    if views and config.feed != "continuous":
        yield "feed: views feed no block, leave it out"
    if len(shared) != num_latents:
        yield f"shared_strands: expected {num_latents}, one per level, got {shared}"
    if unmirrored:
        yield f"shared_strands: a shared view mirrors itself around 0, got {unmirrored[:1]}"
    if both and config.bases_per_position != 1:
        yield "shared_strands, strand_weight: need bases_per_position 1"
    if both and has_stem and config.stem_kernel_size % 2 == 0:
        yield "shared_strands, strand_weight: need an odd stem_kernel_size"
    if any(shared) and config.feed != "continuous":
        yield "feed: quantized does not go with shared_strands"


def _of_objectives(config: VQVAEConfig) -> Iterator[str]:
    block, stride = config.neighbor_bases, config.bases_per_position
    if config.target_reach != 0 and config.decoder != "pointwise":
        yield f"target_reach: {config.target_reach} is for the pointwise decoder, the decoder is {config.decoder}"
    if config.target_reach < 0:
        yield f"target_reach: expected 0 or more bases, got {config.target_reach}"
    if not 0 <= config.masked_base_fraction < 1:
        yield f"masked_base_fraction: expected from 0 to below 1, got {config.masked_base_fraction}"
    if config.masked_base_span < 1:
        yield f"masked_base_span: expected 1 base or more, got {config.masked_base_span}"
    if config.strand_weight != 0 and config.feed != "continuous":
        yield "feed: quantized does not go with strand_weight"
    if config.neighbor_weight != 0 and (block < max(stride, NEIGHBOR_WORD) or block % stride):
        wanted = f"a multiple of bases_per_position {stride}, {NEIGHBOR_WORD} or more"
        yield f"neighbor_bases: expected {wanted}, got {block}"
