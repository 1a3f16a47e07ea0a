"""The VQ-VAE of stage 1 as a transformers model: bases -> latents -> codes -> code vectors -> bases.

Flow: base_ids [batch, base] -> codes [batch, position, level] -> base logits [batch, base, 4].
`encode` and `decode` are those of an audio codec; `config.quantizer` names the quantizer. The vocabulary is the latent
encoder with the codebooks; the base decoder serves training and `decode`. It must not know corpora nor training runs.
Paper: section 3 (Eq. 1-7), table "parameters".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import ModelOutput

from vqdna.vocabulary.configuration import VQVAEConfig as VQVAEConfig
from vqdna.vocabulary.convolution import (
    NUM_BASES,
    BaseDecoder,
    LatentEncoder,
    kept,
    positions_with_bases,
    reverse_complement,
)
from vqdna.vocabulary.gradients import Gradient
from vqdna.vocabulary.objectives import (
    UNKNOWN,
    NeighborHead,
    PointwiseDecoder,
    hidden,
    known_base_loss,
    strand_disagreement,
)
from vqdna.vocabulary.quantizer import (
    HierarchicalQuantizer,
    ProductQuantizer,
    Quantizer,
    QuantizerOutput,
    ResidualQuantizer,
    mean_of,
)
from vqdna.vocabulary.views import ViewEncoder, ViewLayer

Feed = Literal["continuous", "quantized"]


@dataclass
class VQVAEOutput(ModelOutput):
    """Losses are means: `reconstruction` in nats per base that is not N; `loss` is their weighted sum.

    Terms that the configuration does not ask for are zero.
    """

    loss: Tensor | None = None
    reconstruction: Tensor | None = None
    commitment: Tensor | None = None
    codebook: Tensor | None = None
    strand: Tensor | None = None
    neighbor: Tensor | None = None
    logits: Tensor | None = None
    codes: Tensor | None = None


class VQVAE(PreTrainedModel):
    """Latent encoder, quantizer and base decoder, trained together in stage 1."""

    config_class = VQVAEConfig
    main_input_name = "base_ids"
    config: VQVAEConfig

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__(config)
        self.latent_encoder = build_latent_encoder(config)
        self.quantizer = build_quantizer(config)
        self.base_decoder = build_decoder(config)
        if config.neighbor_weight > 0:
            self.neighbor_head = NeighborHead(
                width=config.width, block=config.neighbor_bases, bases_per_position=config.bases_per_position
            )
        self.latent_encoder.requires_grad_(not config.fixed_latents)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Truncated normal weights of deviation 0.02, zero biases, as in ConvNeXt; views start far apart."""
        if isinstance(module, ViewLayer):
            module.spread()
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
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
        feed = cast(Feed, self.config.feed)
        return encode_bases(self.latent_encoder, self.quantizer, base_ids, attention_mask, feed)

    def decode(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch base 4"]:
        """Base logits from codes; `codes[..., :q]` decodes from the q coarsest levels alone."""
        logits: Tensor = self.base_decoder(self.quantizer.lookup(codes).to(self.dtype))
        return logits

    def forward(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None = None,
        return_logits: bool = True,
        hidden_bases: Bool[Tensor, "batch base"] | None = None,
        loss_shares: Mapping[str, Float[Tensor, ""]] | None = None,
    ) -> VQVAEOutput:
        """Losses of a batch; in training mode the codebooks take note of its latents.

        Args:
            base_ids: A, C, G, T = 0..3, N = 4.
            attention_mask: False for padding at a row's end.
            return_logits: False leaves them out of the output.
            hidden_bases: True for bases that the latent encoder does not see; the decoder is to rebuild them.
            loss_shares: factor of each loss term, by name; for a batch that is one pass of several, see `loss_items`.
        """
        mask = torch.ones_like(base_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        seen = hidden(base_ids, hidden_bases)
        quantized = quantize_bases(self.latent_encoder, self.quantizer, seen, mask, cast(Feed, self.config.feed))
        reconstruction, logits = self._rebuilt(quantized.code_vectors, base_ids, mask)
        strand = neighbor = quantized.commitment.new_zeros(())
        if self.config.strand_weight > 0:
            other = self.latent_encoder(reverse_complement(seen), mask.flip(1))
            strand = strand_disagreement(self.latent_encoder(seen, mask), other)
        if self.config.neighbor_weight > 0:
            known = torch.where(mask, base_ids, NUM_BASES).to(torch.uint8)
            neighbor = self.neighbor_head(quantized.code_vectors, known)
        terms = {
            "reconstruction": reconstruction,
            "commitment": quantized.commitment,
            "codebook": quantized.codebook,
            "strand": strand,
            "neighbor": neighbor,
        }
        # Each term is a mean over its own items; a pass of a larger batch counts by its share of the batch's items.
        terms = {name: term * (loss_shares or {}).get(name, 1) for name, term in terms.items()}
        return VQVAEOutput(
            loss=self._weighted(terms),
            **{name: term.detach() for name, term in terms.items()},
            logits=logits if return_logits else None,
            codes=quantized.codes,
        )

    def _rebuilt(
        self, code_vectors: Float[Tensor, "batch position width"], base_ids: Tensor, mask: Tensor
    ) -> tuple[Float[Tensor, ""], Float[Tensor, "batch base 4"]]:
        """Reconstruction loss, and the logits of the bases themselves."""
        if isinstance(self.base_decoder, PointwiseDecoder):
            windows = self.base_decoder.windows(code_vectors)
            loss = known_base_loss(windows, self.base_decoder.targets(base_ids, mask))
            return loss, self.base_decoder.own_bases(windows)[:, : base_ids.shape[1]]
        positions = positions_with_bases(mask, self.config.bases_per_position)
        logits = self.base_decoder(code_vectors, positions)[:, : base_ids.shape[1]]
        return reconstruction_loss(logits, base_ids, mask), logits

    def loss_items(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"] | None = None,
        return_logits: bool = True,
        hidden_bases: Bool[Tensor, "batch base"] | None = None,
    ) -> dict[str, Tensor | int]:
        """How many items each loss term is a mean over: bases to be rebuilt, positions, neighboring blocks."""
        del return_logits, hidden_bases
        mask = torch.ones_like(base_ids, dtype=torch.bool) if attention_mask is None else attention_mask
        known = torch.where(mask, base_ids, NUM_BASES).to(torch.uint8)
        decoder = self.base_decoder
        targets = decoder.targets(base_ids, mask) if isinstance(decoder, PointwiseDecoder) else known
        positions = len(base_ids) * -(-base_ids.shape[1] // self.config.bases_per_position)
        pairs = self.neighbor_head.num_pairs(known) if self.config.neighbor_weight > 0 else 0
        counts = dict.fromkeys(("commitment", "codebook", "strand"), positions)
        return {"reconstruction": (targets < NUM_BASES).sum(), **counts, "neighbor": pairs}

    def _weighted(self, terms: Mapping[str, Float[Tensor, ""]]) -> Float[Tensor, ""]:
        """Sum of the loss terms by their weights; the codebook's counts where codebooks learn by gradient."""
        config = self.config
        loss: Tensor = terms["reconstruction"] + config.commitment_weight * terms["commitment"]
        if config.codebook_learning == "gradient":
            loss = loss + config.codebook_weight * terms["codebook"]
        if config.strand_weight > 0:
            loss = loss + config.strand_weight * terms["strand"]
        if config.neighbor_weight > 0:
            loss = loss + config.neighbor_weight * terms["neighbor"]
        return loss

    def update_codebooks(self) -> None:
        """One codebook step; call it once after each optimizer step, on every rank. The trainer of stage 1 does."""
        self.quantizer.update_codebooks()


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


_SHARED_SHAPE = (
    "width", "stem_width", "stem_kernel_size", "bases_per_position", "num_blocks", "kernel_size", "expansion",
)  # fmt: skip


def build_latent_encoder(config: VQVAEConfig) -> LatentEncoder | ViewEncoder:
    """Untrained latent encoder: the paper's, or one that reads the configured views."""
    if config.views is None:
        shape = {name: getattr(config, name) for name in _SHARED_SHAPE}
        return LatentEncoder(taps=config.taps, shared_strands=config.shared_strands, **shape)
    return ViewEncoder(
        views=config.views,
        shared_strands=config.shared_strands,
        hidden_width=config.stem_width,
        width=config.width,
    )


def build_decoder(config: VQVAEConfig) -> BaseDecoder | PointwiseDecoder:
    """Untrained decoder: the paper's mirror of the latent encoder, or the pointwise one."""
    if config.decoder == "mirror":
        return BaseDecoder(**{name: getattr(config, name) for name in _SHARED_SHAPE})
    return PointwiseDecoder(
        width=config.width,
        hidden_width=config.stem_width,
        bases_per_position=config.bases_per_position,
        reach=config.target_reach,
    )


def build_quantizer(config: VQVAEConfig) -> Quantizer:
    """Untrained quantizer of the configured kind and shape.

    Raises:
        InputError: fsq and simvq without the extra `rivals`.
    """
    sizes, width, gradient = config.level_sizes, config.width, cast(Gradient, config.gradient)
    if config.quantizer in ("fsq", "simvq", "cosine"):
        from vqdna.vocabulary.baseline_quantizers import CosineQuantizer, FiniteScalarQuantizer, SimQuantizer
    if config.quantizer == "fsq":
        return FiniteScalarQuantizer(config.fsq_levels or (), width)
    if config.quantizer == "simvq":
        return SimQuantizer(sizes[0], width, gradient=gradient)
    codebooks: dict[str, Any] = {
        "learning": config.codebook_learning,
        "decay": config.codebook_decay,
        "warm_up_decay": config.codebook_warm_up_decay,
        "dead_code_threshold": config.dead_code_threshold,
        "revival": config.codebook_revival,
        "gradient": gradient,
        "seed": config.codebook_seed,
    }
    if config.quantizer == "cosine":
        return CosineQuantizer(sizes[0], width, code_dim=config.code_dim or width, **codebooks)
    if config.quantizer == "rvq":
        return ResidualQuantizer(sizes, width, **codebooks)
    if config.quantizer == "product":
        return ProductQuantizer(sizes, width, **codebooks)
    return HierarchicalQuantizer(sizes, width, stop_residual_gradient=config.stop_residual_gradient, **codebooks)


def reconstruction_loss(
    logits: Float[Tensor, "batch base 4"],
    base_ids: UInt8[Tensor, "batch base"],
    attention_mask: Bool[Tensor, "batch base"],
) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over the bases that are A, C, G or T and no padding; zero where there is none."""
    return known_base_loss(logits, torch.where(attention_mask, base_ids, UNKNOWN))


AutoConfig.register(VQVAEConfig.model_type, VQVAEConfig)
AutoModel.register(VQVAEConfig, VQVAE)
