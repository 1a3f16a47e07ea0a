"""Codes that mark a lineage: at their place on the reference, or anywhere in the genome; each with its code motif.

Flow: codes of train genomes -> place and code that nearly all genomes of a lineage have and hardly any other -> how
they hold on test genomes -> the best, with motif, mutation and gene. It must not know how codes are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_matrix

from vqdna.genome import from_base_ids
from vqdna.studies.sars_cov_2.changes import LOST, UNKNOWN, CodeChanges
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.results import LineageMarkers, ShownMarker

LEAST_HELD, MOST_ELSEWHERE = 0.9, 0.05
MOST_SHOWN = 5
FLANK = 8


class Marker(NamedTuple):
    """A code at a place, with the shares of the lineage's and of the other test genomes that have it there."""

    level: int
    position: int
    code: int
    held: float
    elsewhere: float


def markers(
    changes: CodeChanges, train: Sequence[int], test: Sequence[int], knowledge: Knowledge
) -> list[LineageMarkers]:
    """For each lineage, how many places mark it by their code, how they hold on test, and the best of them."""
    genomes = changes.genomes
    levels = range(changes.reference.shape[1])
    # Places where a hundredth of the genomes differs from the reference, and the codes there.
    places = [np.flatnonzero(changes.counts[:, level] >= max(1, len(changes) // 100)) for level in levels]
    codes = [changes.at(at, level) for level, at in enumerate(places)]
    records = []
    for lineage in sorted({genomes[i].lineage for i in test}):
        is_own = np.array([genome.lineage == lineage for genome in genomes])
        found = [m for level in levels for m in _markers(level, places[level], codes[level], is_own, train, test)]
        best = _spread(sorted(found, key=lambda m: (m.elsewhere - m.held, m.position, m.level)), changes)
        own = [genome for genome in genomes if genome.lineage == lineage]
        records.append(
            LineageMarkers(
                lineage=lineage,
                num_markers=[sum(m.level == level for m in found) for level in levels],
                mean_held_on_test=float(np.mean([m.held for m in found])) if found else None,
                mean_elsewhere_on_test=float(np.mean([m.elsewhere for m in found])) if found else None,
                best=[_shown(marker, changes.grid.stride, own, knowledge) for marker in best],
            )
        )
    return records


def free_markers(
    counts: csr_matrix, level_sizes: Sequence[int], lineages: Sequence[str], train: Sequence[int]
) -> dict[str, list[int]]:
    """For each lineage and level, how many codes mark it by occurring anywhere in the genome, on train."""
    present = np.asarray((counts[np.asarray(train)] > 0).todense())
    names = np.array([lineages[i] for i in train])
    offsets = np.cumsum([0, *level_sizes])
    found = {}
    for lineage in sorted(set(names.tolist())):
        own = names == lineage
        marks = (present[own].mean(axis=0) >= LEAST_HELD) & (present[~own].mean(axis=0) <= MOST_ELSEWHERE)
        found[lineage] = [int(marks[a:b].sum()) for a, b in pairwise(offsets)]
    return found


def _markers(
    level: int,
    at: Int[np.ndarray, "place"],
    codes: Int[np.ndarray, "genome place"],
    is_own: Bool[np.ndarray, "genome"],
    train: Sequence[int],
    test: Sequence[int],
) -> list[Marker]:
    """Places whose most frequent code among the lineage's train genomes marks it there."""

    def shares(part: Sequence[int], place: int, code: int) -> tuple[float, float]:
        has, own = codes[part, place] == code, is_own[part]
        return float(has[own].mean()), float(has[~own].mean())

    train, test = list(train), list(test)
    own_train = [i for i in train if is_own[i]]
    found = []
    for place, position in enumerate(at.tolist()):
        code = Counter(codes[own_train, place].tolist()).most_common(1)[0][0]
        held, elsewhere = shares(train, place, code)
        if code not in (UNKNOWN, LOST) and held >= LEAST_HELD and elsewhere <= MOST_ELSEWHERE:
            found.append(Marker(level, position, code, *shares(test, place, code)))
    return found


def _spread(ordered: Sequence[Marker], changes: CodeChanges) -> list[Marker]:
    """The first few that do not stand for one and the same change."""
    apart = changes.grid.positions(2 * changes.grid.reach) + 1
    chosen: list[Marker] = []
    for marker in ordered:
        if all(abs(marker.position - other.position) > apart for other in chosen):
            chosen.append(marker)
    return chosen[:MOST_SHOWN]


def _shown(marker: Marker, stride: int, own: Sequence[LineageGenome], knowledge: Knowledge) -> ShownMarker:
    """A marker as the results hold it: motif, the reference there, common mutations nearby, genes."""
    start = marker.position * stride
    first, last = max(0, start - FLANK), min(len(knowledge.reference), start + stride + FLANK)
    near = Counter(m for genome in own for m in genome.mutations if first <= m.position < last)
    common = sorted(m for m, count in near.items() if count >= LEAST_HELD / 2 * len(own))
    return ShownMarker(
        level=marker.level,
        start=start,
        end=start + stride,
        code=marker.code,
        held=marker.held,
        elsewhere=marker.elsewhere,
        motif="".join(_consensus_base(own, place) for place in range(first, last)),
        reference=from_base_ids(knowledge.reference[first:last]),
        motif_start=first,
        mutations=[f"{mutation} {knowledge.change(mutation)}".strip() for mutation in common],
        genes=[gene.name for gene in knowledge.genes_at(start)],
    )


def _consensus_base(genomes: Sequence[LineageGenome], place: int) -> str:
    """Most frequent base of a place of the reference over the genomes; `-` where it is lost in most."""
    at = [genome.alignment.places[place] for genome in genomes]
    bases = Counter("-" if p < 0 else from_base_ids(g.base_ids[p : p + 1]) for p, g in zip(at, genomes))
    del bases["N"]
    return bases.most_common(1)[0][0] if bases else "N"
