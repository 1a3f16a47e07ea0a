"""The VQ-VAE of stage 1 as a transformers model: bases -> latents -> codes -> code vectors -> bases.

Flow: base_ids [batch, base] -> codes [batch, position, level] -> base logits [batch, base, 4].
`encode` and `decode` are those of an audio codec; `config.quantizer` says VQ or HRQ. The vocabulary is the latent
encoder with the codebooks; the base decoder serves training and `decode`. It must not know corpora nor training runs.
Paper: section 3 (Eq. 1-7), table "parameters".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import ModelOutput

from vqdna.errors import InputError
from vqdna.vocabulary.convolution import NUM_BASES, BaseDecoder, LatentEncoder, positions_with_bases
from vqdna.vocabulary.quantizer import HierarchicalQuantizer

FORMAT_VERSION = 1
"""Version of the saved directory; a directory of another version is refused."""


class VQVAEConfig(PreTrainedConfig):
    """Shape of a vocabulary and of its training losses; the defaults are the paper's HRQ.

    Args:
        quantizer: "vq" (one level) or "hrq" (one level per tap).
        level_sizes: codes per level, coarsest first; the paper's K = 512 gives (512,) for VQ and (1024, 2048) for HRQ.
        taps: latent-encoder blocks (from 1) whose output each level quantizes; the last one is the last block.
            Default: evenly spaced.
        bases_per_position: bases that one position advances.
        commitment_weight: the paper's beta.
        codebook_learning: "ema", or "gradient" for the poster's codebook loss (weight `codebook_weight`).
        codebook_decay: EMA decay per optimizer step.
        dead_code_threshold: EMA count per step below which a code is revived; 0 turns revival off.
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
        dead_code_threshold: float = 0.5,
        stop_residual_gradient: bool = True,
        codebook_seed: int = 0,
        format_version: int = FORMAT_VERSION,
        **kwargs: Any,
    ) -> None:
        self.quantizer, self.level_sizes = quantizer, list(level_sizes)
        self.taps = list(taps) if taps is not None else _even_taps(num_blocks, len(self.level_sizes))
        self.width, self.stem_width, self.stem_kernel_size = width, stem_width, stem_kernel_size
        self.num_blocks, self.kernel_size, self.expansion = num_blocks, kernel_size, expansion
        self.bases_per_position = bases_per_position
        self.commitment_weight, self.codebook_weight = commitment_weight, codebook_weight
        self.codebook_learning, self.codebook_decay = codebook_learning, codebook_decay
        self.dead_code_threshold, self.stop_residual_gradient = dead_code_threshold, stop_residual_gradient
        self.codebook_seed, self.format_version = codebook_seed, format_version
        super().__init__(**kwargs)
        _check_config(self)

    @property
    def context_bases(self) -> int:
        """Bases on either side of a position's span that its codes can depend on (20 with the paper's shape)."""
        stem = -(-(self.stem_kernel_size - self.bases_per_position) // 2)
        return stem + self.taps[-1] * (self.kernel_size // 2) * self.bases_per_position


def _even_taps(num_blocks: int, num_levels: int) -> list[int]:
    return [num_blocks * (level + 1) // num_levels for level in range(num_levels)]


def _check_config(config: VQVAEConfig) -> None:
    """Refuses sizes that contradict each other, naming the key."""
    sizes, taps = config.level_sizes, config.taps
    checks = [
        (
            config.format_version == FORMAT_VERSION,
            f"format_version: got {config.format_version}, this version reads {FORMAT_VERSION}",
        ),
        (config.quantizer in ("vq", "hrq"), f"quantizer: got '{config.quantizer}', expected 'vq' or 'hrq'"),
        (len(sizes) > 0 and all(size > 1 for size in sizes), f"level_sizes: got {sizes}, expected sizes of at least 2"),
        (config.quantizer != "vq" or len(sizes) == 1, f"level_sizes: vq has one level, got {len(sizes)} sizes {sizes}"),
        (
            config.quantizer != "hrq" or len(sizes) >= 2,
            f"level_sizes: hrq has two levels or more, got {sizes}; one level is vq",
        ),
        (len(taps) == len(sizes), f"taps: expected one block per level ({len(sizes)}), got {taps}"),
        (taps == sorted(set(taps)) and taps[:1] >= [1], f"taps: expected ascending blocks from 1, got {taps}"),
        (
            taps[-1:] == [config.num_blocks],
            f"taps: the last tap must be the last block {config.num_blocks}, got {taps}",
        ),
        (config.kernel_size % 2 == 1, f"kernel_size: expected an odd number, got {config.kernel_size}"),
        (
            config.stem_kernel_size >= config.bases_per_position,
            f"stem_kernel_size: {config.stem_kernel_size} is below bases_per_position {config.bases_per_position}",
        ),
        (
            config.codebook_learning in ("ema", "gradient"),
            f"codebook_learning: got '{config.codebook_learning}', expected 'ema' or 'gradient'",
        ),
        (0 < config.codebook_decay < 1, f"codebook_decay: expected between 0 and 1, got {config.codebook_decay}"),
    ]
    for holds, message in checks:
        if not holds:
            raise InputError(message)


@dataclass
class VQVAEOutput(ModelOutput):
    """Losses are means: `reconstruction` in nats per base that is not N; `loss` is their weighted sum."""

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    commitment: Tensor | None = None
    codebook: Tensor | None = None
    logits: Tensor | None = None
    codes: Tensor | None = None


class VQVAE(PreTrainedModel):
    """Latent encoder, quantizer and base decoder, trained together in stage 1."""

    config_class = VQVAEConfig
    main_input_name = "base_ids"
    config: VQVAEConfig

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__(config)
        shape = {name: getattr(config, name) for name in _SHARED_SHAPE}
        self.latent_encoder = LatentEncoder(taps=config.taps, **shape)
        self.quantizer = build_quantizer(config)
        self.base_decoder = BaseDecoder(**shape)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Truncated normal weights of deviation 0.02, zero biases, as in ConvNeXt."""
        if isinstance(module, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def encode(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> Int[Tensor, "batch position level"]:
        """Codes of every position, level last, coarsest first.

        Raises:
            UntrainedCodebookError: the codebooks were neither trained nor loaded.
        """
        return self.quantizer.encode(self.latent_encoder(base_ids, attention_mask))

    def decode(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch base 4"]:
        """Base logits from codes; `codes[..., :q]` decodes from the q coarsest levels alone."""
        logits: Tensor = self.base_decoder(self.quantizer.lookup(codes).to(self.dtype))
        return logits

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None = None,
        return_logits: bool = True,
    ) -> VQVAEOutput:
        """Reconstruction and quantizer losses of a batch; in training mode the codebooks take note of its latents."""
        mask = torch.ones_like(base_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        quantized = self.quantizer(self.latent_encoder(base_ids, mask))
        positions = positions_with_bases(mask, self.config.bases_per_position)
        logits = self.base_decoder(quantized.code_vectors, positions)[:, : base_ids.shape[1]]
        reconstruction = reconstruction_loss(logits, base_ids, mask)
        loss = reconstruction + self.config.commitment_weight * quantized.commitment
        if self.config.codebook_learning == "gradient":
            loss = loss + self.config.codebook_weight * quantized.codebook
        return VQVAEOutput(
            loss=loss,
            reconstruction=reconstruction.detach(),
            commitment=quantized.commitment.detach(),
            codebook=quantized.codebook.detach(),
            logits=logits if return_logits else None,
            codes=quantized.codes,
        )

    def update_codebooks(self) -> None:
        """One codebook step; call it once after each optimizer step, on every rank. The trainer of stage 1 does."""
        self.quantizer.update_codebooks()


_SHARED_SHAPE = (
    "width",
    "stem_width",
    "stem_kernel_size",
    "bases_per_position",
    "num_blocks",
    "kernel_size",
    "expansion",
)


def build_quantizer(config: VQVAEConfig) -> HierarchicalQuantizer:
    """Untrained quantizer of the configured shape."""
    return HierarchicalQuantizer(
        config.level_sizes,
        config.width,
        learning="gradient" if config.codebook_learning == "gradient" else "ema",
        decay=config.codebook_decay,
        dead_code_threshold=config.dead_code_threshold,
        stop_residual_gradient=config.stop_residual_gradient,
        seed=config.codebook_seed,
    )


def reconstruction_loss(
    logits: Float[Tensor, "batch base 4"],
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over the bases that are A, C, G or T and no padding; zero where there is none."""
    known = attention_mask & (base_ids < NUM_BASES)
    losses = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), base_ids.long().clamp_max(NUM_BASES - 1).flatten(), reduction="none"
    )
    return (losses * known.flatten()).sum() / known.sum().clamp_min(1)


AutoConfig.register(VQVAEConfig.model_type, VQVAEConfig)
AutoModel.register(VQVAEConfig, VQVAE)
