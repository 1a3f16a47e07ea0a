"""One codebook: nearest code, k-means start, EMA update and dead-code revival, the same on one rank or many.

Flow: latents [row, width] -> codes [row]; during training `observe` adds up statistics and `update`, called once an
optimizer step, turns them into new code vectors. Everything runs in float32 whatever the autocast. Every statistic is
summed over ranks and random draws depend on (seed, update number) alone, so all ranks hold the same codebook.
It must not know how its latents were made nor how levels are combined. Paper: section 3.2 (Eq. 1 and EMA).
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

MAX_DISTANCE_ENTRIES = 16 * 2**20
"""Largest [row x code] distance matrix held at a time (64 MiB in float32); more rows go in slices."""

EPSILON = 1e-5
"""Added to every code's EMA count before dividing, after van den Oord et al. 2017, so that no code divides by zero."""


class UntrainedCodebookError(RuntimeError):
    """A codebook that has never seen latents was asked for codes."""


def nearest_codes(latents: Float[Tensor, "row dim"], code_vectors: Float[Tensor, "size dim"]) -> Int[Tensor, "row"]:
    """Code of the closest code vector for each latent, by squared Euclidean distance.

    Ties go to the lowest code. Neither argument is normalized here. The latent's own norm is the same for all codes
    and left out, so one matrix product does the work.

    Reference: VQDNA Eq. 1, see docs/paper.md.
    """
    half_norms = code_vectors.square().sum(dim=1).mul_(0.5)
    rows_at_a_time = max(1, MAX_DISTANCE_ENTRIES // len(code_vectors))
    codes = torch.empty(len(latents), dtype=torch.long, device=latents.device)
    for start in range(0, len(latents), rows_at_a_time):
        rows = slice(start, start + rows_at_a_time)
        torch.argmin(torch.addmm(half_norms, latents[rows], code_vectors.T, alpha=-1), dim=1, out=codes[rows])
    return codes


class Codebook(nn.Module):
    """Code vectors of one level, with the statistics that move them.

    Args:
        size: number of codes.
        width: length of a code vector.
        learning: "ema" moves code vectors to the running mean of their latents; "gradient" leaves them to the optimizer
            through the codebook loss (then `code_vectors` is a parameter).
        decay: EMA decay per update.
        dead_code_threshold: a code whose EMA count falls below this many latents per update is revived; 0 turns
            revival off.
        kmeans_iterations: Lloyd iterations on the first latents.
        seed: seed of the random draws.
    """

    code_vectors: Tensor
    ema_counts: Tensor
    ema_sums: Tensor
    is_initialized: Tensor
    num_updates: Tensor

    def __init__(
        self,
        size: int,
        width: int,
        *,
        learning: Literal["ema", "gradient"] = "ema",
        decay: float = 0.99,
        dead_code_threshold: float = 0.5,
        kmeans_iterations: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.learning, self.decay, self.dead_code_threshold = learning, decay, dead_code_threshold
        self.kmeans_iterations, self.seed = kmeans_iterations, seed
        if learning == "gradient":
            self.code_vectors = nn.Parameter(torch.zeros(size, width))
        else:
            self.register_buffer("code_vectors", torch.zeros(size, width))
        self.register_buffer("ema_counts", torch.zeros(size))
        self.register_buffer("ema_sums", torch.zeros(size, width))
        self.register_buffer("is_initialized", torch.zeros((), dtype=torch.bool))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self._pending_counts: Tensor | None = None
        self._pending_sums: Tensor | None = None
        self._candidates: Tensor | None = None

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.code_vectors.shape[0]

    def extra_repr(self) -> str:
        """Size, width and learning rule, for `print(model)`."""
        return f"{self.size} x {self.code_vectors.shape[1]}, learning={self.learning}"

    def encode(self, latents: Float[Tensor, "row dim"]) -> Int[Tensor, "row"]:
        """Nearest code of each latent.

        Raises:
            UntrainedCodebookError: the codebook was never initialized from latents or loaded.
        """
        if not self.is_initialized:
            raise UntrainedCodebookError("this codebook has never been trained; train a vocabulary or load one first")
        with torch.autocast(latents.device.type, enabled=False):
            return nearest_codes(latents.detach().float(), self.code_vectors.detach())

    def lookup(self, codes: Int[Tensor, "*position"]) -> Float[Tensor, "*position dim"]:
        """Code vector of each code."""
        return nn.functional.embedding(codes, self.code_vectors)

    @torch.no_grad()
    def initialize(self, latents: Float[Tensor, "row dim"]) -> None:
        """Code vectors set to k-means centers of a sample of all ranks' latents (at most 32 rows a code); once only."""
        if self.is_initialized:
            return
        sample = self._draw_rows(latents.detach().float(), 32 * self.size)
        centers, counts = kmeans(sample, self.size, self.kmeans_iterations, self._generator(latents.device))
        self.code_vectors.copy_(centers)
        self.ema_counts.copy_(counts.clamp_min(1.0))
        self.ema_sums.copy_(centers * self.ema_counts[:, None])
        self.is_initialized.fill_(True)

    @torch.no_grad()
    def observe(self, latents: Float[Tensor, "row dim"], codes: Int[Tensor, "row"]) -> None:
        """Statistics of one forward pass added to those waiting for `update`."""
        latents = latents.detach().float()
        if self._pending_counts is None or self._pending_sums is None:
            self._pending_counts = torch.zeros_like(self.ema_counts)
            self._pending_sums = torch.zeros_like(self.ema_sums)
        self._pending_counts += torch.bincount(codes, minlength=self.size)
        self._pending_sums.index_add_(0, codes, latents)
        self._candidates = latents

    @torch.no_grad()
    def update(self) -> None:
        """One EMA step over all latents observed since the last update on all ranks, then dead codes are revived.

        Every rank of a distributed run must call it at the same step. Does nothing where nothing was observed.
        """
        if self._pending_counts is None or self._pending_sums is None or self._candidates is None:
            return
        counts, sums = self._summed_over_ranks(self._pending_counts, self._pending_sums)
        self.ema_counts.lerp_(counts, 1 - self.decay)
        self.ema_sums.lerp_(sums, 1 - self.decay)
        if self.learning == "ema":
            self.code_vectors.copy_(self.ema_sums / smoothed_counts(self.ema_counts)[:, None])
        self.num_updates += 1
        self._revive(self._candidates)
        self._pending_counts = self._pending_sums = self._candidates = None

    def _revive(self, latents: Tensor) -> None:
        """Dead codes moved onto random latents of the last forward pass; all three buffers are reset with them."""
        dead = torch.nonzero(self.ema_counts < self.dead_code_threshold).flatten()
        if len(dead) == 0:
            return
        drawn = self._draw_rows(latents, len(dead))
        dead = dead[: len(drawn)]
        self.code_vectors.data[dead] = drawn
        self.ema_counts[dead] = 1.0
        self.ema_sums[dead] = drawn

    def _generator(self, device: torch.device) -> torch.Generator:
        """Random source that is the same on every rank and after a resume: a function of (seed, update number)."""
        return torch.Generator(device=device).manual_seed(self.seed * 1_000_003 + int(self.num_updates))

    def _draw_rows(self, latents: Tensor, num_rows: int) -> Tensor:
        """At most `num_rows` distinct random rows of all ranks' latents, in rank order; the same on every rank."""
        totals = _rows_per_rank(len(latents), latents.device)
        first = sum(totals[: _rank()])
        chosen = torch.randperm(sum(totals), generator=self._generator(latents.device), device=latents.device)
        chosen = chosen[:num_rows]
        mine = (chosen >= first) & (chosen < first + len(latents))
        rows = torch.zeros(len(chosen), latents.shape[1], device=latents.device)
        rows[mine] = latents[chosen[mine] - first]
        if len(totals) > 1:
            dist.all_reduce(rows)
        return rows

    @staticmethod
    def _summed_over_ranks(counts: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        if not _is_distributed():
            return counts, sums
        joint = torch.cat([counts[:, None], sums], dim=1)
        dist.all_reduce(joint)
        return joint[:, 0].clone(), joint[:, 1:].clone()


def smoothed_counts(counts: Float[Tensor, "size"]) -> Float[Tensor, "size"]:
    """Counts with Laplace smoothing that keeps their sum (van den Oord et al. 2017, appendix A.1)."""
    total = counts.sum()
    return (counts + EPSILON) / (total + len(counts) * EPSILON) * total


def kmeans(
    rows: Float[Tensor, "row dim"], num_centers: int, num_iterations: int, generator: torch.Generator
) -> tuple[Float[Tensor, "size dim"], Float[Tensor, "size"]]:
    """Lloyd's centers and the number of rows nearest to each, from random distinct rows.

    With fewer rows than centers, rows repeat with a small noise, so that no two centers are the same.
    """
    order = torch.randperm(len(rows), generator=generator, device=rows.device)
    picks = order[torch.arange(num_centers, device=rows.device) % len(rows)]
    centers = rows[picks].clone()
    if len(rows) < num_centers:
        noise = torch.randn(centers.shape, generator=generator, device=rows.device)
        centers += 1e-3 * rows.std(unbiased=False).clamp_min(1e-6) * noise
    counts = torch.ones(num_centers, device=rows.device)
    for _ in range(num_iterations):
        codes = nearest_codes(rows, centers)
        counts = torch.bincount(codes, minlength=num_centers).to(rows.dtype)
        sums = torch.zeros_like(centers).index_add_(0, codes, rows)
        occupied = counts > 0
        centers[occupied] = sums[occupied] / counts[occupied, None]
    return centers, counts


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _rank() -> int:
    return dist.get_rank() if _is_distributed() else 0


def _rows_per_rank(num_rows: int, device: torch.device) -> list[int]:
    """Number of rows that each rank holds, in rank order."""
    if not _is_distributed():
        return [num_rows]
    counts = torch.zeros(dist.get_world_size(), dtype=torch.long, device=device)
    counts[_rank()] = num_rows
    dist.all_reduce(counts)
    return [int(count) for count in counts]
