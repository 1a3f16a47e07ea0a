"""Windows of genomes as batches: the input of stages 1 and 2.

Flow: files -> packed corpus -> WindowSampler (window i a pure function of (seed, i)) -> base_ids [batch, base].
It knows no stage.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from pydantic import Field
from torch import Tensor
from torch.utils.data import Dataset

from vqdna.config import StrictModel
from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.corpus import POWERS, Corpus, SpeciesWeights, WindowSampler
from vqdna.training.gradient_accumulation import Batch


class CorpusSettings(StrictModel):
    """Which windows a run sees."""

    window: int = Field(default=512, ge=16)
    # how often each species is drawn: in proportion to its "bases", to their square root ("sqrt"), all alike
    # ("uniform"), or a weight by name (the file's stem)
    species_weights: Literal["bases", "sqrt", "uniform"] | dict[str, float] = "sqrt"
    reverse_complement: bool = True  # half of the windows are read from the other strand
    gaps: Literal["error", "drop"] = "error"  # what is done about `-`, `.` and `*` in a genome
    repeated_names: Literal["error", "number"] = "error"  # what is done about two records of one name in a file
    max_n_fraction: float = Field(default=0.5, gt=0, le=1)
    evaluation_windows: int = Field(default=256, ge=1)  # windows from held-out spans on which a run is evaluated
    # factors on those weights, by name or pattern (`Klebsiella_*`); several that match multiply
    species_factors: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    # what is held out of training: "blocks" of each species, or whole "contigs" (none of a species of few)
    hold_out: Literal["blocks", "contigs"] = "blocks"


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
    """Sampler of training windows, or of windows from the held-out spans, which training never sees."""
    return WindowSampler(
        corpus, settings.window, seed,
        species_weights=species_weights(corpus, settings), reverse_complement=settings.reverse_complement,
        max_n_fraction=settings.max_n_fraction, split=split, hold_out=settings.hold_out,
    )  # fmt: skip


def species_weights(corpus: Corpus, settings: CorpusSettings) -> SpeciesWeights | None:
    """What `WindowSampler` takes: a rule's name or None, or a weight for every species where there are factors."""
    rule = settings.species_weights
    if not settings.species_factors:
        return None if rule == "bases" else rule
    for pattern in settings.species_factors:
        if not fnmatch.filter(corpus.species, pattern):
            hint = nearest_name_hint(pattern, corpus.species)
            raise InputError(f"data.species_factors: '{pattern}' matches none of the genomes{hint}")
    known = corpus.packed.num_known_bases()
    power = {**POWERS, "bases": POWERS["proportional"]}
    weights = {}
    for name in corpus.species:
        base = rule.get(name, 0.0) if isinstance(rule, dict) else max(known[name], 1) ** power[rule]
        factors = [factor for pattern, factor in settings.species_factors.items() if fnmatch.fnmatchcase(name, pattern)]
        weights[name] = base * math.prod(factors)
    return weights


def evaluation_windows(corpus: Corpus, settings: CorpusSettings, seed: int) -> UInt8[Tensor, "batch base"]:
    sampler = window_sampler(corpus, settings, seed, "evaluation")
    return torch.from_numpy(sampler.windows(np.arange(settings.evaluation_windows)))


def collate_windows(items: Sequence[tuple[int, UInt8[np.ndarray, "base"]]]) -> Batch:
    return {"base_ids": torch.from_numpy(np.stack([window for _, window in items]))}


def describe_genomes(paths: Sequence[Path | str], corpus: Corpus) -> Mapping[str, object]:
    return {"files": [str(path) for path in paths], "species": list(corpus.species), "num_bases": int(corpus.num_bases)}
