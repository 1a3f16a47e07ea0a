"""How well points of one lineage lie together: silhouette, nearest neighbors, and clusters against lineages.

Flow: points of train and test [row, axis] with labels -> scores on test, each with a bootstrap interval over genomes;
the windows of one genome are drawn together. It must not know what the points are made of. Paper: section 6, which
gives a picture and no number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score, silhouette_samples
from sklearn.neighbors import KNeighborsClassifier

from vqdna.studies.sars_cov_2.results import ScoreInterval, SeparationScores

NUM_NEIGHBORS = 5
NUM_RESAMPLES = 200
INTERVAL = (2.5, 97.5)


def separation(
    train: Float[np.ndarray, "train_row axis"],
    train_labels: Int[np.ndarray, "train_row"],
    test: Float[np.ndarray, "row axis"],
    labels: Int[np.ndarray, "row"],
    genomes: Int[np.ndarray, "row"],
    seed: int,
) -> SeparationScores:
    """Scores of test points with intervals; neighbors are looked for, and clusters found, among those of train."""
    # A silhouette needs two lineages, and fewer lineages than points.
    has_silhouettes = 2 <= len(np.unique(labels)) < len(labels)
    silhouettes = silhouette_samples(test, labels) if has_silhouettes else np.zeros(len(labels))
    neighbors = KNeighborsClassifier(min(NUM_NEIGHBORS, len(train))).fit(train, train_labels)
    hits = (neighbors.predict(test) == labels).astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer different points than clusters: then there are fewer clusters
        clusters = KMeans(len(np.unique(train_labels)), n_init=10, random_state=seed).fit(train).predict(test)

    def agreement(rows: Int[np.ndarray, "_"]) -> float:
        return float(adjusted_mutual_info_score(labels[rows], clusters[rows]))

    return SeparationScores(
        silhouette=bootstrap(lambda rows: float(silhouettes[rows].mean()), genomes, seed),
        neighbor_accuracy=bootstrap(lambda rows: float(hits[rows].mean()), genomes, seed),
        adjusted_mutual_information=bootstrap(agreement, genomes, seed),
    )


def bootstrap(
    score: Callable[[Int[np.ndarray, "_"]], float], groups: Int[np.ndarray, "row"], seed: int
) -> ScoreInterval:
    """Score of all rows, with an interval from its values when groups of rows are drawn with replacement.

    `score` is given the numbers of rows; the rows of a group are drawn together.
    """
    # Windows of one genome are no independent evidence: whole genomes are drawn, each with all of its rows.
    _, numbers = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(numbers == group) for group in range(int(numbers.max()) + 1)]
    random = np.random.default_rng([seed, 3])
    values = [
        score(np.concatenate([members[group] for group in random.integers(0, len(members), len(members))]))
        for _ in range(NUM_RESAMPLES)
    ]
    return centered_interval(score(np.arange(len(groups))), np.array(values))


def centered_interval(value: float, resampled: Float[np.ndarray, "draw"]) -> ScoreInterval:
    """The middle 95 % of the resampled values, moved so that their mean lies on the value.

    Rows that are drawn twice make codes and labels look more dependent than they are, which lifts measures of
    information in every resample; the width is what the resamples tell.
    """
    low, high = np.percentile(resampled, INTERVAL) - resampled.mean()
    return ScoreInterval(value=value, low=value + float(low), high=value + float(high))
