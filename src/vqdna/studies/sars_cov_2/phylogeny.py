"""Trees of lineages and of genomes from their codes, against the hierarchy that Pango names spell out.

Flow: distances between genomes -> means between lineages -> average linkage, and neighbor joining rooted at the
reference -> clades (sets of leaves) and distances between leaves, against the tree of Pango names. Average linkage
takes all lineages for equally old, which they are not; neighbor joining does not. It must not know what a distance is
made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.spatial.distance import pdist, squareform

from vqdna.studies.sars_cov_2.changes import CodeChanges
from vqdna.studies.sars_cov_2.results import LineageTree, Trees, WantedClade

if TYPE_CHECKING:
    from skbio import DistanceMatrix, TreeNode

Distances: TypeAlias = Float[np.ndarray, "row row"]
Clades = frozenset[frozenset[str]]
Path = tuple[str, ...]
"""Steps from the root to a Pango lineage."""

ROOT = "reference"
NUM_RESAMPLES = 100


def site_distances(changes: CodeChanges, rows: Sequence[int]) -> Distances:
    """Share of positions whose codes, all levels together, differ between two of: the reference, then the rows."""
    # Two genomes agree at a place where neither differs from the reference, so the changed places are enough.
    held = changes.of(rows)
    at = np.unique(np.concatenate(held.positions))
    levels = range(changes.reference.shape[1])
    codes = np.stack([np.vstack([changes.reference[at, level], held.at(at, level)]) for level in levels])
    counts = [(codes != codes[:, [row]]).any(axis=0).sum(axis=1) for row in range(codes.shape[1])]
    return np.stack(counts) / len(changes.reference)


def profile_distances(counts: csr_matrix, rows: Sequence[int]) -> Distances:
    """Euclidean distances between the code counts of genomes, places left out."""
    return np.asarray(squareform(pdist(counts[np.asarray(rows)].toarray())), dtype=np.float64)


def between_groups(distances: Distances, groups: Sequence[str], names: Sequence[str]) -> Float[np.ndarray, "name name"]:
    """Mean distance between the rows of every two groups, zero on the diagonal."""
    held = np.array([[group == name for group in groups] for name in names], float)
    held /= held.sum(axis=1, keepdims=True)
    means = held @ distances @ held.T
    np.fill_diagonal(means, 0)
    return np.asarray(means, dtype=np.float64)


def average_linkage(distances: Distances, names: Sequence[str]) -> TreeNode:
    """Hierarchical clustering of a distance matrix; every leaf is equally far from the root."""
    from skbio.tree import upgma

    return upgma(_matrix(distances, names))


def neighbor_joining(distances: Distances, names: Sequence[str]) -> TreeNode:
    """Neighbor-joining tree hung up where `ROOT`, one of the names, joins; negative branches have no length.

    Reference: Saitou and Nei 1987, "The neighbor-joining method".
    """
    from skbio.tree import nj

    joined = nj(_matrix(distances, names), neg_as_zero=True)
    # Rooted at the node beside the reference, and without it: clades are then sets of lineages alone.
    tree = joined.root_at(joined.find(ROOT).parent)
    tree.remove(tree.find(ROOT))
    return tree


def _matrix(distances: Distances, names: Sequence[str]) -> DistanceMatrix:
    from skbio import DistanceMatrix

    symmetric = (distances + distances.T) / 2
    np.fill_diagonal(symmetric, 0)
    return DistanceMatrix(symmetric, list(names))


def clades(tree: TreeNode) -> Clades:
    """Sets of two leaves or more, not all, that stand below one node."""
    return frozenset(tree.subsets())


def leaf_distances(tree: TreeNode, names: Sequence[str]) -> Distances:
    """Length of the way between every two leaves."""
    return np.asarray(tree.cophenet().filter(list(names)).data, dtype=np.float64)


def newick(tree: TreeNode) -> str:
    """The tree as the field writes it, without the closing semicolon; lengths with six digits."""
    inside = f"({','.join(map(newick, tree.children))})" if tree.children else tree.name
    return f"{inside}:{tree.length or 0:.6g}"


def clades_of_paths(paths: Sequence[Path], names: Sequence[str]) -> Clades:
    """Clades of a tree given by each leaf's path from the root: leaves that share a beginning."""
    beginnings = {path[:depth] for path in paths for depth in range(1, len(path) + 1)}
    found = {frozenset(name for name, path in zip(names, paths) if path[: len(start)] == start) for start in beginnings}
    return frozenset(clade for clade in found if 1 < len(clade) < len(names))


