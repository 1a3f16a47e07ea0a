"""Baselines of the paper's quantizers at the same rate: cosine codebook, FSQ and SimVQ, one level on the last tap.

Flow: latents [batch, position, width] -> codes [batch, position, 1] and code vectors [batch, position, width].
FSQ's rounding and SimVQ's codebook are those of vector-quantize-pytorch (extra `rivals`). The cosine codebook is ours,
after its `use_cosine_sim`: that one moves inside the forward pass and decides when it is built whether it runs on many
ranks, so its result depends on how a batch is cut. It must not know how latents are made nor what is decoded.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Unpack

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqdna.errors import InputError
from vqdna.vocabulary.codebook import Codebook, CodebookSettings, UntrainedCodebookError, at_least_single, nearest_codes
from vqdna.vocabulary.gradients import Gradient, straight_through
from vqdna.vocabulary.quantizer import CodebookQuantizer, Quantizer, QuantizerOutput
from vqdna.vocabulary.row_sample import is_distributed


class UnitCodebook(Codebook):
    """Codebook of directions, for latents of length 1: the nearest code vector is that of the largest cosine."""

    @torch.no_grad()
    def start(self) -> None:
        """Code vectors set to the directions of k-means centers of what was gathered."""
        was_initialized = bool(self.is_initialized)
        super().start()
        if not was_initialized:
            self.code_vectors.copy_(_unit(self.code_vectors))

    @torch.no_grad()
    def update(self) -> None:
        """The codebook's own step, its outcome brought back to length 1."""
        updates = int(self.num_updates)
        super().update()
        if int(self.num_updates) > updates:
            self.code_vectors.copy_(_unit(self.code_vectors))


