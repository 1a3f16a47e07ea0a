"""Code changes along the genome, lineage by lineage, beside the known mutations and genes.

Flow: code changes of each genome -> share of a lineage's genomes with a changed code, place by place (only where any
has) -> for each known mutation, whether the codes tell it. It must not know how a page draws them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqdna.studies.sars_cov_2.changes import CodeChanges
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.results import KnownMutation, LineageTrack

LEAST_SHARE = 0.25
"""A place is on a track where this share of the lineage's genomes or more has a changed code."""


def lineage_tracks(
    changes: CodeChanges, genomes: Sequence[LineageGenome], sites: Sequence[Sequence[int]], knowledge: Knowledge
) -> list[LineageTrack]:
    """For each lineage, its track and what became of its known mutations; `sites` are those read in each genome."""
    return [
        _track(lineage, changes, genomes, sites, knowledge)
        for lineage in sorted({genome.lineage for genome in genomes})
    ]


def _track(
    lineage: str,
    changes: CodeChanges,
    genomes: Sequence[LineageGenome],
    sites: Sequence[Sequence[int]],
    knowledge: Knowledge,
) -> LineageTrack:
    rows = [i for i, genome in enumerate(genomes) if genome.lineage == lineage]
    changed = [changes.of_genome(row) for row in rows]
    shares = np.mean(changed, axis=0)
    places = np.flatnonzero(shares.max(axis=1) >= LEAST_SHARE)
    known = sorted(knowledge.mutations[lineage])
    mutations = []
    for mutation in known:
        if not mutation.is_deletion:
            told = [mutation.position in sites[row] for row in rows if mutation in genomes[row].mutations]
            known_mutation = KnownMutation(
                mutation=str(mutation),
                position=mutation.position,
                change=knowledge.change(mutation),
                defining=mutation in knowledge.defining,
                carried=len(told) / len(rows),
                found=float(np.mean(told)) if told else 0.0,
            )
            mutations.append(known_mutation)
    carried = [m for m in mutations if m.carried > 0]
    recall = np.average([m.found for m in carried], weights=[m.carried for m in carried]) if carried else None
    return LineageTrack(
        lineage=lineage,
        num_genomes=len(rows),
        mean_mutations=float(np.mean([len(genomes[row].mutations) for row in rows])),
        mean_changed_positions=float(np.mean([held.any(axis=1).sum() for held in changed])),
        start=(places * changes.grid.stride).tolist(),
        share=np.round(shares[places], 3).tolist(),
        mutations=mutations,
        num_known=len(mutations),
        num_known_deletions=len(known) - len(mutations),
        known_recall=None if recall is None else float(recall),
    )