def robinson_foulds(first: Clades, second: Clades) -> int:
    """Number of clades that one tree has and the other has not (rooted Robinson-Foulds distance)."""
    return len(first ^ second)


def is_compatible(clade: frozenset[str], clades: Clades) -> bool:
    """Whether a tree could have the clade beside the others: one holds the other, or they share nothing."""
    return all(clade <= other or other <= clade or not clade & other for other in clades)


def path_distances(paths: Sequence[Path]) -> Distances:
    """Steps from one leaf to the other through the last node that both paths share."""

    def steps(one: Path, other: Path) -> int:
        shared = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        return len(one) + len(other) - 2 * shared

    return np.array([[steps(one, other) for other in paths] for one in paths], float)


def cophenetic_correlation(tree: TreeNode, names: Sequence[str], paths: Sequence[Path]) -> float | None:
    """Pearson correlation of a tree's distances between leaves with the steps between their lineages.

    None where either is constant.
    """
    ours, wanted = (squareform(held, checks=False) for held in (leaf_distances(tree, names), path_distances(paths)))
    if np.ptp(ours) == 0 or np.ptp(wanted) == 0:
        return None
    return float(np.corrcoef(ours, wanted)[0, 1])


def tree_record(
    distances: Distances,
    lineages: Sequence[str],
    own_paths: Sequence[Path],
    lineage_paths: dict[str, Path],
    seed: int,
) -> Trees:
    """Trees of the lineages and of the genomes, against the hierarchy of Pango names.

    The reference is among the genomes, its lineage being `ROOT`. Genomes of each lineage are resampled for support.
    """
    own = [i for i, lineage in enumerate(lineages) if lineage != ROOT]
    inner, labels = distances[np.ix_(own, own)], [lineages[i] for i in own]
    leaves = [str(i) for i in range(len(own))]
    genome_tree = average_linkage(inner, leaves)
    names = sorted(set(labels))
    together = [frozenset(leaf for leaf, label in zip(leaves, labels) if label == name) for name in names]
    genome_clades = clades(genome_tree)
    against_names = partial(_against_names, paths={name: lineage_paths[name] for name in names}, seed=seed)
    return Trees(
        names=names,
        num_genomes=len(own),
        average_linkage=against_names(average_linkage, inner, labels),
        neighbor_joining=against_names(neighbor_joining, distances, lineages),
        genome_cophenetic_correlation=cophenetic_correlation(genome_tree, leaves, [own_paths[i] for i in own]),
        lineages_in_one_clade=float(np.mean([members in genome_clades for members in together])),
    )


def _against_names(
    method: Callable[[Distances, Sequence[str]], TreeNode],
    distances: Distances,
    lineages: Sequence[str],
    paths: dict[str, Path],
    seed: int,
) -> LineageTree:
    """One tree of the lineages: the clades of the Pango names it has, with their support, and those against them.

    Support is the share of resampled genome sets whose tree has the clade.
    """
    names, leaves = list(paths), sorted(set(lineages))
    wanted = clades_of_paths(list(paths.values()), names)
    tree = method(between_groups(distances, lineages, leaves), leaves)
    found = clades(tree)
    random = np.random.default_rng([seed, 5])
    members = [np.array([i for i, lineage in enumerate(lineages) if lineage == name]) for name in leaves]
    resampled: Counter[frozenset[str]] = Counter()
    for _ in range(NUM_RESAMPLES):
        drawn: Int[np.ndarray, "_"] = np.concatenate([random.choice(held, len(held)) for held in members])
        labels = [lineages[i] for i in drawn.tolist()]
        resampled.update(clades(method(between_groups(distances[np.ix_(drawn, drawn)], labels, leaves), leaves)))
    return LineageTree(
        newick=newick(tree) + ";",
        num_clades=len(found),
        num_clades_wanted=len(wanted),
        num_clades_shared=len(found & wanted),
        robinson_foulds=robinson_foulds(found, wanted),
        least_robinson_foulds=max(0, len(names) - 2 - len(wanted)),
        num_contradicting=sum(not is_compatible(clade, wanted) for clade in found),
        wanted=[
            WantedClade(clade=sorted(clade), found=clade in found, support=resampled[clade] / NUM_RESAMPLES)
            for clade in sorted(wanted, key=sorted)
        ],
        cophenetic_correlation=cophenetic_correlation(tree, names, list(paths.values())),
    )
