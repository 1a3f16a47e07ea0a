"""Quantizers: latents tapped from the latent encoder -> codes of every level and one code vector per position.

Flow: latents, one [batch, position, width] per level -> QuantizerOutput(codes [batch, position, level],
code_vectors [batch, position, width], loss terms). VQ has one level; HRQ is the paper's hierarchical residual
quantizer. It must not know how latents are made nor what is decoded from the codes. Paper: sections 3.2 and 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqdna.vocabulary.codebook import Codebook


@dataclass(frozen=True)
class QuantizerOutput:
    """What quantizing a batch gives.

    Attributes:
        codes: level last, level 0 coarsest.
        code_vectors: merged over levels; carries the straight-through gradient to the latents.
        commitment: sum over levels of the mean squared distance between latents and their (stopped) code vectors.
        codebook: the same distance with the latents stopped; zero where codebooks learn by EMA.
    """

    codes: Int[Tensor, "batch position level"]
    code_vectors: Float[Tensor, "batch position width"]
    commitment: Float[Tensor, ""]
    codebook: Float[Tensor, ""]


class HierarchicalQuantizer(nn.Module):
    """HRQ; with a single level it is plain VQ.

    Level 1 quantizes its tap, `H(1) = Z(1)`; level n > 1 quantizes `H(n) = 2 Z(n) - e(M(n-1))`; the token is the mean
    of all levels' code vectors. For two levels the factor 2 and the mean belong together: a perfect second level gives
    back Z(2).

    Args:
        level_sizes: number of codes per level, coarsest first.
        width: length of latents and code vectors.
        learning: how codebooks learn, see `Codebook`.
        decay: EMA decay per update.
        dead_code_threshold: EMA count below which a code is revived.
        stop_residual_gradient: True (default) lets no gradient pass through `e(M(n-1))` inside `H(n)`. With the
            straight-through gradient let through, the reconstruction gradient of a two-level HRQ with respect to Z(1)
            cancels to zero.
        seed: seed of the codebooks' random draws.

    Reference: VQDNA section 3.3, Eq. 6 and 7, see docs/paper.md.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        width: int,
        *,
        learning: Literal["ema", "gradient"] = "ema",
        decay: float = 0.99,
        dead_code_threshold: float = 0.5,
        stop_residual_gradient: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.stop_residual_gradient = stop_residual_gradient
        self.codebooks = nn.ModuleList(
            Codebook(
                size, width, learning=learning, decay=decay, dead_code_threshold=dead_code_threshold, seed=seed + level
            )
            for level, size in enumerate(level_sizes)
        )

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of codes per level."""
        return tuple(codebook.size for codebook in self.books)

    def forward(self, latents: Sequence[Float[Tensor, "batch position width"]]) -> QuantizerOutput:
        """Codes, merged code vectors and loss terms; in training mode the codebooks also take note of the latents.

        Args:
            latents: one tensor per level, the taps of the latent encoder.
        """
        with torch.autocast(latents[0].device.type, enabled=False):
            return self._quantize([latent.float() for latent in latents])

    def _quantize(self, latents: list[Tensor]) -> QuantizerOutput:
        level_codes: list[Tensor] = []
        level_vectors: list[Tensor] = []
        commitment = codebook_loss = latents[0].new_zeros(())
        for level, codebook in enumerate(self.books):
            target = self._level_input(latents[level], level_vectors)
            codes = self._codes(codebook, target)
            hard = codebook.lookup(codes)
            # ||Z(n) - running mean of e(M(1..n))|| is ||H(n) - e(M(n))|| / n for up to two levels: the poster's sum,
            # term by term.
            share = 1.0 / (level + 1) ** 2
            commitment = commitment + share * nn.functional.mse_loss(target, hard.detach())
            if codebook.learning == "gradient":
                codebook_loss = codebook_loss + share * nn.functional.mse_loss(hard, target.detach())
            level_codes.append(codes)
            level_vectors.append(target + (hard - target).detach())
        merged = torch.stack(level_vectors).mean(dim=0)
        return QuantizerOutput(torch.stack(level_codes, dim=-1), merged, commitment, codebook_loss)

    def _level_input(self, latent: Tensor, previous: list[Tensor]) -> Tensor:
        """H of this level: the tap itself at the first, twice the tap minus the previous code vector at later ones."""
        if not previous:
            return latent
        residual = previous[-1].detach() if self.stop_residual_gradient else previous[-1]
        return 2 * latent - residual

    def _codes(self, codebook: Codebook, target: Tensor) -> Tensor:
        rows = target.reshape(-1, target.shape[-1])
        if self.training and not codebook.is_initialized:
            codebook.initialize(rows)
        codes = codebook.encode(rows)
        if self.training:
            codebook.observe(rows, codes)
        return codes.view(target.shape[:-1])

    def encode(self, latents: Sequence[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """Codes alone: no loss terms, no statistics."""
        level_codes: list[Tensor] = []
        previous: list[Tensor] = []
        for level, codebook in enumerate(self.books):
            target = self._level_input(latents[level].float(), previous)
            level_codes.append(codebook.encode(target.reshape(-1, target.shape[-1])).view(target.shape[:-1]))
            previous.append(codebook.lookup(level_codes[-1]))
        return torch.stack(level_codes, dim=-1)

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position: mean of its levels' code vectors; with fewer levels, of the coarse ones."""
        vectors = [codebook.lookup(codes[..., level]) for level, codebook in zip(range(codes.shape[-1]), self.books)]
        return torch.stack(vectors).mean(dim=0)

    def update_codebooks(self) -> None:
        """One codebook step over everything seen since the last; called once per optimizer step, on every rank."""
        for codebook in self.books:
            codebook.update()

    @property
    def books(self) -> list[Codebook]:
        """Codebooks, coarsest level first."""
        return [codebook for codebook in self.codebooks if isinstance(codebook, Codebook)]
