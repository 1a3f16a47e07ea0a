"""Codes that mark a variant: at their place on the reference, or anywhere in the genome; each with its motif.

Flow: codes of train genomes -> place and code that nearly all genomes of a variant have and hardly any other -> how
they hold on test genomes -> the best, with motif, mutation and gene. It must not know how codes are made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_matrix

from vqdna.genome import N, from_base_ids
from vqdna.studies.sars_cov_2.changes import LOST, UNKNOWN, CodeChanges
from vqdna.studies.sars_cov_2.genomes import VariantGenome
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.results import LineageMarkers, ShownMarker

LEAST_HELD, MOST_ELSEWHERE = 0.9, 0.05
MOST_SHOWN = 5
FLANK = 8


@dataclass(frozen=True)
class Marker:
    """A code at a place, with the shares of the variant's and of the other test genomes that have it there."""

    level: int
    position: int
    code: int
    held: float
    elsewhere: float

    @property
    def worth(self) -> float:
        """Difference of the two shares."""
        return self.held - self.elsewhere


def markers(
    changes: CodeChanges,
    genomes: Sequence[VariantGenome],
    train: Sequence[int],
    test: Sequence[int],
    knowledge: Knowledge,
) -> list[LineageMarkers]:
    """For each variant, how many places mark it by their code, how they hold on test, and the best of them."""
    tables = [_at_changed_places(changes, level) for level in range(changes.reference.shape[1])]
    records = []
    for variant in sorted({genomes[i].variant for i in test}):
        is_own = np.array([genome.variant == variant for genome in genomes])
        found = [m for level, (at, codes) in enumerate(tables) for m in _markers(level, at, codes, is_own, train, test)]
        best = _spread(sorted(found, key=lambda m: (-m.worth, m.position, m.level)), changes)
        held = [m.held for m in found]
        records.append(
            LineageMarkers(
                variant=variant,
                num_markers=[sum(m.level == level for m in found) for level in range(len(tables))],
                mean_held_on_test=float(np.mean(held)) if held else None,
                mean_elsewhere_on_test=float(np.mean([m.elsewhere for m in found])) if found else None,
                best=[_shown(m, changes, [g for g in genomes if g.variant == variant], knowledge) for m in best],
            )
        )
    return records


def free_markers(
    counts: csr_matrix, level_sizes: Sequence[int], variants: Sequence[str], train: Sequence[int]
) -> dict[str, list[int]]:
    """For each variant and level, how many codes mark it by occurring anywhere in the genome, on train."""
    present = np.asarray((counts[np.asarray(train)] > 0).todense())
    names = np.array([variants[i] for i in train])
    offsets = np.cumsum([0, *level_sizes])
    found = {}
    for variant in sorted(set(names.tolist())):
        own = names == variant
        marks = (present[own].mean(axis=0) >= LEAST_HELD) & (present[~own].mean(axis=0) <= MOST_ELSEWHERE)
        found[variant] = [int(marks[a:b].sum()) for a, b in pairwise(offsets)]
    return found


def _at_changed_places(
    changes: CodeChanges, level: int
) -> tuple[Int[np.ndarray, "place"], Int[np.ndarray, "genome place"]]:
    """Places where a hundredth of the genomes differs from the reference, and the codes there."""
    at = np.flatnonzero(changes.counts[:, level] >= max(1, len(changes) // 100))
    return at, changes.at(at, level)


def _markers(
    level: int,
    at: Int[np.ndarray, "place"],
    codes: Int[np.ndarray, "genome place"],
    is_own: Bool[np.ndarray, "genome"],
    train: Sequence[int],
    test: Sequence[int],
) -> list[Marker]:
    """Places whose most frequent code among the variant's train genomes marks it there."""
    learned, own = codes[list(train)], is_own[list(train)]
    scored, own_scored = codes[list(test)], is_own[list(test)]
    found = []
    for place in range(len(at)):
        code = Counter(learned[own, place].tolist()).most_common(1)[0][0]
        if code in (UNKNOWN, LOST):
            continue
        held, elsewhere = (learned[own, place] == code).mean(), (learned[~own, place] == code).mean()
        if held >= LEAST_HELD and elsewhere <= MOST_ELSEWHERE:
            held, elsewhere = (scored[own_scored, place] == code).mean(), (scored[~own_scored, place] == code).mean()
            found.append(Marker(level, int(at[place]), int(code), float(held), float(elsewhere)))
    return found


def _spread(ordered: Sequence[Marker], changes: CodeChanges) -> list[Marker]:
    """The first few that do not stand for one and the same change."""
    apart = -(-2 * changes.reach // changes.stride) + 1
    chosen: list[Marker] = []
    for marker in ordered:
        if all(abs(marker.position - other.position) > apart for other in chosen):
            chosen.append(marker)
        if len(chosen) == MOST_SHOWN:
            break
    return chosen


def _shown(marker: Marker, changes: CodeChanges, own: Sequence[VariantGenome], knowledge: Knowledge) -> ShownMarker:
    """A marker as the results hold it: motif, the reference there, the nearest common mutation, genes."""
    start = marker.position * changes.stride
    first, last = max(0, start - FLANK), min(len(knowledge.reference), start + changes.stride + FLANK)
    near = Counter(m for g in own for m in g.mutations if first <= m.position < last)
    common = [m for m, count in near.items() if count >= LEAST_HELD / 2 * len(own)]
    return ShownMarker(
        level=marker.level,
        start=start,
        end=start + changes.stride,
        code=marker.code,
        held=marker.held,
        elsewhere=marker.elsewhere,
        motif=_consensus(own, first, last),
        reference=from_base_ids(knowledge.reference[first:last]),
        motif_start=first,
        mutations=[" ".join(filter(None, (str(m), knowledge.change(m)))) for m in sorted(common)],
        genes=[gene.name for gene in knowledge.genes_at(start)],
    )


def _consensus(genomes: Sequence[VariantGenome], first: int, last: int) -> str:
    """Most frequent base of each place of the reference over the genomes; `-` where it is lost in most."""
    letters = []
    for place in range(first, last):
        at = [(genome.alignment.places[place], genome) for genome in genomes]
        bases = Counter("-" if p < 0 else from_base_ids(g.base_ids[p : p + 1]) for p, g in at)
        del bases["N"]
        letters.append(bases.most_common(1)[0][0] if bases else from_base_ids(np.array([N], np.uint8)))
    return "".join(letters)
