"""Code changes along the genome, variant by variant, beside the known mutations and genes.

Flow: flips of each genome -> share of a variant's genomes with a changed code, place by place (only where any has) ->
for each known mutation, whether the codes tell it. It must not know how a page draws them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vqdna.studies.sars_cov_2.alignment import Mutation
from vqdna.studies.sars_cov_2.changes import CodeChanges
from vqdna.studies.sars_cov_2.genomes import VariantGenome
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.results import KnownMutation, LineageTrack
from vqdna.studies.sars_cov_2.sites import SiteReader

LEAST_SHARE = 0.25
"""A place is on a track where this share of the variant's genomes or more has a changed code."""


def tracks(
    changes: CodeChanges, genomes: Sequence[VariantGenome], reader: SiteReader, knowledge: Knowledge
) -> list[LineageTrack]:
    """One record for each variant: its track and what became of its known mutations."""
    return [
        _track(
            variant,
            changes,
            [i for i, genome in enumerate(genomes) if genome.variant == variant],
            genomes,
            reader,
            knowledge,
        )
        for variant in sorted({genome.variant for genome in genomes})
    ]


def _track(
    variant: str,
    changes: CodeChanges,
    rows: Sequence[int],
    genomes: Sequence[VariantGenome],
    reader: SiteReader,
    knowledge: Knowledge,
) -> LineageTrack:
    shares = np.mean([changes.flips(row) for row in rows], axis=0)
    places = np.flatnonzero(shares.max(axis=1) >= LEAST_SHARE)
    found = [set(reader.sites(changes.flips(row))) for row in rows]
    known = sorted(knowledge.mutations[variant])
    mutations = [_known(m, [genomes[row] for row in rows], found, knowledge) for m in known if not m.is_deletion]
    carried = [m for m in mutations if m.carried > 0]
    return LineageTrack(
        variant=variant,
        num_genomes=len(rows),
        mean_mutations=float(np.mean([len(genomes[row].mutations) for row in rows])),
        mean_changed_positions=float(np.mean([changes.flips(row).any(axis=1).sum() for row in rows])),
        start=(places * changes.stride).tolist(),
        share=np.round(shares[places], 3).tolist(),
        mutations=mutations,
        num_known=len(mutations),
        num_known_deletions=len(known) - len(mutations),
        known_recall=float(np.average([m.found for m in carried], weights=[m.carried for m in carried]))
        if carried
        else None,
    )


def _known(
    mutation: Mutation, genomes: Sequence[VariantGenome], found: Sequence[set[int]], knowledge: Knowledge
) -> KnownMutation:
    """Share of the genomes that carry a known mutation, and of those the share whose codes tell its base exactly."""
    carriers = [i for i, genome in enumerate(genomes) if mutation in genome.mutations]
    told = [mutation.position in found[i] for i in carriers]
    return KnownMutation(
        mutation=str(mutation),
        position=mutation.position,
        change=knowledge.change(mutation),
        defining=mutation in knowledge.defining,
        carried=len(carriers) / len(genomes),
        found=float(np.mean(told)) if told else 0.0,
    )
