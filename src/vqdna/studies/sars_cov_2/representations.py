"""Genomes and windows as points: counts of codes and mean code vectors, of all levels, the coarse one or the fine one.

Flow: GenomeCodes -> Representation(name, levels, matrix [row, dimension]) -> centered on train, rotated onto at most 50
principal axes -> points. Every system gets the same treatment. It must not know labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA

from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes, level_means

MOST_AXES = 50
COUNTS, VECTORS = "counts", "vectors"
ALL, COARSE, FINE = "all", "coarse", "fine"


Rows: TypeAlias = Sequence[int] | Int[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class Representation:
    """One view of the rows.

    Attributes:
        kind: "counts" (how often each code occurs) or "vectors" (the mean code vector).
        levels: "all", "coarse" (the first level alone) or "fine" (the last alone).
        matrix: a row for each genome or window.
    """

    kind: str
    levels: str
    matrix: csr_matrix | Float[np.ndarray, "row dimension"]

    @property
    def name(self) -> str:
        """Kind and levels."""
        return f"{self.kind}, {self.levels}"


def representations(codes: GenomeCodes) -> list[Representation]:
    """Views of every row: code counts as shares of its positions, and mean code vectors where the codes have vectors.

    The vectors of all levels are the mean over levels, which for VQ and HRQ is the embedding that later stages read.
    """
    counts = codes.histograms()
    last = len(codes.level_sizes) - 1
    named = {ALL: counts}
    if last:
        named |= {COARSE: codes.level_histogram(0, counts), FINE: codes.level_histogram(last, counts)}
    found = [Representation(COUNTS, levels, _shares(matrix)) for levels, matrix in named.items()]
    means = level_means(codes)
    if means is not None:
        vectors = {ALL: np.mean(means, axis=0)} | ({COARSE: means[0], FINE: means[last]} if last else {})
        found += [Representation(VECTORS, levels, matrix) for levels, matrix in vectors.items()]
    return found


def code_counts(codes: GenomeCodes) -> Representation:
    """Counts of all levels' codes in every row, as shares of its positions."""
    return Representation(COUNTS, ALL, _shares(codes.histograms()))


def principal_points(
    representation: Representation, train: Rows, others: Sequence[Rows]
) -> list[Float[np.ndarray, "row axis"]]:
    """Points of train, then of each other part, on the axes that train varies along most; centered, not scaled."""
    fitted = _dense(representation.matrix, train)
    varying = np.ptp(fitted, axis=0) > 0
    if not varying.any():
        return [np.zeros((len(rows), 1)) for rows in (train, *others)]
    axes = max(1, min(MOST_AXES, len(fitted) - 1, int(varying.sum())))
    rotation = PCA(axes, svd_solver="full" if len(fitted) < 500 else "randomized", random_state=0)
    points = [rotation.fit_transform(fitted[:, varying])]
    return points + [rotation.transform(_dense(representation.matrix, rows)[:, varying]) for rows in others]


def _shares(counts: csr_matrix) -> csr_matrix:
    """Rows divided by their sums."""
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    return csr_matrix(counts.multiply(1 / total[:, None]))


def _dense(
    matrix: csr_matrix | Float[np.ndarray, "row dimension"], rows: Rows
) -> Float[np.ndarray, "chosen dimension"]:
    chosen = matrix[np.asarray(rows, dtype=np.int64)]
    dense: Float[np.ndarray, "chosen dimension"] = chosen.toarray() if isinstance(chosen, csr_matrix) else chosen
    return dense
