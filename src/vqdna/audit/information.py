"""How much the codes know: mutual information in bits with what is known of the bases, and between levels.

Flow: codes [position] and labels [window, base] -> bits, and the bits that the same codes seem to share with the labels
of other windows. That null is no small matter: with thousands of codes and few positions, chance alone gives bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from vqdna.audit.features import Feature
from vqdna.audit.reading import CodedPositions, numbered_rows

NUM_SHUFFLES = 10


def mutual_information(first: Int[np.ndarray, "position"], second: Int[np.ndarray, "position"]) -> float:
    """Mutual information in bits of the observed frequencies; of a variable with itself, its entropy."""
    return max(0.0, entropy(first) + entropy(second) - entropy(numbered_rows(np.stack([first, second], axis=1))))


def entropy(values: Int[np.ndarray, "position"]) -> float:
    """Entropy in bits of the observed frequencies."""
    counts = np.unique(values, return_counts=True)[1] / max(len(values), 1)
    return float(-(counts * np.log2(counts)).sum())


def feature_information(positions: CodedPositions, feature: Feature, seed: int) -> dict[str, Any]:
    """What each level, and all jointly, tell about a feature at the positions' middle bases.

    The null gives each window the labels of another window, which keeps the runs that both codes and labels come in.
    """
    random = np.random.default_rng([seed, 2])
    base_labels = feature.labels.astype(np.int64)
    labels = base_labels[positions.window, positions.center]
    num_windows = len(feature.labels)
    orders = [random.permutation(num_windows) for _ in range(NUM_SHUFFLES)]
    shuffled = [base_labels[order[positions.window], positions.center] for order in orders]
    label_bits = entropy(labels)
    columns = {
        name: _against_null(codes, labels, shuffled, label_bits)
        for name, codes in zip(positions.column_names(), positions.columns())
    }
    return {
        "name": feature.name,
        "meaning": feature.meaning,
        "entropy_bits": label_bits,
        "value_names": list(feature.value_names),
        "value_shares": (np.bincount(labels, minlength=len(feature.value_names)) / max(len(labels), 1)).tolist(),
        "columns": columns,
    }


def level_information(positions: CodedPositions) -> list[dict[str, Any]]:
    """For each two neighboring levels, what they share and what the finer one adds."""
    records = []
    random = np.random.default_rng(0)
    for level in range(positions.codes.shape[1] - 1):
        coarse, fine = positions.codes[:, level], positions.codes[:, level + 1]
        bits = mutual_information(coarse, fine)
        null = float(np.mean([mutual_information(coarse, random.permutation(fine)) for _ in range(NUM_SHUFFLES)]))
        records.append(
            {
                "coarse_level": level,
                "fine_level": level + 1,
                "bits": bits,
                "null_bits": null,
                "coarse_entropy_bits": entropy(coarse),
                "fine_entropy_bits": entropy(fine),
                "fine_given_coarse_bits": entropy(fine) - bits,
                "coarse_given_fine_bits": entropy(coarse) - bits,
            }
        )
    return records


def _against_null(
    codes: Int[np.ndarray, "position"],
    labels: Int[np.ndarray, "position"],
    shuffled: list[Int[np.ndarray, "position"]],
    label_bits: float,
) -> dict[str, float]:
    """Bits, the null's mean and spread, and the share of the label's entropy that is told beyond the null."""
    bits = mutual_information(codes, labels)
    nulls = [mutual_information(codes, other) for other in shuffled]
    null = float(np.mean(nulls))
    room = label_bits - null
    return {
        "bits": bits,
        "null_bits": null,
        "null_deviation": float(np.std(nulls)),
        "excess_bits": bits - null,
        "share": max(0.0, bits - null) / room if room > 1e-9 else 0.0,
    }
