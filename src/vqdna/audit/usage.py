"""How a tokenizer uses its codes: share used, perplexity, dead codes, rate, and how frequency falls with rank.

Flow: CodedPositions -> one record per level, and one for the combinations of all levels. Counts are over the whole
input of the audit, never per batch.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from vqdna.audit.reading import CodedPositions, numbered_rows
from vqdna.audit.results import JointUsage, LevelUsage, RankFrequency, Usage

MAX_RANKS = 200


def usage_of(positions: CodedPositions, level_sizes: tuple[int, ...]) -> Usage:
    """Usage per level and jointly, and the rates that follow from the sizes and from the bases per position."""
    bases_per_position = positions.mean_advance
    counts = [np.bincount(positions.codes[:, level], minlength=size) for level, size in enumerate(level_sizes)]
    joint = np.bincount(numbered_rows(positions.codes), minlength=1)
    return Usage(
        num_positions=len(positions),
        bases_per_position=bases_per_position,
        nominal_bits_per_base=sum(map(math.log2, level_sizes)) / bases_per_position,
        levels=[level_usage(level_counts, bases_per_position) for level_counts in counts],
        joint=JointUsage(
            used_combinations=int((joint > 0).sum()),
            perplexity=perplexity(joint),
            entropy_bits_per_base=math.log2(perplexity(joint)) / bases_per_position,
        ),
    )


def level_usage(counts: Int[np.ndarray, "code"], bases_per_position: float) -> LevelUsage:
    used = int((counts > 0).sum())
    return LevelUsage(
        size=len(counts),
        usage=used / len(counts),
        dead_codes=len(counts) - used,
        perplexity=perplexity(counts),
        entropy_bits_per_base=math.log2(perplexity(counts)) / bases_per_position,
        rank_frequency=rank_frequency(counts),
    )


def perplexity(counts: Int[np.ndarray, "code"]) -> float:
    """Number of equally frequent codes that would be as varied; 1 where nothing was counted."""
    frequencies: Float[np.ndarray, "used"] = counts[counts > 0] / max(int(counts.sum()), 1)
    return float(np.exp(-(frequencies * np.log(frequencies)).sum()))


def rank_frequency(counts: Int[np.ndarray, "code"]) -> RankFrequency:
    """Share of the positions against rank, most used code first, at up to 200 ranks spread evenly over the decades."""
    shares = np.sort(counts[counts > 0])[::-1] / max(int(counts.sum()), 1)
    ranks = np.unique(np.geomspace(1, max(len(shares), 1), MAX_RANKS).round().astype(int))[: len(shares)]
    return RankFrequency(rank=ranks.tolist(), share=shares[ranks - 1].tolist() if len(shares) else [])
