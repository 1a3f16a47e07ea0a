"""One codebook: nearest code, k-means start, EMA update and dead-code revival, the same on one rank or many.

Flow: latents [row, width] -> codes [row]; during training `observe` adds up statistics and `update`, called once an
optimizer step, turns them into new code vectors. Everything runs in float32 whatever the autocast. Statistics are sums
over all ranks and passes, and random draws depend on (seed, update number) and a row's place in the joint batch alone:
ranks and accumulated passes give the codebook of one rank that saw the whole batch at once.
It must not know how its latents were made nor how levels are combined. Paper: section 3.2 (Eq. 1 and EMA).
"""

from __future__ import annotations

from typing import Literal, TypedDict

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqdna.vocabulary.row_sample import RowSample, is_distributed

MAX_DISTANCE_ENTRIES = 16 * 2**20
"""Largest [row x code] distance matrix held at a time (64 MiB in float32); more rows go in slices."""

MAX_DISTANCE_ENTRIES_ON_CPU = 2**20
"""The same without a GPU: slices that stay in the processor's cache (4 MiB)."""

EPSILON = 1e-5
"""Added to every code's EMA count before dividing, after van den Oord et al. 2017, so that no code divides by zero."""

START_ROWS_PER_CODE = 32
"""Rows per code of the sample that k-means starts from, at most."""

MAX_REVIVAL_POOL = 4096
"""Latents drawn per update among which the farthest are looked for."""

Revival = Literal["random", "farthest"]


class CodebookSettings(TypedDict, total=False):
    """How a codebook learns: keyword arguments of `Codebook`, which quantizers hand on to theirs."""

    learning: Literal["ema", "gradient"]
    decay: float
    warm_up_decay: bool
    dead_code_threshold: float
    revival: Revival


class UntrainedCodebookError(RuntimeError):
    """A codebook that has never seen latents was asked for codes."""


def at_least_single(values: Tensor) -> Tensor:
    """In single precision, or double where they are double: distances of near code vectors differ in late digits."""
    return values if values.dtype == torch.float64 else values.float()


