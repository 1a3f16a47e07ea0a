"""Code changes along the genome, and the mutated bases read off them: how exactly do codes tell a mutation's place?

Flow: code changes [position, level] of a genome + footprint of a single change -> groups of changes out of each other's
reach -> the fewest bases that explain a group, by likelihood -> sites, held against the true ones, and against the
known mutations of each lineage. Nothing of a genome's bases is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from vqdna.genome.intervals import Interval
from vqdna.studies.sars_cov_2.changes import CodeChanges
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.in_silico import InSilico
from vqdna.studies.sars_cov_2.knowledge import Knowledge
from vqdna.studies.sars_cov_2.results import KnownMutation, LineageTrack, PrecisionAndRecall, Recovery
from vqdna.studies.sars_cov_2.separation import bootstrap

COST = 6.0
"""Nats that a further site has to gain: sites are rare, about one base in a thousand."""

STRAY = 1e-4
"""Chance of a code change without cause, which codes on a fixed reference do not have; it keeps logarithms finite."""

MOST_SITES = 60
LONGEST_GROUP = 400
"""Positions: behind a lost base that shifts all later codes of a stride, only where the run begins is told."""

LEAST_SHARE = 0.25
"""A place is on a track where this share of the lineage's genomes or more has a changed code."""


Changes: TypeAlias = Bool[np.ndarray, "position level"]
"""Whether a genome's code is another than the reference's."""


@dataclass(frozen=True, eq=False)
class SiteReader:
    """Finds sites by the footprint of one change.

    Attributes:
        footprint: chance of a code change by place in the span, distance in positions and level.
        stride: bases from one position to the next.
        known: what was found for groups seen before, which genomes share by the hundred.
    """

    footprint: Float[np.ndarray, "phase distance level"]
    stride: int
    known: dict[tuple[int, bytes], list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, mutations: InSilico) -> SiteReader:
        return cls(mutations.footprint(), mutations.stride)

    @property
    def reach(self) -> int:
        """Positions on either side."""
        return int(self.footprint.shape[1] - 1) // 2

    def sites(self, changes: Changes) -> list[int]:
        """Bases, 0-based on the reference, that explain the code changes if they are mutated."""
        at = np.flatnonzero(changes.any(axis=1))
        groups = np.split(at, np.flatnonzero(np.diff(at) > 2 * self.reach) + 1)
        spans = [(int(group[0]), int(group[-1]) + 1) for group in groups if len(group)]
        return [site for first, last in spans for site in self._group_sites(changes, first, last)]

    def _group_sites(self, changes: Changes, first: int, last: int) -> list[int]:
        if last - first > LONGEST_GROUP:
            return [first * self.stride]
        start, end = max(0, first - 2 * self.reach), min(len(changes), last + 2 * self.reach)
        span = changes[start:end]
        key = (start, span.tobytes())
        if key not in self.known:
            own = self._explain(span, first - start, last - start)
            self.known[key] = [start * self.stride + base for base in own]
        return self.known[key]

    def _explain(self, changes: Changes, first: int, last: int) -> list[int]:
        """Bases of the span, added one by one while the likelihood gains more than a site costs."""
        candidates = np.arange(
            max(0, first - self.reach) * self.stride, min(len(changes), last + self.reach) * self.stride
        )
        # Changes of several bases add up in the log of the chance that a code stays as it is. So each candidate is a
        # term to add, and the best next site is found by trying all of them at once.
        silence = np.stack([self._log_silence(base, len(changes)) for base in candidates.tolist()])
        total = np.full(changes.shape, np.log1p(-STRAY))
        likelihood = float(_log_likelihood(changes, total[None])[0])
        chosen: list[int] = []
        while len(chosen) < MOST_SITES:
            with_one_more = _log_likelihood(changes, total + silence)
            best = int(with_one_more.argmax())
            if with_one_more[best] - likelihood < COST:
                break
            chosen.append(int(candidates[best]))
            total, likelihood = total + silence[best], float(with_one_more[best])
        return sorted(set(chosen))

    def _log_silence(self, base: int, num_positions: int) -> Float[np.ndarray, "position level"]:
        """Log of the chance that a change of the base leaves each code as it is."""
        own, phase = divmod(base, self.stride)
        silence = np.zeros((num_positions, self.footprint.shape[2]))
        at = own + np.arange(-self.reach, self.reach + 1)
        inside = (at >= 0) & (at < num_positions)
        silence[at[inside]] = np.log1p(-self.footprint[phase, inside])
        return silence