class CosineQuantizer(CodebookQuantizer):
    """One level of codes that are directions in a narrow space; a linear map leads in and another out.

    Args:
        size: number of codes.
        width: length of latents and tokens.
        code_dim: dimensions in which codes are compared.
        gradient: see `CodebookQuantizer`, as for `seed` and `settings`.

    Reference: Yu et al. 2021 (ViT-VQGAN), section 3.2.
    """

    codebook_type = UnitCodebook

    def __init__(
        self,
        size: int,
        width: int,
        *,
        code_dim: int,
        gradient: Gradient = "straight_through",
        seed: int = 0,
        **settings: Unpack[CodebookSettings],
    ) -> None:
        super().__init__([size], code_dim, gradient=gradient, seed=seed, **settings)
        self.narrow, self.widen = nn.Linear(width, code_dim), nn.Linear(code_dim, width)

    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """The last tap's directions; the distances are those between directions."""
        with torch.autocast(latents[-1].device.type, enabled=False):
            directions = _unit(_in_float32(self.narrow, latents[-1]))
            output = self.quantize_level(0, directions, only_codes=only_codes)
            return replace(output, code_vectors=_in_float32(self.widen, output.code_vectors))

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position."""
        return _in_float32(self.widen, self.codebooks[0].lookup(codes[..., 0]))

    @torch.no_grad()
    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """Token of every code."""
        return _in_float32(self.widen, self.codebooks[level].code_vectors)


class LibraryQuantizer(Quantizer):
    """What the quantizers share whose codes come from the library: one level, fitted to the first training batch.

    Like a `Codebook` it may be told to `gather` over several passes before it is to `start`.
    """

    is_initialized: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.level_sizes = (size,)
        self.register_buffer("is_initialized", torch.zeros((), dtype=torch.bool))
        self._gathered: list[Tensor] | None = None

    @property
    def is_trained(self) -> bool:
        """Whether a training batch was seen."""
        return bool(self.is_initialized)

    def gather(self) -> None:
        """Until `start`, passes only add to what the fit is made from. Once fitted it takes no notice."""
        if not self.is_initialized:
            self._gathered = []

    def start(self) -> None:
        """The fit, to all that was gathered on all ranks."""
        if self._gathered is not None:
            # Mean and deviation from sums alone, in double precision: sums add up over passes and ranks.
            sums = torch.stack(self._gathered).sum(dim=0)
            if is_distributed():
                dist.all_reduce(sums)
            count, total, squares = sums
            mean = total / count
            deviation = (squares / count - mean.square()).clamp_min(0).sqrt()
            self._gathered = None
            with torch.no_grad():
                self.fit(mean.float(), deviation.float().clamp_min(torch.finfo(torch.float32).tiny))
                self.is_initialized.fill_(True)

    def forget_observed(self) -> None:
        """Nothing: a library quantizer keeps no statistics between updates."""

    def _fit_to_first(self, latent: Float[Tensor, "batch position width"], *, learn: bool) -> None:
        """Fits the quantizer to its first training batch, as k-means does a codebook; does nothing once it is fitted.

        Raises:
            UntrainedCodebookError: it is not to learn, before any training batch.
        """
        if self.is_initialized:
            return
        if not learn:
            raise UntrainedCodebookError("this quantizer has never been trained; train a vocabulary or load one first")
        is_alone = self._gathered is None  # nobody called `gather`: this batch is all there is to fit to
        with torch.no_grad():
            values = self.measured(latent.detach().reshape(-1, latent.shape[-1])).double()
            count = torch.full_like(values[0], len(values))
            self._gathered = [
                *(self._gathered or []), torch.stack([count, values.sum(dim=0), values.square().sum(dim=0)]),
            ]  # fmt: skip
        if is_alone:
            self.start()

    @abstractmethod
    def measured(self, rows: Float[Tensor, "row width"]) -> Float[Tensor, "row dim"]:
        """Values whose mean and deviation the fit needs."""

    @abstractmethod
    def fit(self, mean: Float[Tensor, "dim"], deviation: Float[Tensor, "dim"]) -> None:
        """Weights scaled to the first latents."""


class FiniteScalarQuantizer(LibraryQuantizer):
    """FSQ: a linear map to a few scalars, each rounded to one of its steps, and a linear map back.

    There is nothing to commit to: both distances are zero.

    Args:
        fsq_levels: steps per scalar; their product is the number of codes.
        width: length of latents and tokens.

    Reference: Mentzer et al. 2023, through vector-quantize-pytorch's `FSQ`.
    """

    def __init__(self, fsq_levels: Sequence[int], width: int) -> None:
        super().__init__(math.prod(fsq_levels))
        self.fsq_levels = tuple(fsq_levels)
        self.narrow, self.widen = nn.Linear(width, len(self.fsq_levels)), nn.Linear(len(self.fsq_levels), width)
        _library()

    def measured(self, rows: Float[Tensor, "row width"]) -> Float[Tensor, "row dim"]:
        """The scalars before rounding."""
        return _in_float32(self.narrow, rows)

    def fit(self, mean: Float[Tensor, "dim"], deviation: Float[Tensor, "dim"]) -> None:
        """Every scalar gets mean 0 and deviation 1 over the first latents, so that its steps are used."""
        self.narrow.weight.div_(deviation[:, None])
        self.narrow.bias.sub_(mean).div_(deviation)

    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """The last tap's scalars, rounded with the straight-through gradient."""
        with torch.autocast(latents[-1].device.type, enabled=False):
            latent = at_least_single(latents[-1])
            self._fit_to_first(latent, learn=self.training and not only_codes)
            scalars, codes = _finite_scalars(self.fsq_levels, latent.device)(_in_float32(self.narrow, latent))
            nothing = scalars.new_zeros(())
            return QuantizerOutput(codes.long()[..., None], _in_float32(self.widen, scalars), nothing, nothing)

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Token of each position."""
        rounding = _finite_scalars(self.fsq_levels, codes.device)
        return _in_float32(self.widen, rounding.indices_to_codes(codes[..., 0]))

    @torch.no_grad()
    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """Token of every code."""
        codes = torch.arange(self.level_sizes[level], device=self.widen.weight.device)
        return self.lookup(codes[None, :, None])[0]

    @property
    def num_code_values(self) -> int:
        """None: the steps are fixed."""
        return 0


class SimQuantizer(LibraryQuantizer):
    """SimVQ: code vectors are frozen random vectors times one learned matrix, so every step moves all codes.

    Nearest codes are found by our search: the library's holds all distances of a batch at once. The two distances are
    kept apart, so that the configuration's weights apply.

    Args:
        size: number of codes.
        width: length of latents and code vectors.
        gradient: how the gradient passes, see `straight_through`.

    Reference: Zhu et al. 2024, through vector-quantize-pytorch's `SimVQ`.
    """

    def __init__(self, size: int, width: int, *, gradient: Gradient = "straight_through") -> None:
        super().__init__(size)
        self.gradient: Gradient = gradient
        self.library = _library().SimVQ(dim=width, codebook_size=size)

    def measured(self, rows: Float[Tensor, "row width"]) -> Float[Tensor, "row dim"]:
        """The latents themselves."""
        return rows

    def fit(self, mean: Float[Tensor, "dim"], deviation: Float[Tensor, "dim"]) -> None:
        """The matrix is scaled until code vectors are as long as the first latents, in the mean of squares."""
        target = (mean.square() + deviation.square()).mean().sqrt()
        self.library.code_transform.weight.mul_(target / self.library.codebook.square().mean().sqrt())

    def forward(
        self, latents: Sequence[Float[Tensor, "batch position width"]], *, only_codes: bool = False
    ) -> QuantizerOutput:
        """The last tap's nearest code vectors."""
        with torch.autocast(latents[-1].device.type, enabled=False):
            latent = at_least_single(latents[-1])
            self._fit_to_first(latent, learn=self.training and not only_codes)
            table = self.library.codebook  # worked out anew from the matrix each time it is asked for
            codes = nearest_codes(latent.detach().flatten(0, -2), table.detach()).view(latent.shape[:-1])
            passed = straight_through(latent, nn.functional.embedding(codes, table), self.gradient)
        return QuantizerOutput(codes[..., None], *passed)

    def lookup(self, codes: Int[Tensor, "batch position level"]) -> Float[Tensor, "batch position width"]:
        """Code vector of each position."""
        vectors: Tensor = nn.functional.embedding(codes[..., 0], self.library.codebook)
        return vectors

    @torch.no_grad()
    def code_table(self, level: int) -> Float[Tensor, "size width"]:
        """All code vectors."""
        del level
        table: Tensor = self.library.codebook
        return table

    @property
    def num_code_values(self) -> int:
        """Numbers in the frozen vectors."""
        return int(self.library.frozen_codebook.numel())


def _in_float32(linear: nn.Linear, values: Float[Tensor, "*position dim"]) -> Float[Tensor, "*position dim_out"]:
    return nn.functional.linear(*map(at_least_single, (values, linear.weight, linear.bias)))


def _unit(vectors: Tensor) -> Tensor:
    return nn.functional.normalize(vectors, dim=-1)


@cache
def _finite_scalars(fsq_levels: tuple[int, ...], device: torch.device) -> Any:
    """The library's rounding, used as a function: without its linear maps it has no weights, so no model holds it.

    Its tables are left out of a state dict, and transformers would load a model with empty ones.
    """
    with torch.device("cpu"):
        return _library().FSQ(levels=list(fsq_levels), dim=len(fsq_levels)).to(device)


def _library() -> Any:
    """vector-quantize-pytorch.

    Raises:
        InputError: it is not installed.
    """
    try:
        import vector_quantize_pytorch
    except ImportError:
        raise InputError('quantizer: fsq and simvq need vector-quantize-pytorch; pip install "vqdna[rivals]"') from None
    return vector_quantize_pytorch
