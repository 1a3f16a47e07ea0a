"""What may be asked of a vocabulary beside the paper's reconstruction, each an option of the configuration.

Flow: code vectors [batch, position, width] -> logits of a window around each position from its token alone
(`PointwiseDecoder`), or of the words of the neighboring block (`NeighborHead`); latents of both strands -> how far they
disagree; (seed, window number) -> bases hidden from the latent encoder. It must not know quantizers nor training runs.
The paper asks for reconstruction alone; what each of these brings is in docs/lab-notes.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from vqdna.vocabulary.configuration import NEIGHBOR_WORD
from vqdna.vocabulary.convolution import NUM_BASES, positions_with_bases

UNKNOWN = NUM_BASES
"""Base id of N, and of whatever is not there to be predicted."""


class PointwiseDecoder(nn.Module):
    """Code vectors -> bases, each position from its own token alone: no neighbor can help out.

    Args:
        width: length of code vectors.
        hidden_width: width of the hidden layer.
        bases_per_position: bases of a position's own span.
        reach: bases to be rebuilt on either side of the span.
    """

    def __init__(self, *, width: int, hidden_width: int, bases_per_position: int, reach: int) -> None:
        super().__init__()
        self.bases_per_position, self.reach = bases_per_position, reach
        self.num_targets = bases_per_position + 2 * reach
        self.hidden = nn.Linear(width, hidden_width)
        self.write = nn.Linear(hidden_width, self.num_targets * NUM_BASES)

    def windows(self, code_vectors: Float[Tensor, "batch position width"]) -> Float[Tensor, "batch position target 4"]:
        """Logits of the bases from `reach` before the span to `reach` behind it."""
        logits: Tensor = self.write(nn.functional.gelu(self.hidden(code_vectors)))
        return logits.view(*logits.shape[:-1], self.num_targets, NUM_BASES)

    def own_bases(self, windows: Float[Tensor, "batch position target 4"]) -> Float[Tensor, "batch base 4"]:
        """The logits of the spans themselves, side by side."""
        return windows[:, :, self.reach : self.reach + self.bases_per_position].flatten(1, 2)

    def forward(
        self,
        code_vectors: Float[Tensor, "batch position width"],
        position_mask: Bool[Tensor, "batch position"] | None = None,
    ) -> Float[Tensor, "batch base 4"]:
        """Logits of A, C, G, T for every base; the mask changes nothing, positions do not see each other."""
        del position_mask
        return self.own_bases(self.windows(code_vectors))

    def targets(
        self, base_ids: UInt8[Tensor, "batch base"], attention_mask: Bool[Tensor, "batch base"]
    ) -> UInt8[Tensor, "batch position target"]:
        """Base ids of each position's window; N where there is no base, and for positions that are padding."""
        known = torch.where(attention_mask, base_ids, UNKNOWN).to(torch.uint8)
        missing = -base_ids.shape[1] % self.bases_per_position
        padded = nn.functional.pad(known, (self.reach, self.reach + missing), value=UNKNOWN)
        windows = padded.unfold(1, self.num_targets, self.bases_per_position)
        positions = positions_with_bases(attention_mask, self.bases_per_position)
        return windows.masked_fill(~positions[..., None], UNKNOWN)


