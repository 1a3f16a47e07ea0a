"""The convolutional halves of the vocabulary: latent encoder (bases -> taps) and base decoder (code vectors -> bases).

Flow: base_ids [batch, base] -> one-hot [batch, base, 4] -> stem -> blocks -> taps, each [batch, position, width];
and mirrored, code vectors [batch, position, width] -> blocks -> base logits [batch, base, 4].
Channels are last at every boundary. Padding is zeroed after each layer, so a padded row has the codes of the row alone.
It must not know codes or losses. Paper: section 3.1 and appendix; what is our choice stands in docs/paper.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

NUM_BASES = 4


def one_hot_bases(
    base_ids: UInt8[Tensor, "batch base"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "batch base 4"]:
    """One-hot A, C, G, T; an N is all zeros, like the padding outside the sequence."""
    table = torch.eye(NUM_BASES + 1, NUM_BASES, dtype=dtype, device=base_ids.device)
    return nn.functional.embedding(base_ids.long(), table)


def reverse_complement(base_ids: UInt8[Tensor, "batch base"]) -> UInt8[Tensor, "batch base"]:
    """The other strand of every row, N staying N."""
    return torch.where(base_ids < NUM_BASES, NUM_BASES - 1 - base_ids, base_ids).flip(1)


def positions_with_bases(
    attention_mask: Bool[Tensor, "batch base"], bases_per_position: int
) -> Bool[Tensor, "batch position"]:
    """True for each position whose span holds at least one base that is not padding."""
    if bases_per_position == 1:
        return attention_mask
    missing = -attention_mask.shape[1] % bases_per_position
    padded = nn.functional.pad(attention_mask, (0, missing))
    return padded.view(len(padded), -1, bases_per_position).any(dim=-1)


def convolve(
    features: Float[Tensor, "batch position channel"], convolution: nn.Conv1d
) -> Float[Tensor, "batch position channel_out"]:
    """Same-length convolution of channel-last features with the weights of `convolution` (odd kernel, stride 1)."""
    # As a 2-D convolution of height 1, whose channels-last kernels take the features as they lie in memory: forward and
    # backward are several times faster on CPU than `Conv1d` on a transposed copy (speed/bench_vocabulary.py).
    weight = convolution.weight.unsqueeze(2)
    padding = (0, convolution.kernel_size[0] // 2)
    image = features.transpose(1, 2).unsqueeze(2)
    convolved = nn.functional.conv2d(image, weight, convolution.bias, padding=padding, groups=convolution.groups)
    return convolved.squeeze(2).transpose(1, 2)


def kept(
    features: Float[Tensor, "batch position channel"], keep: Bool[Tensor, "batch position 1"] | None
) -> Float[Tensor, "batch position channel"]:
    """Features with zeros where `keep` is False; as they are where it is None."""
    return features if keep is None else features * keep


class ConvNeXtBlock(nn.Module):
    """ConvNeXt block on sequences: depth-wise convolution, LayerNorm, inverted bottleneck, layer scale, skip.

    Reference: Liu et al. 2022; VQDNA section 3.1 (kernel 7, expansion 4).
    """

    def __init__(self, width: int, kernel_size: int = 7, expansion: int = 4, layer_scale: float = 0.1) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, kernel_size, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, features: Float[Tensor, "batch position width"]) -> Float[Tensor, "batch position width"]:
        """Features of the same shape."""
        mixed: Tensor = self.norm(convolve(features, self.depthwise))
        return torch.addcmul(features, self.scale, self.contract(nn.functional.gelu(self.expand(mixed))))


class LatentEncoder(nn.Module):
    """Bases -> latents at the tapped blocks.

    Args:
        width: width of the blocks and of the latents.
        stem_width: channels after the stem convolution.
        stem_kernel_size: bases seen by the stem; at least `bases_per_position`.
        bases_per_position: stride of the stem.
        num_blocks: ConvNeXt blocks.
        kernel_size: depth-wise kernel, in positions.
        taps: blocks (counted from 1) after which latents are taken, ascending; blocks behind the last tap do not exist.
        shared_strands: for each tap whether its latent is the mean over both strands; default none.
    """

    def __init__(
        self,
        *,
        width: int,
        stem_width: int,
        stem_kernel_size: int,
        bases_per_position: int,
        num_blocks: int,
        kernel_size: int,
        expansion: int,
        taps: Sequence[int],
        shared_strands: Sequence[bool] = (),
    ) -> None:
        super().__init__()
        self.bases_per_position, self.taps, self.shared_strands = bases_per_position, tuple(taps), tuple(shared_strands)
        overhang = stem_kernel_size - bases_per_position
        self.stem_padding = (overhang // 2, overhang - overhang // 2)
        self.stem = nn.Conv1d(NUM_BASES, stem_width, stem_kernel_size, stride=bases_per_position)
        self.stem_norm = nn.LayerNorm(stem_width)
        self.widen = nn.Linear(stem_width, width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, kernel_size, expansion) for _ in range(num_blocks))

    def forward(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> list[Float[Tensor, "batch position width"]]:
        """Latents after each tap; bases where `attention_mask` is False are padding at the row's end."""
        latents = self._one_strand(base_ids, attention_mask)
        if not any(self.shared_strands):
            return latents
        # A base's place on the other strand is its mirror image, padding included: so the mask is turned too, and the
        # mean of a latent and its mirrored one is the same whichever strand is given.
        mask = None if attention_mask is None else attention_mask.flip(1)
        other = self._one_strand(reverse_complement(base_ids), mask)
        pairs = zip(latents, other, self.shared_strands, strict=True)
        return [0.5 * (latent + mirrored.flip(1)) if shared else latent for latent, mirrored, shared in pairs]

    def _one_strand(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None
    ) -> list[Float[Tensor, "batch position width"]]:
        """Latents after each tap as the bases are given."""
        features, keep = self.start(base_ids, attention_mask)
        latents = []
        for level in range(len(self.taps)):
            features = self.segment(level, features, keep)
            latents.append(features)
        return latents

    def start(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"] | None = None
    ) -> tuple[Float[Tensor, "batch position width"], Bool[Tensor, "batch position 1"] | None]:
        """Features before the first block, and which positions to keep (None for all)."""
        bases = one_hot_bases(base_ids, self.stem.weight.dtype)
        keep = None
        if attention_mask is not None and not bool(attention_mask.all()):
            # Biases and norms make something of zeros: without zeroing padding after every layer, a padded row's last
            # positions would see what the row alone does not have.
            bases = bases * attention_mask[..., None]
            keep = positions_with_bases(attention_mask, self.bases_per_position)[..., None]
        left, right = self.stem_padding
        missing = -bases.shape[1] % self.bases_per_position
        padded = nn.functional.pad(bases.transpose(1, 2), (left, right + missing))
        features = self.stem_norm(self.stem(padded).transpose(1, 2))
        return kept(self.widen(nn.functional.gelu(features)), keep), keep

    def segment(
        self,
        level: int,
        features: Float[Tensor, "batch position width"],
        keep: Bool[Tensor, "batch position 1"] | None,
    ) -> Float[Tensor, "batch position width"]:
        """Features at tap `level` (from 0), from those at the tap before it or, for the first, from `start`."""
        first = self.taps[level - 1] if level else 0
        for number in range(first, self.taps[level]):
            features = kept(self.blocks[number](features), keep)
        return features


