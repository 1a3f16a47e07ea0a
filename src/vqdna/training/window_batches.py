"""Windows of genomes as batches: the input of stages 1 and 2.

Flow: files -> packed corpus -> WindowSampler (window i a pure function of (seed, i)) -> base_ids [batch, base].
It knows no stage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset

from vqdna.config import StrictModel
from vqdna.genome import Corpus, WindowSampler


class CorpusSettings(StrictModel):
    """Which windows a run sees.

    Attributes:
        window: bases per window.
        species_weights: how often each species is drawn: in proportion to its "bases", to their square root ("sqrt"),
            all alike ("uniform"), or a weight by name (the file's stem).
        reverse_complement: half of the windows are read from the other strand.
        gaps: whether `-`, `.` and `*` in a genome are an error or dropped.
        repeated_names: whether two records of one name in a file are an error or numbered.
        max_n_fraction: windows with more N than this are drawn anew.
        evaluation_windows: windows from held-out stretches on which a run is evaluated.
    """

    window: int = Field(default=512, ge=16)
    species_weights: Literal["bases", "sqrt", "uniform"] | dict[str, float] = "sqrt"
    reverse_complement: bool = True
    gaps: Literal["error", "drop"] = "error"
    repeated_names: Literal["error", "number"] = "error"
    max_n_fraction: float = Field(default=0.5, gt=0, le=1)
    evaluation_windows: int = Field(default=256, ge=1)


class WindowDataset(Dataset[Any]):
    """The first `num_windows` windows of a sampler, fetched a batch at a time."""

    def __init__(self, sampler: WindowSampler, num_windows: int) -> None:
        self.sampler, self.num_windows = sampler, num_windows

    def __len__(self) -> int:
        return self.num_windows

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "base"]:
        return self.sampler[index]

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[int, UInt8[np.ndarray, "base"]]]:
        """Numbered windows of a whole batch in one look-up; a batch's own randomness is drawn from the numbers."""
        return list(zip(indices, self.sampler.windows(np.asarray(indices)), strict=True))


def window_sampler(
    corpus: Corpus, settings: CorpusSettings, seed: int, split: Literal["train", "evaluation"]
) -> WindowSampler:
    """Sampler of training windows, or of windows from the held-out stretches, which training never sees."""
    weights: Any = settings.species_weights
    return WindowSampler(
        corpus,
        settings.window,
        seed,
        species_weights=None if weights == "bases" else weights,
        reverse_complement=settings.reverse_complement,
        max_n_fraction=settings.max_n_fraction,
        split=split,
    )


def evaluation_windows(corpus: Corpus, settings: CorpusSettings, seed: int) -> UInt8[Tensor, "batch base"]:
    """The fixed windows on which a run is evaluated."""
    sampler = window_sampler(corpus, settings, seed, "evaluation")
    return torch.from_numpy(sampler.windows(np.arange(settings.evaluation_windows)))


def collate_windows(items: Sequence[tuple[int, UInt8[np.ndarray, "base"]]]) -> dict[str, Any]:
    """Batch with `base_ids` alone."""
    return {"base_ids": torch.from_numpy(np.stack([window for _, window in items]))}


def describe_genomes(paths: Sequence[Path | str], corpus: Corpus) -> Mapping[str, Any]:
    """What a results file says of its input."""
    return {"files": [str(path) for path in paths], "species": list(corpus.species), "num_bases": int(corpus.num_bases)}