def site_recovery(sites: Sequence[Sequence[int]], genomes: Sequence[LineageGenome], seed: int) -> Recovery:
    """Precision and recall of the sites read in each genome, exactly and two bases off, with bootstrap intervals.

    Lost bases count as mutated; a span of them is one site, found where any of its bases or a neighbor is.
    """
    true = [mutated_spans(genome) for genome in genomes]

    def agreement(tolerance: int) -> PrecisionAndRecall:
        counts = np.array([_matches(ours, theirs, tolerance) for ours, theirs in zip(sites, true)], dtype=float)

        def share(rows: Int[np.ndarray, "_"], hits: int, of: int) -> float:
            return float(counts[rows, hits].sum() / max(counts[rows, of].sum(), 1))

        groups = np.arange(len(genomes))
        return PrecisionAndRecall(
            precision=bootstrap(lambda rows: share(rows, 0, 1), groups, seed),
            recall=bootstrap(lambda rows: share(rows, 2, 3), groups, seed),
        )

    num_sites, num_found = (sum(map(len, held)) for held in (true, sites))
    return Recovery(num_sites=num_sites, num_found=num_found, within_0=agreement(0), within_2=agreement(2))


def mutated_spans(genome: LineageGenome) -> list[Interval]:
    """Mutated bases on the reference: each substitution by itself, neighboring lost bases together."""
    spans: list[Interval] = []
    end_of_lost = -1
    for mutation in sorted(genome.mutations):
        end = mutation.position + 1
        if mutation.is_deletion and mutation.position == end_of_lost:
            spans[-1] = replace(spans[-1], end=end)
        else:
            spans.append(Interval(genome.name, mutation.position, end, "+"))
        end_of_lost = end if mutation.is_deletion else -1
    return spans


def _matches(found: Sequence[int], true: Sequence[Interval], tolerance: int) -> tuple[int, int, int, int]:
    """Found sites that are right, found sites, true sites that are found, true sites."""

    def agree(site: int, span: Interval) -> bool:
        margin = tolerance + (span.length > 1)
        return span.start - margin <= site < span.end + margin

    right = sum(any(agree(site, span) for span in true) for site in found)
    recalled = sum(any(agree(site, span) for site in found) for span in true)
    return right, len(found), recalled, len(true)


def _log_likelihood(
    changes: Changes, log_silence: Float[np.ndarray, "candidate position level"]
) -> Float[np.ndarray, "candidate"]:
    """Log likelihood of the changes where each code keeps still with the given chance."""
    moves = np.log(-np.expm1(np.minimum(log_silence, -1e-12)))
    return np.asarray(np.where(changes, moves, log_silence).sum(axis=(-2, -1)))


# Tracks --------------------------------------------------------------------------------------------------------------


def lineage_tracks(changes: CodeChanges, sites: Sequence[Sequence[int]], knowledge: Knowledge) -> list[LineageTrack]:
    """For each lineage, its track and what became of its known mutations; `sites` are those read in each genome."""
    genomes, tracks = changes.genomes, []
    for lineage in sorted({genome.lineage for genome in genomes}):
        rows = [i for i, genome in enumerate(genomes) if genome.lineage == lineage]
        changed = [changes.of_genome(row) for row in rows]
        shares = np.mean(changed, axis=0)
        places = np.flatnonzero(shares.max(axis=1) >= LEAST_SHARE)
        substitutions = [m for m in sorted(knowledge.mutations[lineage]) if not m.is_deletion]
        mutations = []
        for mutation in substitutions:
            told = [mutation.position in sites[row] for row in rows if mutation in genomes[row].mutations]
            known = KnownMutation(
                mutation=str(mutation),
                position=mutation.position,
                change=knowledge.change(mutation),
                defining=mutation in knowledge.defining,
                carried=len(told) / len(rows),
                found=float(np.mean(told)) if told else 0.0,
            )
            mutations.append(known)
        carried = sum(known.carried for known in mutations)
        track = LineageTrack(
            lineage=lineage,
            num_genomes=len(rows),
            mean_mutations=float(np.mean([len(genomes[row].mutations) for row in rows])),
            mean_changed_positions=float(np.mean([held.any(axis=1).sum() for held in changed])),
            start=(places * changes.grid.stride).tolist(),
            share=np.round(shares[places], 3).tolist(),
            mutations=mutations,
            num_known=len(mutations),
            num_known_deletions=len(knowledge.mutations[lineage]) - len(mutations),
            known_recall=sum(known.found * known.carried for known in mutations) / carried if carried else None,
        )
        tracks.append(track)
    return tracks
