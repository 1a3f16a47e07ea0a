"""Quantizers: latents tapped from the latent encoder -> codes of every level and one code vector per position.

Flow: latents, one [batch, position, width] per tap -> QuantizerOutput(codes [batch, position, level],
code_vectors [batch, position, width], loss terms). `Quantizer` is what all of them offer; here are the paper's, VQ and
HRQ, and two on the same codebooks, product and RVQ; `baseline_quantizers` has the others. It must not know how latents
are made nor what is decoded from the codes. Paper: sections 3.2 and 3.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqdna.vocabulary.codebook import Codebook, CodebookSettings, at_least_single
from vqdna.vocabulary.gradients import Gradient, straight_through


@dataclass(frozen=True)
class QuantizerOutput:
    """What quantizing a batch gives, by one level or by all.

    Attributes:
        codes: level last, level 0 coarsest.
        code_vectors: merged over levels; carries the gradient to the latents.
        commitment: sum over levels of the mean squared distance between latents and their (stopped) code vectors.
        codebook: the same distance with the latents stopped; zero where codebooks do not learn by gradient.
    """

    codes: Int[Tensor, "batch position level"]
    code_vectors: Float[Tensor, "batch position width"]
    commitment: Float[Tensor, ""]
    codebook: Float[Tensor, ""]


class Quantizer(nn.Module, ABC):
    """Latents -> codes and back to code vectors; computes in float32 whatever the autocast.

    In evaluation mode `forward(latents).codes` is `encode(latents)` and `forward(latents).code_vectors` is
    `lookup(codes)`, to the bit. Before the first training batch nothing is encoded.
    """

    level_sizes: tuple[int, ...]
    """Number of codes per level, coarsest first."""

    @abstractmethod
    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """Codes, merged code vectors and loss terms; in training mode the codebooks also take note of the latents.

        Args:
            latents: one tensor per tap of the latent encoder; a quantizer of one latent reads the last.
            only_codes: no codebook takes note of anything, and the loss terms may be zero.

        Raises:
            UntrainedCodebookError: in evaluation mode or for codes alone, before any training.
        """

    def encode(self, latents: Sequence[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """Codes alone: no gradient, no statistics.

        Raises:
            UntrainedCodebookError: before any training.
        """
        with torch.no_grad():
            return self.forward(latents, only_codes=True).codes

    @abstractmethod
    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position from all its codes or, where there are several levels, the coarse ones."""

    @abstractmethod
    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """Vector of every code of a level, as the levels are merged from."""

    @property
    @abstractmethod
    def is_trained(self) -> bool:
        """Whether the codes mean anything: a training batch was seen, or weights were loaded that had seen one."""

    @property
    @abstractmethod
    def num_code_values(self) -> int:
        """Numbers that are kept as code vectors."""

    def update_codebooks(self) -> None:
        """One codebook step over everything seen since the last; called once per optimizer step, on every rank."""


class CodebookQuantizer(Quantizer):
    """What quantizers share that keep a `Codebook` for each level, coarsest first.

    Args:
        level_sizes: number of codes per level, coarsest first.
        width: length of code vectors.
        gradient: how the gradient passes, see `straight_through`.
        seed: seed of the codebooks' random draws; each level has its own.
        settings: how the codebooks learn, see `Codebook`.
    """

    codebook_type: type[Codebook] = Codebook

    def __init__(
        self,
        level_sizes: Sequence[int],
        width: int,
        *,
        gradient: Gradient = "straight_through",
        seed: int = 0,
        **settings: Unpack[CodebookSettings],
    ) -> None:
        super().__init__()
        self.gradient: Gradient = gradient
        self.level_sizes = tuple(level_sizes)
        codebooks = (
            self.codebook_type(size, width, seed=seed + level, **settings) for level, size in enumerate(level_sizes)
        )
        self.codebooks = cast(Sequence[Codebook], nn.ModuleList(codebooks))

    @property
    def is_trained(self) -> bool:
        """Whether every codebook has code vectors."""
        return all(bool(codebook.is_initialized) for codebook in self.codebooks)

    @property
    def num_code_values(self) -> int:
        """Numbers in all codebooks."""
        return sum(codebook.code_vectors.numel() for codebook in self.codebooks)

    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """The level's code vectors."""
        return self.codebooks[level].code_vectors.detach()

    def update_codebooks(self) -> None:
        """One step of every codebook over everything seen since the last."""
        for codebook in self.codebooks:
            codebook.update()

    def quantize_level(
        self,
        level: int,
        latent: Float[Tensor, "batch position width"],
        previous: Sequence[QuantizerOutput] = (),
        *,
        only_codes: bool = False,
    ) -> QuantizerOutput:
        """One level of `forward`, with its share of the loss terms; `previous` is what the coarser levels gave."""
        codebook = self.codebooks[level]
        # Distances of near code vectors differ in digits that bfloat16 does not have: codes would depend on autocast.
        with torch.autocast(latent.device.type, enabled=False):
            target = self._level_input(at_least_single(latent), previous)
            codes = codebook.encode(target, learn=self.training and not only_codes)
            vectors, nothing = codebook.lookup(codes), target.new_zeros(())
            if only_codes:
                return QuantizerOutput(codes[..., None], vectors, nothing, nothing)
            passed = straight_through(target, vectors, self.gradient)
        share = self._commitment_share(level)
        # An EMA codebook is moved by `update`, so its distance is no loss: it is told as zero.
        codebook_loss = passed.codebook * share if codebook.learning == "gradient" else nothing
        return QuantizerOutput(codes[..., None], passed.vectors, passed.commitment * share, codebook_loss)

    def _level_input(self, latent: Tensor, previous: Sequence[QuantizerOutput]) -> Tensor:
        del previous
        return latent

    def _commitment_share(self, level: int) -> float:
        del level
        return 1.0