@torch.no_grad()
def nearest_codes(latents: Float[Tensor, "row dim"], code_vectors: Float[Tensor, "size dim"]) -> Int[Tensor, "row"]:
    """Code of the closest code vector for each latent, by squared Euclidean distance; ties go to the lowest code.

    Reference: VQDNA Eq. 1, see docs/paper.md.
    """
    # |z - e|^2 / 2 = |z|^2 / 2 + |e|^2 / 2 - z.e, and |z|^2 is the same for all codes: a matrix product does the work.
    half_norms = code_vectors.square().sum(dim=1).mul_(0.5)
    most = MAX_DISTANCE_ENTRIES if latents.is_cuda else min(MAX_DISTANCE_ENTRIES, MAX_DISTANCE_ENTRIES_ON_CPU)
    rows_at_a_time = min(len(latents), max(1, most // len(code_vectors)))
    # One buffer for all slices: a [row x code] matrix of a whole batch would take gigabytes.
    distances = code_vectors.new_empty(rows_at_a_time, len(code_vectors))
    codes = torch.empty(len(latents), dtype=torch.long, device=latents.device)
    for start in range(0, len(latents), max(1, rows_at_a_time)):
        rows = latents[start : start + rows_at_a_time].to(code_vectors.dtype)
        held = torch.addmm(half_norms, rows, code_vectors.T, alpha=-1, out=distances[: len(rows)])
        torch.argmin(held, dim=1, out=codes[start : start + len(rows)])
    return codes


class Codebook(nn.Module):
    """Code vectors of one level, with the statistics that move them.

    Args:
        size: number of codes.
        width: length of a code vector.
        learning: "ema" moves code vectors to the running mean of their latents; "gradient" leaves them to the optimizer
            through the codebook loss (then `code_vectors` is a parameter).
        decay: EMA decay per update.
        warm_up_decay: whether update t (from 0) decays by min(decay, (1 + t) / (10 + t)), so that codes forget the
            latents of the first steps, which are soon far away, and dead ones are found at once.
        dead_code_threshold: a code whose EMA count falls below this many latents per update is revived; 0 turns
            revival off.
        revival: dead codes move onto "random" latents of the update, or onto the "farthest" from all code vectors among
            some drawn at random, which finds rare latents that share a code.
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
        warm_up_decay: bool = False,
        dead_code_threshold: float = 0.5,
        revival: Revival = "random",
        kmeans_iterations: int = 10,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.revival: Revival = revival
        self.learning, self.decay, self.dead_code_threshold = learning, decay, dead_code_threshold
        self.warm_up_decay, self.kmeans_iterations, self.seed = warm_up_decay, kmeans_iterations, seed
        if learning == "gradient":
            self.code_vectors = nn.Parameter(torch.zeros(size, width))
        else:
            self.register_buffer("code_vectors", torch.zeros(size, width))
        self.register_buffer("ema_counts", torch.zeros(size))
        self.register_buffer("ema_sums", torch.zeros(size, width))
        self.register_buffer("is_initialized", torch.zeros((), dtype=torch.bool))
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.long))
        self._pending: Tensor | None = None
        self._candidates: RowSample | None = None
        self._start: RowSample | None = None

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.code_vectors.shape[0]

    def extra_repr(self) -> str:
        """Size, width and learning rule, for `print(model)`."""
        return f"{self.size} x {self.code_vectors.shape[1]}, learning={self.learning}"

    def encode(self, latents: Float[Tensor, "*position dim"], *, learn: bool = False) -> Int[Tensor, "*position"]:
        """Nearest code of each latent; where it is to learn, the codebook starts from them and takes note of them.

        Raises:
            UntrainedCodebookError: the codebook was never initialized from latents or loaded.
        """
        rows = latents.detach().reshape(-1, latents.shape[-1])
        if learn and not self.is_initialized:
            self.initialize(rows)
        if self._start is not None:  # there are no code vectors yet, and whoever asks wants a tensor of the right shape
            codes = torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        elif not self.is_initialized:
            raise UntrainedCodebookError("this codebook has never been trained; train a vocabulary or load one first")
        else:
            with torch.autocast(rows.device.type, enabled=False):
                codes = nearest_codes(rows, self.code_vectors.detach())
        if learn:
            self.observe(rows, codes)
        return codes.view(latents.shape[:-1])

    def lookup(self, codes: Int[Tensor, "*position"]) -> Float[Tensor, "*position dim"]:
        """Code vector of each code."""
        return nn.functional.embedding(codes, self.code_vectors)

    @torch.no_grad()
    def initialize(self, latents: Float[Tensor, "row dim"]) -> None:
        """Code vectors set to k-means centers of a sample of all ranks' latents (at most 32 rows a code); once only."""
        if self.is_initialized:
            return
        if self._start is not None:
            self._start.add(latents.detach().float())
            return
        self.gather()
        self.initialize(latents)
        self.start()

    def gather(self) -> None:
        """Until `start`, passes only gather latents to start from: all codes are 0 and nothing is observed.

        For a training loop that cuts its first batch into several passes; without it the first pass is all that k-means
        sees. Called again it forgets what was gathered. An initialized codebook takes no notice.
        """
        if not self.is_initialized:
            self._start = RowSample(START_ROWS_PER_CODE * self.size, self._key(0))

    def start(self) -> None:
        """Code vectors set to k-means centers of what was gathered."""
        if self._start is not None:
            sample, self._start = self._start.draw(START_ROWS_PER_CODE * self.size), None
            # The sample is the same on every rank, and so is the generator: each rank works out the same centers.
            generator = torch.Generator(device=sample.device).manual_seed(self._key(0))
            with torch.no_grad(), torch.autocast(sample.device.type, enabled=False):
                centers, counts = kmeans(sample, self.size, self.kmeans_iterations, generator)
                self.code_vectors.copy_(centers)
                # Counts of at least 1, or codes that k-means left empty would be dead before they were ever offered.
                self.ema_counts.copy_(counts.clamp_min(1.0))
                self.ema_sums.copy_(centers * self.ema_counts[:, None])
                self.is_initialized.fill_(True)

    def forget_observed(self) -> None:
        """Drops what waits for `update`."""
        self._pending = self._candidates = None

    @torch.no_grad()
    def observe(self, latents: Float[Tensor, "row dim"], codes: Int[Tensor, "row"]) -> None:
        """Statistics of one forward pass added to those waiting for `update`.

        Between two updates every rank must observe the same number of passes; a pass may have no rows.
        """
        if self._start is not None:
            return
        latents = latents.detach().float()
        counts, sums = self._waiting()
        # Sums, not means: those of passes and ranks add up to what one pass over the joint batch would give.
        counts += torch.bincount(codes, minlength=self.size)
        sums.index_add_(0, codes, latents)
        if self.dead_code_threshold > 0:
            self._candidates = self._candidates or self._no_candidates()
            self._candidates.add(latents)  # before it is known whether a code is dead: latents are gone by then

    @torch.no_grad()
    def update(self) -> None:
        """One EMA step over all latents observed since the last update on all ranks, then dead codes are revived.

        Every rank of a distributed run must call it at the same step, also one that saw no latents. Does nothing where
        no rank observed any.
        """
        if self._pending is None and not is_distributed():
            return
        counts, sums = self._waiting()
        if is_distributed():
            # Also by a rank that saw nothing: a collective that one rank leaves out blocks all the others.
            dist.all_reduce(self._pending)
        if counts.any():
            decay = self.decay
            if self.warm_up_decay:
                updates = int(self.num_updates)
                decay = min(decay, (1 + updates) / (10 + updates))
            self.ema_counts.lerp_(counts, 1 - decay)
            self.ema_sums.lerp_(sums, 1 - decay)
            if self.learning == "ema":
                # The mean of a code's latents is sum / count, both decayed alike. A code that no latent chose keeps its
                # vector, as both shrink by one factor; only its count tells that it is dying.
                torch.div(self.ema_sums, smoothed_counts(self.ema_counts)[:, None], out=self.code_vectors)
            self._revive()
            self.num_updates += 1
        self.forget_observed()

    def _waiting(self) -> tuple[Tensor, Tensor]:
        """Counts and sums that wait for `update`: views of one tensor, so that ranks add them up in one call."""
        if self._pending is None:
            self._pending = self.ema_sums.new_zeros(self.ema_counts.numel() + self.ema_sums.numel())
        return self._pending[: self.size], self._pending[self.size :].view_as(self.ema_sums)

    def _revive(self) -> None:
        """Dead codes moved onto random latents of those observed; all three buffers are reset with them."""
        dead = torch.nonzero(self.ema_counts < self.dead_code_threshold).flatten()
        if len(dead) == 0:
            return
        if self._candidates is None:  # a rank that saw no latents still takes part in the draw
            self._candidates = self._no_candidates()
            self._candidates.add(self.ema_sums[:0])
        if self.revival == "random":
            drawn = self._candidates.draw(len(dead))
        else:
            # Distinct latents: two dead codes on one place would tie for ever, and the higher one would stay dead.
            pool = torch.unique(self._candidates.draw(MAX_REVIVAL_POOL), dim=0)
            nearest = self.code_vectors[nearest_codes(pool, self.code_vectors.detach())]
            distances = (pool - nearest).square().sum(dim=1)
            farthest = torch.argsort(distances, descending=True, stable=True)[: len(dead)]
            drawn = pool[farthest[distances[farthest] > 0]]
        dead = dead[: len(drawn)]  # fewer latents than dead codes: the rest wait for the next update
        # Sums and counts too: the next division would put the code back to where it died, and its old count of nearly
        # nothing would revive it again before it could win a latent. `.data`, as code vectors may be a parameter.
        self.code_vectors.data[dead] = drawn
        self.ema_counts[dead] = 1.0
        self.ema_sums[dead] = drawn

    def _no_candidates(self) -> RowSample:
        size = self.size if self.revival == "random" else max(self.size, MAX_REVIVAL_POOL)
        return RowSample(size, self._key(1 + int(self.num_updates)))

    def _key(self, draw: int) -> int:
        """Key of a draw, the same on every rank and after a resume; draw 0 is the start's, t + 1 that of update t."""
        return self.seed * 1_000_003 + draw


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
        occupied = counts > 0  # an empty center stays where it is; dead-code revival moves it once training runs
        centers[occupied] = sums[occupied] / counts[occupied, None]
    return centers, counts
