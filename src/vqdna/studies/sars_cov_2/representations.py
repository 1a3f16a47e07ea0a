"""Genomes and windows as points: counts of codes and mean code vectors, of all levels, the coarse one or the fine one.

Flow: GenomeCodes -> Representation(name, levels, matrix [row, dimension]) -> centered on train, rotated onto at most 50
principal axes -> points, and for pictures a plane [row, 2] by UMAP, or t-SNE where umap-learn is missing. Every system
gets the same treatment, and no score is taken from a plane. It must not know labels. Paper: section 6, Figure 5.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes, level_means

MOST_AXES = 50
COUNTS, VECTORS = "counts", "vectors"
ALL, COARSE, FINE = "all", "coarse", "fine"
NUM_NEIGHBORS = 15
FEWEST_ON_A_PLANE = 4

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
        return f"{self.kind}, {self.levels}"


def representations(codes: GenomeCodes) -> list[Representation]:
    """Views of every row: code counts as shares of its positions, and mean code vectors where the codes have vectors.

    The vectors of all levels are the mean over levels, which for VQ and HRQ is the embedding that later stages read.
    """
    counts = codes.histograms()
    named = {ALL: counts}
    by_level = codes.by_level(counts)
    if len(by_level) > 1:
        named |= {COARSE: by_level[0], FINE: by_level[-1]}
    found = [Representation(COUNTS, levels, _shares(matrix)) for levels, matrix in named.items()]
    means = level_means(codes)
    if means is not None:
        vectors = dict(zip(named, (np.mean(means, axis=0), means[0], means[-1])))
        found += [Representation(VECTORS, levels, matrix) for levels, matrix in vectors.items()]
    return found


def principal_points(
    representation: Representation, train: Rows, test: Rows
) -> tuple[Float[np.ndarray, "train_row axis"], Float[np.ndarray, "row axis"]]:
    """Points of train and of test, on the axes that train varies along most; centered, not scaled."""
    fitted, other = _dense(representation.matrix, train), _dense(representation.matrix, test)
    varying = np.ptp(fitted, axis=0) > 0
    if not varying.any():
        return np.zeros((len(train), 1)), np.zeros((len(test), 1))
    axes = max(1, min(MOST_AXES, len(fitted) - 1, int(varying.sum())))
    rotation = PCA(axes, svd_solver="full" if len(fitted) < 500 else "randomized", random_state=0)
    return rotation.fit_transform(fitted[:, varying]), rotation.transform(other[:, varying])


def project(points: Float[np.ndarray, "row axis"], seed: int) -> tuple[Float[np.ndarray, "row 2"], str]:
    """Points on a plane and the method: UMAP, t-SNE where umap-learn is missing, PCA for very few points."""
    if len(points) < FEWEST_ON_A_PLANE or points.shape[1] < 2 or not np.ptp(points, axis=0).any():
        flat = np.zeros((len(points), 2))
        flat[:, : min(2, points.shape[1])] = points[:, :2]
        return flat, "PCA"
    scaled = points / np.abs(points).max()
    if not has_umap():
        perplexity = min(30.0, (len(points) - 1) / 3)
        flat = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled)
        return np.asarray(flat, dtype=np.float64), "t-SNE (umap-learn is not installed)"
    import umap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed costs it its threads
        neighbors = min(NUM_NEIGHBORS, len(points) - 1)
        flat = umap.UMAP(n_neighbors=neighbors, random_state=seed).fit_transform(scaled)
    return np.asarray(flat, dtype=np.float64), "UMAP"


def has_umap() -> bool:
    return find_spec("umap") is not None


def _shares(counts: csr_matrix) -> csr_matrix:
    total = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1)
    return csr_matrix(counts.multiply(1 / total[:, None]))


def _dense(
    matrix: csr_matrix | Float[np.ndarray, "row dimension"], rows: Rows
) -> Float[np.ndarray, "chosen dimension"]:
    chosen = matrix[np.asarray(rows, dtype=np.int64)]
    return np.asarray(chosen.toarray() if isinstance(chosen, csr_matrix) else chosen)