class HierarchicalQuantizer(CodebookQuantizer):
    """HRQ; with a single level it is plain VQ.

    Level 1 quantizes its tap, `H(1) = Z(1)`; level n > 1 quantizes `H(n) = 2 Z(n) - e(M(n-1))`; the token is the mean
    of all levels' code vectors. For two levels the factor 2 and the mean belong together: a perfect second level gives
    back Z(2).

    Args:
        level_sizes: number of codes per level, coarsest first.
        width: length of latents and code vectors.
        stop_residual_gradient: True (default) lets no gradient pass through `e(M(n-1))` inside `H(n)`. With the
            straight-through gradient let through, the reconstruction gradient of a two-level HRQ with respect to Z(1)
            cancels to zero.
        gradient: see `CodebookQuantizer`, as for `seed` and `settings`.

    Reference: VQDNA section 3.3, Eq. 6 and 7, see docs/paper.md.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        width: int,
        *,
        stop_residual_gradient: bool = True,
        gradient: Gradient = "straight_through",
        seed: int = 0,
        **settings: Unpack[CodebookSettings],
    ) -> None:
        super().__init__(level_sizes, width, gradient=gradient, seed=seed, **settings)
        self.stop_residual_gradient = stop_residual_gradient

    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """Every level on its own tap."""
        levels: list[QuantizerOutput] = []
        for level in range(len(self.level_sizes)):
            levels.append(self.quantize_level(level, latents[level], levels, only_codes=only_codes))
        return self.merge(levels)

    def _level_input(self, latent: Tensor, previous: Sequence[QuantizerOutput]) -> Tensor:
        """H of this level: the tap itself at the first, twice the tap minus the previous code vector at later ones."""
        if not previous:
            return latent
        residual = previous[-1].code_vectors
        return (2 * latent).sub_(residual.detach() if self.stop_residual_gradient else residual)

    def _commitment_share(self, level: int) -> float:
        # ||Z(n) - running mean of e(M(1..n))|| is ||H(n) - e(M(n))|| / n for up to two levels: with the square of that
        # factor the sum is the poster's, term by term.
        return 1.0 / (level + 1) ** 2

    @staticmethod
    def merge(levels: Sequence[QuantizerOutput]) -> QuantizerOutput:
        """Levels side by side: codes next to each other, code vectors averaged, loss terms summed."""
        return QuantizerOutput(
            torch.cat([output.codes for output in levels], dim=-1),
            mean_of([output.code_vectors for output in levels]),
            _total_of([output.commitment for output in levels]),
            _total_of([output.codebook for output in levels]),
        )

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position: mean of its levels' code vectors; with fewer levels, of the coarse ones."""
        levels = range(codes.shape[-1])
        return mean_of([self.codebooks[level].lookup(codes[..., level]) for level in levels])


class ProductQuantizer(HierarchicalQuantizer):
    """Levels side by side: each quantizes its own latent and nothing of another level; the token is their mean.

    A level's codes then tell of its own latent alone, which the residual rule of HRQ does not allow.

    Reference: Jegou et al. 2011 (product quantization), each level a subquantizer with a latent of its own.
    """

    def _level_input(self, latent: Tensor, previous: Sequence[QuantizerOutput]) -> Tensor:
        del previous
        return latent

    def _commitment_share(self, level: int) -> float:
        del level
        return 1.0 / len(self.level_sizes)


class ResidualQuantizer(CodebookQuantizer):
    """RVQ: each level quantizes what the sum of the earlier ones left of the last tap; the token is the sum of all.

    Every level's commitment is the distance of the latent to the sum so far. The gradient passes once, from the token
    to the latent.

    Reference: Zeghidour et al. 2021 (SoundStream), algorithm 1.
    """

    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """Every level on the rest that the earlier ones left."""
        levels: list[QuantizerOutput] = []
        with torch.autocast(latents[-1].device.type, enabled=False):
            latent = at_least_single(latents[-1])
            for codebook in self.codebooks:
                so_far = levels[-1].code_vectors.detach() if levels else None
                rest = latent.detach() if so_far is None else latent.detach() - so_far
                codes = codebook.encode(rest, learn=self.training and not only_codes)
                vectors = codebook.lookup(codes)
                # The sum so far is held constant: a level's codebook loss must not move the coarser codebooks too.
                vectors = vectors if so_far is None else so_far + vectors
                token, commitment, loss = straight_through(latent, vectors, self.gradient)
                loss = loss if codebook.learning == "gradient" else loss.new_zeros(())
                levels.append(QuantizerOutput(codes[..., None], token, commitment, loss))
        return QuantizerOutput(
            torch.cat([output.codes for output in levels], dim=-1),
            levels[-1].code_vectors,
            _total_of([output.commitment for output in levels]),
            _total_of([output.codebook for output in levels]),
        )

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position: sum of its levels' code vectors; with fewer levels, of the coarse ones."""
        levels = range(codes.shape[-1])
        return _total_of([self.codebooks[level].lookup(codes[..., level]) for level in levels])


def mean_of(terms: Sequence[Tensor]) -> Tensor:
    """Mean of tensors of one shape; a single one is given back as it is."""
    return terms[0] if len(terms) == 1 else _total_of(terms) / len(terms)


def _total_of(terms: Sequence[Tensor]) -> Tensor:
    """Sum of tensors, first to last; a single one is given back as it is, which `sum` and its 0 would copy."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
