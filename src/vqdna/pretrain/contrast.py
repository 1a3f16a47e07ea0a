"""Two augmented views of one span are told from those of other spans, so that similar DNA gets similar states.

Flow: windows [batch, base] + their numbers -> spans -> per span two views, each cut at a place of its own and with some
bases substituted, the second read from the other strand, and a dinucleotide-shuffled one of the first [span, 3, base]
-> pooled states -> projections -> the first view must find the second among all views of its group, and back.
Composition does not help against the shuffled view, and single bases are not reliable. The paper has no such objective.
It must not know tokenizers.

Reference: Chen et al. 2020, "A simple framework for contrastive learning of visual representations" (SimCLR).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from vqdna.config import StrictModel
from vqdna.genome.bases import reverse_complement
from vqdna.pretrain.shuffling import chain_of_pairs

NO_GROUP = -1  # group of a row that only fills its place

_NUM_BASES = 4
_STREAM = 2


class ContrastSettings(StrictModel):
    """How many windows serve this question, and how hard it is."""

    # share of the windows; the others are masked, or asked about shuffling
    fraction: float = Field(default=0.0, ge=0, le=1)
    # windows with consecutive numbers whose spans are told apart from each other; with 1 each window is by itself, and
    # nothing tells its spans apart but what stands in them
    group: int = Field(default=1, ge=1)
    stretch: int = Field(default=128, ge=16)  # bases of a span; a window is cut into as many as fit
    crop: int = Field(default=104, ge=8)  # bases of a view
    # share of a view's bases that become another base, at most; each view draws its own share
    substituted: float = Field(default=0.1, ge=0, lt=1)
    temperature: float = Field(default=0.1, gt=0)  # of the similarities
    weight: float = Field(default=1.0, ge=0)  # of its loss beside that of masked modelling

    @model_validator(mode="after")
    def _view_fits(self) -> ContrastSettings:
        if self.crop > self.stretch:
            raise ValueError(f"crop: got {self.crop} bases, expected at most stretch ({self.stretch})")
        return self


def is_contrasted(settings: ContrastSettings, numbers: Sequence[int]) -> Bool[np.ndarray, "batch"]:
    """Which windows serve this question: whole groups, spread evenly over the numbers."""
    group = np.asarray(numbers, dtype=np.int64) // settings.group
    chosen: Bool[np.ndarray, "batch"] = np.floor((group + 1) * settings.fraction + 1e-9) > np.floor(
        group * settings.fraction + 1e-9
    )
    return chosen


def contrast_views(
    settings: ContrastSettings, seed: int, numbers: Sequence[int], windows: UInt8[np.ndarray, "batch base"]
) -> tuple[UInt8[np.ndarray, "span view view_base"], Int[np.ndarray, "span"]]:
    """Views of every span of the windows, at least one, and its group; pure functions of (seed, window number)."""
    pairs, uniform = zip(
        *(_pair_of_views(settings, seed, number, row) for number, row in zip(numbers, windows)), strict=True
    )
    first, second = np.concatenate(pairs, axis=1)
    drawn = chain_of_pairs(first, np.concatenate(uniform))
    groups = np.repeat(np.asarray(numbers, dtype=np.int64) // settings.group, len(uniform[0]))
    return np.stack([first, reverse_complement(second), drawn], axis=1), groups


def _pair_of_views(
    settings: ContrastSettings, seed: int, number: int, window: UInt8[np.ndarray, "base"]
) -> tuple[UInt8[np.ndarray, "2 span view_base"], Float[np.ndarray, "span view_base"]]:
    """First and second view of each span of a window, on its own strand, and the random numbers that make the third."""
    generator = np.random.default_rng((seed, number, _STREAM))
    count = len(window) // settings.stretch
    spans = window[: count * settings.stretch].reshape(count, settings.stretch)
    views = [_changed(_cut(spans, settings.crop, generator), settings, generator) for _ in range(2)]
    return np.stack(views), generator.random((count, settings.crop))


def _cut(
    spans: UInt8[np.ndarray, "row span"], size: int, generator: np.random.Generator
) -> UInt8[np.ndarray, "row base"]:
    """So many bases of each row, from a place of its own."""
    starts = generator.integers(0, spans.shape[1] - size + 1, len(spans))
    cut: UInt8[np.ndarray, "row base"] = np.take_along_axis(spans, starts[:, None] + np.arange(size), axis=1)
    return cut


def _changed(
    rows: UInt8[np.ndarray, "row base"], settings: ContrastSettings, generator: np.random.Generator
) -> UInt8[np.ndarray, "row base"]:
    """The rows with some known bases substituted by another, each row at a rate of its own."""
    rates = generator.random((len(rows), 1)) * settings.substituted
    hit = (generator.random(rows.shape) < rates) & (rows < _NUM_BASES)
    others = (rows + generator.integers(1, _NUM_BASES, rows.shape)) % _NUM_BASES
    return np.where(hit, others, rows).astype(np.uint8)


class Projection(nn.Module):
    """Pooled states to unit vectors whose products are compared; serves this question alone."""

    def __init__(self, width: int, size: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, size))

    def forward(self, pooled: Float[Tensor, "row width"]) -> Float[Tensor, "row size"]:
        return functional.normalize(self.layers(pooled).float(), dim=-1)


def contrast_loss(
    vectors: Float[Tensor, "span view size"], groups: Int[Tensor, "span"], temperature: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean cross-entropy in nats, and the share of views that found their partner.

    A first view is compared with all second and shuffled views of its group, a second one with all first and shuffled.
    Rows of `NO_GROUP` do not count; without any other both numbers are zero, with a gradient of zero.
    """
    # Rows of other groups stay out of the comparison: windows far apart in the genomes would be told by composition
    # alone. A first view never meets other first views, so that both directions ask the same question.
    counted = groups != NO_GROUP
    apart = groups[:, None] != groups[None]
    first, second, drawn = vectors.unbind(dim=1)
    losses, found = [], []
    for asking, partner in ((first, second), (second, first)):
        scores = torch.cat([asking @ partner.T, asking @ drawn.T], dim=1) / temperature
        scores = scores.masked_fill(torch.cat([apart, apart], dim=1), torch.finfo(scores.dtype).min)
        truth = torch.arange(len(scores), device=scores.device)
        losses.append(functional.cross_entropy(scores, truth, reduction="none")[counted])
        found.append((scores.argmax(dim=1) == truth)[counted])
    # A sum over the counted rows, not a mean of them: with none of them its gradient is zero and not NaN.
    number = max(1, 2 * int(counted.sum()))
    return torch.cat(losses).sum() / number, torch.cat(found).float().sum() / number
