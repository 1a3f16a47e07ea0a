"""Points on a plane to look at: UMAP where it is installed, else t-SNE, and the name of what was used.

Flow: points [row, axis] -> [row, 2]. A picture only: no score is taken from it. Paper: section 6, Figure 5.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec

import numpy as np
from jaxtyping import Float
from sklearn.manifold import TSNE

NUM_NEIGHBORS = 15
FEWEST = 4


def project(points: Float[np.ndarray, "row axis"], seed: int) -> tuple[Float[np.ndarray, "row 2"], str]:
    """Points on a plane and the method: UMAP, t-SNE where umap-learn is missing, PCA for very few points."""
    if len(points) < FEWEST or points.shape[1] < 2 or not np.ptp(points, axis=0).any():
        flat = np.zeros((len(points), 2))
        flat[:, : min(2, points.shape[1])] = points[:, :2]
        return flat, "PCA"
    scaled = points / np.abs(points).max()
    if has_umap():
        return _umap(scaled, seed), "UMAP"
    perplexity = min(30.0, (len(points) - 1) / 3)
    flat = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(scaled)
    return np.asarray(flat, dtype=np.float64), "t-SNE (umap-learn is not installed)"


def has_umap() -> bool:
    """Whether umap-learn is installed."""
    return find_spec("umap") is not None


def _umap(points: Float[np.ndarray, "row axis"], seed: int) -> Float[np.ndarray, "row 2"]:
    import umap

    neighbors = min(NUM_NEIGHBORS, len(points) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that a seed costs it its threads
        flat = umap.UMAP(n_neighbors=neighbors, random_state=seed).fit_transform(points)
    return np.asarray(flat, dtype=np.float64)
