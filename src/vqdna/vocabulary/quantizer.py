"""Quantizers: latents tapped from the latent encoder -> codes of every level and one code vector per position.

Flow: latents, one [batch, position, width] per tap -> QuantizerOutput(codes [batch, position, level],
code_vectors [batch, position, width], loss terms). `Quantizer` is what all of them offer; here are the paper's, VQ and
HRQ, and RVQ on the same codebooks; `rivals` has the others. It must not know how latents are made nor what is decoded
from the codes. Paper: sections 3.2 and 3.3.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Unpack

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqdna.vocabulary.codebook import Codebook, CodebookSettings
from vqdna.vocabulary.gradients import Gradient, settle


@dataclass(frozen=True)
class QuantizerOutput:
    """What quantizing a batch gives.

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


@dataclass(frozen=True)
class LevelOutput:
    """What one level of a quantizer gives; the loss terms are zero where only codes were asked for."""

    codes: Int[Tensor, "batch position"]
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

    def forward(self, latents: Sequence[Float[Tensor, "batch position width"]]) -> QuantizerOutput:
        """Codes, merged code vectors and loss terms; in training mode the codebooks also take note of the latents.

        Args:
            latents: one tensor per tap of the latent encoder; a quantizer of one latent reads the last.

        Raises:
            UntrainedCodebookError: in evaluation mode, before any training.
        """
        with torch.autocast(latents[-1].device.type, enabled=False):
            return self.quantize([latent.float() for latent in latents])

    def encode(self, latents: Sequence[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """Codes alone: no loss terms, no statistics.

        Raises:
            UntrainedCodebookError: before any training.
        """
        with torch.no_grad(), torch.autocast(latents[-1].device.type, enabled=False):
            return self.choose([latent.float() for latent in latents])

    @abstractmethod
    def quantize(self, latents: list[Float[Tensor, "batch position width"]]) -> QuantizerOutput:
        """What `forward` gives, for latents in float32."""

    @abstractmethod
    def choose(self, latents: list[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """What `encode` gives, for latents in float32."""

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
    """What quantizers share that keep a `Codebook` for each level."""

    def __init__(self, books: Sequence[Codebook], gradient: Gradient) -> None:
        super().__init__()
        self.gradient: Gradient = gradient
        self.codebooks = nn.ModuleList(books)
        self.level_sizes = tuple(book.size for book in books)

    @property
    def books(self) -> list[Codebook]:
        """Codebooks, coarsest level first."""
        return [codebook for codebook in self.codebooks if isinstance(codebook, Codebook)]

    @property
    def is_trained(self) -> bool:
        """Whether every codebook has code vectors."""
        return all(bool(codebook.is_initialized) for codebook in self.books)

    @property
    def num_code_values(self) -> int:
        """Numbers in all codebooks."""
        return sum(codebook.code_vectors.numel() for codebook in self.books)

    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """The level's code vectors."""
        return self.books[level].code_vectors.detach()

    def update_codebooks(self) -> None:
        """One step of every codebook over everything seen since the last."""
        for codebook in self.books:
            codebook.update()

    def settle_level(
        self, codebook: Codebook, target: Float[Tensor, "batch position width"], share: float = 1.0
    ) -> LevelOutput:
        """A level's codes of `target`, learned from in training mode; its loss terms count `share` times."""
        codes = self.learned_codes(codebook, target)
        settled = settle(target, codebook.lookup(codes), self.gradient)
        learns = codebook.learning == "gradient"
        codebook_loss = settled.codebook * share if learns else settled.codebook.new_zeros(())
        return LevelOutput(codes, settled.vectors, settled.commitment * share, codebook_loss)

    def learned_codes(
        self, codebook: Codebook, target: Float[Tensor, "batch position width"]
    ) -> Int[Tensor, "batch position"]:
        """Codes of `target`; in training mode the codebook starts from it and takes note of it."""
        rows = target.reshape(-1, target.shape[-1])
        if self.training and not codebook.is_initialized:
            codebook.initialize(rows)
        codes = codebook.encode(rows)
        if self.training:
            codebook.observe(rows, codes)
        return codes.view(target.shape[:-1])


def codes_of(codebook: Codebook, target: Float[Tensor, "batch position width"]) -> Int[Tensor, "batch position"]:
    """Codes of `target`, nothing noted."""
    return codebook.encode(target.reshape(-1, target.shape[-1])).view(target.shape[:-1])


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
        gradient: how the gradient passes each level, see `settle`.
        seed: seed of the codebooks' random draws; each level has its own.
        settings: how the codebooks learn, see `Codebook`.

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
        super().__init__(untrained_codebooks(level_sizes, width, seed, settings), gradient)
        self.stop_residual_gradient = stop_residual_gradient

    def quantize(self, latents: list[Float[Tensor, "batch position width"]]) -> QuantizerOutput:
        """Every level on its own tap."""
        levels: list[LevelOutput] = []
        for level in range(len(self.level_sizes)):
            levels.append(self.quantize_level(level, latents[level], levels))
        return self.merge(levels)

    def choose(self, latents: list[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """Codes of every level on its own tap."""
        levels: list[LevelOutput] = []
        for level in range(len(self.level_sizes)):
            levels.append(self.choose_level(level, latents[level], levels))
        return torch.stack([output.codes for output in levels], dim=-1)

    def quantize_level(
        self, level: int, latent: Float[Tensor, "batch position width"], previous: Sequence[LevelOutput]
    ) -> LevelOutput:
        """One level of `forward`, with its share of the loss terms; `previous` is what the coarser levels gave.

        ||Z(n) - running mean of e(M(1..n))|| is ||H(n) - e(M(n))|| / n for up to two levels: the poster's sum, term by
        term.
        """
        with torch.autocast(latent.device.type, enabled=False):
            target = self._level_input(latent.float(), previous)
            return self.settle_level(self.books[level], target, self._commitment_share(level))

    def choose_level(
        self, level: int, latent: Float[Tensor, "batch position width"], previous: Sequence[LevelOutput]
    ) -> LevelOutput:
        """One level of `encode`."""
        codebook, nothing = self.books[level], latent.new_zeros(())
        codes = codes_of(codebook, self._level_input(latent.float(), previous))
        return LevelOutput(codes, codebook.lookup(codes), nothing, nothing)

    def _commitment_share(self, level: int) -> float:
        return 1.0 / (level + 1) ** 2

    def _level_input(self, latent: Tensor, previous: Sequence[LevelOutput]) -> Tensor:
        """H of this level: the tap itself at the first, twice the tap minus the previous code vector at later ones."""
        if not previous:
            return latent
        residual = previous[-1].code_vectors
        return (2 * latent).sub_(residual.detach() if self.stop_residual_gradient else residual)

    @staticmethod
    def merge(levels: Sequence[LevelOutput]) -> QuantizerOutput:
        """Levels side by side: codes stacked, code vectors averaged, loss terms summed."""
        return QuantizerOutput(
            torch.stack([output.codes for output in levels], dim=-1),
            mean_of([output.code_vectors for output in levels]),
            total_of([output.commitment for output in levels]),
            total_of([output.codebook for output in levels]),
        )

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position: mean of its levels' code vectors; with fewer levels, of the coarse ones."""
        return mean_of([book.lookup(codes[..., level]) for level, book in zip(range(codes.shape[-1]), self.books)])


class ProductQuantizer(HierarchicalQuantizer):
    """Levels side by side: each quantizes its own latent and nothing of another level; the token is their mean.

    A level's codes then tell of its own latent alone, which the residual rule of HRQ does not allow.

    Reference: Jegou et al. 2011 (product quantization), each level a subquantizer with a latent of its own.
    """

    def _level_input(self, latent: Tensor, previous: Sequence[LevelOutput]) -> Tensor:
        """The level's latent itself."""
        del previous
        return latent

    def _commitment_share(self, level: int) -> float:
        """All levels alike, their mean counting once."""
        del level
        return 1.0 / len(self.level_sizes)


class ResidualQuantizer(CodebookQuantizer):
    """RVQ: each level quantizes what the sum of the earlier ones left of the last tap; the token is the sum of all.

    Every level's commitment is the distance of the latent to the sum so far. The gradient passes once, from the token
    to the latent.

    Args:
        level_sizes: number of codes per level, coarsest first.
        width: length of latents and code vectors.
        gradient: how the gradient passes, see `settle`.
        seed: seed of the codebooks' random draws; each level has its own.
        settings: how the codebooks learn, see `Codebook`.

    Reference: Zeghidour et al. 2021 (SoundStream), algorithm 1.
    """

    def __init__(
        self,
        level_sizes: Sequence[int],
        width: int,
        *,
        gradient: Gradient = "straight_through",
        seed: int = 0,
        **settings: Unpack[CodebookSettings],
    ) -> None:
        super().__init__(untrained_codebooks(level_sizes, width, seed, settings), gradient)

    def quantize(self, latents: list[Float[Tensor, "batch position width"]]) -> QuantizerOutput:
        """Every level on the rest that the earlier ones left."""
        latent = latents[-1]
        vectors: Tensor | None = None
        codes, commitments, codebook_losses = [], [], []
        for codebook in self.books:
            codes.append(self.learned_codes(codebook, _rest(latent.detach(), vectors)))
            chosen = codebook.lookup(codes[-1])
            chosen = chosen if vectors is None else vectors.detach() + chosen
            vectors, commitment, codebook_loss = settle(latent, chosen, self.gradient)
            commitments.append(commitment)
            learns = codebook.learning == "gradient"
            codebook_losses.append(codebook_loss if learns else codebook_loss.new_zeros(()))
        token = latent if vectors is None else vectors
        return QuantizerOutput(torch.stack(codes, dim=-1), token, total_of(commitments), total_of(codebook_losses))

    def choose(self, latents: list[Float[Tensor, "batch position width"]]) -> Int[Tensor, "batch position level"]:
        """Codes of every level on the rest that the earlier ones left."""
        vectors: Tensor | None = None
        codes = []
        for codebook in self.books:
            codes.append(codes_of(codebook, _rest(latents[-1], vectors)))
            chosen = codebook.lookup(codes[-1])
            vectors = chosen if vectors is None else vectors + chosen
        return torch.stack(codes, dim=-1)

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position: sum of its levels' code vectors; with fewer levels, of the coarse ones."""
        return total_of([book.lookup(codes[..., level]) for level, book in zip(range(codes.shape[-1]), self.books)])


def untrained_codebooks(
    level_sizes: Sequence[int], width: int, seed: int, settings: CodebookSettings
) -> list[Codebook]:
    """One untrained codebook per level, each with its own seed."""
    return [Codebook(size, width, seed=seed + level, **settings) for level, size in enumerate(level_sizes)]


def total_of(terms: Sequence[Tensor]) -> Tensor:
    """Sum of tensors of one shape, first to last; a single one is given back as it is."""
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def mean_of(terms: Sequence[Tensor]) -> Tensor:
    """Mean of tensors of one shape; a single one is given back as it is."""
    return terms[0] if len(terms) == 1 else total_of(terms) / len(terms)


def _rest(latent: Tensor, vectors: Tensor | None) -> Tensor:
    return latent if vectors is None else latent - vectors.detach()
