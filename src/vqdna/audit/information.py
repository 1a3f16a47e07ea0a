"""How a tokenizer uses its codes, and how much they know: in bits, of what is known of the bases, and between levels.

Flow: CodedPositions -> share of codes used, perplexity and rate, per level and jointly, over the whole input; codes
[position] and labels [window, base] -> bits, and the bits that the same codes seem to share with the labels of other
windows. That part by chance is no small matter: thousands of codes and few positions always share bits.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from vqdna.audit.features import Feature
from vqdna.audit.reading import CodedPositions, numbered_rows
from vqdna.audit.results import (
    FeatureInformation,
    Information,
    JointUsage,
    LevelInformation,
    LevelUsage,
    RankFrequency,
    Usage,
)

NUM_SHUFFLES = 10
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


def mutual_information(first: Int[np.ndarray, "position"], second: Int[np.ndarray, "position"]) -> float:
    """Mutual information in bits of the observed frequencies; of a variable with itself, its entropy."""
    return max(0.0, entropy(first) + entropy(second) - entropy(numbered_rows(np.stack([first, second], axis=1))))


def entropy(values: Int[np.ndarray, "position"]) -> float:
    counts = np.unique(values, return_counts=True)[1] / max(len(values), 1)
    return float(-(counts * np.log2(counts)).sum())


def chance_information(
    first: Int[np.ndarray, "position"],
    second: Int[np.ndarray, "position"],
    random: np.random.Generator,
    num_shuffles: int = NUM_SHUFFLES,
) -> float:
    """Mean bits that shuffled pairs share by chance."""
    return float(np.mean([mutual_information(first, random.permutation(second)) for _ in range(num_shuffles)]))


def share_beyond_chance(bits: float, null: float, most: float) -> float:
    """Bits beyond chance over what there is to know beyond it; 0 where chance alone gives (nearly) everything."""
    return float(max(0.0, bits - null) / (most - null)) if most - null > 1e-9 else 0.0


def feature_information(positions: CodedPositions, feature: Feature, seed: int) -> FeatureInformation:
    """What each level, and all jointly, tell about a feature at the positions' middle bases."""
    random = np.random.default_rng([seed, 2])
    base_labels = feature.labels.astype(np.int64)
    labels = base_labels[positions.window, positions.center]
    # Shuffled single labels would be too easy a chance level: codes and labels both come in runs, and two series of
    # runs share more bits than two of single values. So each window gets the labels of another whole window.
    orders = [random.permutation(len(feature.labels)) for _ in range(NUM_SHUFFLES)]
    shuffled = [base_labels[order[positions.window], positions.center] for order in orders]
    label_bits = entropy(labels)
    columns = {}
    for name, codes in positions.columns().items():
        bits = mutual_information(codes, labels)
        nulls = [mutual_information(codes, other) for other in shuffled]
        null = float(np.mean(nulls))
        columns[name] = Information(
            bits=bits,
            null_bits=null,
            null_deviation=float(np.std(nulls)),
            excess_bits=bits - null,
            share=share_beyond_chance(bits, null, label_bits),
        )
    return FeatureInformation(
        name=feature.name,
        meaning=feature.meaning,
        entropy_bits=label_bits,
        value_names=list(feature.value_names),
        value_shares=(np.bincount(labels, minlength=len(feature.value_names)) / max(len(labels), 1)).tolist(),
        columns=columns,
    )


def level_information(positions: CodedPositions) -> list[LevelInformation]:
    """For each two neighboring levels, what they share and what the finer one adds."""
    records = []
    random = np.random.default_rng(0)
    for level in range(positions.codes.shape[1] - 1):
        coarse, fine = positions.codes[:, level], positions.codes[:, level + 1]
        bits, null = mutual_information(coarse, fine), chance_information(coarse, fine, random)
        records.append(
            LevelInformation(
                coarse_level=level,
                fine_level=level + 1,
                bits=bits,
                null_bits=null,
                coarse_entropy_bits=entropy(coarse),
                fine_entropy_bits=entropy(fine),
                fine_given_coarse_bits=entropy(fine) - bits,
                coarse_given_fine_bits=entropy(coarse) - bits,
            )
        )
    return records
