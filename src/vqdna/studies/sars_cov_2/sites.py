"""Mutated bases read off changed codes: how exactly do codes tell where a genome differs from the reference?

Flow: flips [position, level] of a genome + footprint of a single change -> groups of flips out of each other's reach
-> the fewest bases that explain a group, by likelihood -> sites, held against the true ones. Nothing of a genome's
bases is looked at. It must not know variants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from vqdna.studies.sars_cov_2.changes import CodeChanges
from vqdna.studies.sars_cov_2.genomes import VariantGenome
from vqdna.studies.sars_cov_2.planted import Planted
from vqdna.studies.sars_cov_2.results import PrecisionAndRecall, Recovery
from vqdna.studies.sars_cov_2.separation import bootstrap

COST = 6.0
"""Nats that a further site has to gain: sites are rare, about one base in a thousand."""

STRAY = 1e-4
"""Chance of a flip without cause, which codes on a fixed reference do not have; it keeps logarithms finite."""

MOST_SITES = 60
LONGEST_GROUP = 400
"""Positions: behind a lost base that shifts all later codes of a stride, only where the run begins is told."""


@dataclass(frozen=True, eq=False)
class SiteReader:
    """Finds sites by the footprint of one change.

    Attributes:
        footprint: chance of a flip by place in the span, distance in positions and level.
        stride: bases from one position to the next.
        known: what was found for groups seen before, which variants share by the hundred.
    """

    footprint: Float[np.ndarray, "phase distance level"]
    stride: int
    known: dict[tuple[int, bytes], list[int]] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """Positions on either side."""
        return int(self.footprint.shape[1] - 1) // 2

    def sites(self, flips: Bool[np.ndarray, "position level"]) -> list[int]:
        """Bases, 0-based on the reference, whose change explains the flips."""
        at = np.flatnonzero(flips.any(axis=1))
        found: list[int] = []
        for group in np.split(at, np.flatnonzero(np.diff(at) > 2 * self.reach) + 1):
            if len(group):
                found += self._group_sites(flips, int(group[0]), int(group[-1]) + 1)
        return found

    def _group_sites(self, flips: Bool[np.ndarray, "position level"], first: int, last: int) -> list[int]:
        if last - first > LONGEST_GROUP:
            return [first * self.stride]
        start, end = max(0, first - 2 * self.reach), min(len(flips), last + 2 * self.reach)
        stretch = flips[start:end]
        key = (start, stretch.tobytes())
        if key not in self.known:
            self.known[key] = [
                start * self.stride + base for base in self._explain(stretch, first - start, last - start)
            ]
        return self.known[key]

    def _explain(self, flips: Bool[np.ndarray, "position level"], first: int, last: int) -> list[int]:
        """Bases of the stretch, added one by one while the likelihood gains more than a site costs."""
        candidates = np.arange(
            max(0, first - self.reach) * self.stride, min(len(flips), last + self.reach) * self.stride
        )
        # Changes of several bases add up in the log of the chance that a code stays as it is. So each candidate is a
        # term to add, and the best next site is found by trying all of them at once.
        silence = np.stack([self._log_silence(base, len(flips)) for base in candidates.tolist()])
        total = np.full((len(flips), flips.shape[1]), np.log1p(-STRAY))
        likelihood = float(_log_likelihood(flips, total[None])[0])
        chosen: list[int] = []
        while len(chosen) < MOST_SITES:
            with_one_more = _log_likelihood(flips, total + silence)
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


def site_reader(planted: Planted) -> SiteReader:
    """Reader that knows the footprint of planted substitutions."""
    return SiteReader(planted.footprint(), planted.stride)


def site_recovery(changes: CodeChanges, genomes: Sequence[VariantGenome], reader: SiteReader, seed: int) -> Recovery:
    """Precision and recall of mutated bases over all genomes, exactly and two bases off, with bootstrap intervals.

    Lost bases count as mutated; a stretch of them is one site, found where any of its bases or a neighbor is.
    """
    found = [reader.sites(changes.flips(number)) for number in range(len(genomes))]
    true = [_true_sites(genome) for genome in genomes]
    groups = np.arange(len(genomes))

    def agreement(tolerance: int) -> PrecisionAndRecall:
        counts = np.array([_matches(ours, theirs, tolerance) for ours, theirs in zip(found, true)], dtype=float)

        def share(rows: Int[np.ndarray, "_"], hits: int, of: int) -> float:
            return float(counts[rows, hits].sum() / max(counts[rows, of].sum(), 1))

        return PrecisionAndRecall(
            precision=bootstrap(lambda rows: share(rows, 0, 1), groups, seed),
            recall=bootstrap(lambda rows: share(rows, 2, 3), groups, seed),
        )

    return Recovery(
        num_sites=sum(map(len, true)),
        num_found=sum(map(len, found)),
        within_0=agreement(0),
        within_2=agreement(2),
    )


def _true_sites(genome: VariantGenome) -> list[tuple[int, int]]:
    """Stretches of mutated bases: each substitution by itself, neighboring lost bases together."""
    stretches: list[tuple[int, int]] = []
    lost_before = False
    for mutation in sorted(genome.mutations):
        if mutation.is_deletion and lost_before and stretches[-1][1] == mutation.position:
            stretches[-1] = (stretches[-1][0], mutation.position + 1)
        else:
            stretches.append((mutation.position, mutation.position + 1))
        lost_before = mutation.is_deletion
    return stretches


def _matches(found: Sequence[int], true: Sequence[tuple[int, int]], tolerance: int) -> tuple[int, int, int, int]:
    """Found sites that are right, found sites, true sites that are found, true sites."""
    right = sum(_is_near(site, true, tolerance) for site in found)
    recalled = sum(any(_is_near(site, [stretch], tolerance) for site in found) for stretch in true)
    return right, len(found), recalled, len(true)


def _is_near(site: int, stretches: Iterable[tuple[int, int]], tolerance: int) -> bool:
    return any(
        start - tolerance - (end - start > 1) <= site < end + tolerance + (end - start > 1) for start, end in stretches
    )


def _log_likelihood(
    flips: Bool[np.ndarray, "position level"], log_silence: Float[np.ndarray, "candidate position level"]
) -> Float[np.ndarray, "candidate"]:
    """Log likelihood of the flips where each code keeps still with the given chance."""
    moves = np.log(-np.expm1(np.minimum(log_silence, -1e-12)))
    total: Float[np.ndarray, "candidate"] = np.where(flips, moves, log_silence).sum(axis=(-2, -1))
    return total