class BaseDecoder(nn.Module):
    """Code vectors -> base logits: the latent encoder mirrored, its convolutions turned into de-convolutions.

    At stride 1 a de-convolution is a convolution with its kernel reversed, so only the last layer, which steps from
    positions back to bases, is a transposed one. The dense first layer is our choice: with it the paper's presets have
    the 16 and 17 million parameters of its table while codes still see 41 bases.
    """

    def __init__(
        self,
        *,
        width: int,
        stem_width: int,
        stem_kernel_size: int,
        bases_per_position: int,
        num_blocks: int,
        kernel_size: int,
        expansion: int,
    ) -> None:
        super().__init__()
        self.bases_per_position = bases_per_position
        self.overhang = stem_kernel_size - bases_per_position
        self.read = nn.Conv1d(width, width, kernel_size)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, kernel_size, expansion) for _ in range(num_blocks))
        self.narrow = nn.Linear(width, stem_width)
        self.narrow_norm = nn.LayerNorm(stem_width)
        self.stem = nn.ConvTranspose1d(stem_width, NUM_BASES, stem_kernel_size, stride=bases_per_position)

    def forward(
        self,
        code_vectors: Float[Tensor, "batch position width"],
        position_mask: Bool[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch base 4"]:
        """Logits of A, C, G, T for every base; positions where `position_mask` is False are padding."""
        keep = None if position_mask is None or bool(position_mask.all()) else position_mask[..., None]
        features = convolve(kept(code_vectors, keep), self.read)
        for block in self.blocks:
            features = block(kept(features, keep))
        features = kept(nn.functional.gelu(self.narrow_norm(self.narrow(features))), keep)
        logits: Tensor = self.stem(features.transpose(1, 2)).transpose(1, 2)
        left = self.overhang // 2
        return logits[:, left : logits.shape[1] - (self.overhang - left)]