class NeighborHead(nn.Module):
    """Mean token of a block -> the words of the block behind it and before it.

    The mean token is what a linear probe reads, so what stays the same along a genome is asked of it directly.

    Args:
        width: length of code vectors.
        block: bases of a block.
        bases_per_position: bases of a position's span.
    """

    def __init__(self, *, width: int, block: int, bases_per_position: int) -> None:
        super().__init__()
        self.block, self.positions = block, block // bases_per_position
        self.write = nn.Linear(width, NUM_BASES**NEIGHBOR_WORD)

    def num_pairs(self, base_ids: UInt8[Tensor, "batch base"]) -> Int[Tensor, ""]:
        """Blocks to be predicted from a block beside them, counted once for each side; such without a word are none."""
        has_words = self._words(base_ids).any(dim=-1)
        return has_words[:, 1:].sum() + has_words[:, :-1].sum()

    def forward(
        self, code_vectors: Float[Tensor, "batch position width"], base_ids: UInt8[Tensor, "batch base"]
    ) -> Float[Tensor, ""]:
        """Mean cross-entropy in nats of a word of the neighboring block; zero where a window has a single block."""
        words = self._words(base_ids)
        num_blocks = words.shape[1]
        used = code_vectors[:, : num_blocks * self.positions]
        means = used.unflatten(1, (num_blocks, self.positions)).mean(dim=2)
        nats = -nn.functional.log_softmax(self.write(means).float(), dim=-1)
        total = (nats[:, :-1] * words[:, 1:]).sum() + (nats[:, 1:] * words[:, :-1]).sum()
        return total / self.num_pairs(base_ids).clamp_min(1)

    def _words(self, base_ids: UInt8[Tensor, "batch base"]) -> Float[Tensor, "batch block word"]:
        """Word shares of the whole blocks of each window."""
        num_blocks = base_ids.shape[1] // self.block
        return word_shares(base_ids[:, : num_blocks * self.block].unflatten(1, (num_blocks, self.block)))


def word_shares(blocks: UInt8[Tensor, "batch block base"]) -> Float[Tensor, "batch block word"]:
    """Share of each word of `NEIGHBOR_WORD` bases among the known words of a block; zeros where all hold an N."""
    windows = blocks.unfold(-1, NEIGHBOR_WORD, 1).long()
    powers = NUM_BASES ** torch.arange(NEIGHBOR_WORD - 1, -1, -1, device=blocks.device)
    known = (windows < NUM_BASES).all(dim=-1)
    words = (windows.clamp_max(NUM_BASES - 1) * powers).sum(dim=-1)
    counts = torch.zeros(*blocks.shape[:2], NUM_BASES**NEIGHBOR_WORD, device=blocks.device)
    counts.scatter_add_(-1, words, known.float())
    return counts / counts.sum(dim=-1, keepdim=True).clamp_min(1)


def strand_disagreement(
    latents: Sequence[Float[Tensor, "batch position width"]],
    other_strand: Sequence[Float[Tensor, "batch position width"]],
) -> Float[Tensor, ""]:
    """Mean squared distance of a position's latent to that of its place on the other strand, mean over levels.

    Each latent is standardized first, so they cannot get nearer by shrinking; by itself, not by its batch, so passes of
    an accumulated batch ask for what the whole one does.
    """
    terms = [
        nn.functional.mse_loss(standardized(own), standardized(other.flip(1)))
        for own, other in zip(latents, other_strand, strict=True)
    ]
    return torch.stack(terms).mean()


def standardized(latents: Float[Tensor, "batch position width"]) -> Float[Tensor, "batch position width"]:
    """Latents of mean 0 and variance 1 each, in float32."""
    return nn.functional.layer_norm(latents.float(), latents.shape[-1:])


def draw_hidden_bases(
    seed: int, numbers: Sequence[int], num_bases: int, fraction: float, span: int
) -> Bool[np.ndarray, "batch base"]:
    """Bases hidden from the latent encoder: each `span` bases in a row with probability `fraction`.

    Each row is a pure function of (seed, its window's number).
    """
    num_spans = -(-num_bases // span)
    drawn = np.stack([np.random.default_rng((seed, int(number))).random(num_spans) < fraction for number in numbers])
    return np.repeat(drawn, span, axis=1)[:, :num_bases]


def hidden(
    base_ids: UInt8[Tensor, "batch base"], hidden_bases: Bool[Tensor, "batch base"] | None
) -> UInt8[Tensor, "batch base"]:
    """Base ids with N in place of the hidden bases."""
    return base_ids if hidden_bases is None else base_ids.masked_fill(hidden_bases, UNKNOWN)


def known_base_loss(logits: Float[Tensor, "*place 4"], targets: UInt8[Tensor, "*place"]) -> Float[Tensor, ""]:
    """Mean cross-entropy in nats over the places whose target is no N; zero where there is none."""
    known = targets.flatten() < NUM_BASES
    numbers = targets.flatten().long().clamp_max(NUM_BASES - 1)
    losses = nn.functional.cross_entropy(logits.float().flatten(0, -2), numbers, reduction="none")
    return (losses * known).sum() / known.sum().clamp_min(1)
