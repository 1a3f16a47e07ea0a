"""Which genomes learn, choose and test: drawn at random, or the later ones held back to test.

Flow: VariantGenomes -> Split(train, dev, test as numbers of genomes). A genome is in one split alone, and windows are
cut afterwards, so no window of a test genome was ever trained on. It must not know codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vqdna.errors import InputError
from vqdna.studies.sars_cov_2.genomes import VariantGenome
from vqdna.studies.sars_cov_2.results import SplitSizes

PARTS = ("train", "dev", "test")
FEWEST = 6
"""Genomes of a variant without which it is left out of a split."""


@dataclass(frozen=True)
class Split:
    """Numbers of the genomes of each part, ascending.

    Attributes:
        train: learned from.
        dev: chosen by.
        test: scored.
        cutoff: the last date of train and dev where later genomes test; empty for a random split.
    """

    train: tuple[int, ...]
    dev: tuple[int, ...]
    test: tuple[int, ...]
    cutoff: str = ""

    @property
    def all(self) -> tuple[int, ...]:
        """Every genome of it."""
        return tuple(sorted((*self.train, *self.dev, *self.test)))

    def record(self, genomes: Sequence[VariantGenome]) -> SplitSizes:
        """Sizes, and how much of test is of lineages that train has not."""
        counts = {
            part: dict(sorted(Counter(genomes[i].variant for i in getattr(self, part)).items())) for part in PARTS
        }
        known = {genomes[i].lineage for i in self.train}
        unseen = sum(genomes[i].lineage not in known for i in self.test)
        return SplitSizes(
            num_genomes={part: len(getattr(self, part)) for part in PARTS},
            per_variant=counts,
            cutoff=self.cutoff or None,
            test_of_unseen_lineages=unseen / max(len(self.test), 1),
        )


def random_split(genomes: Sequence[VariantGenome], sizes: Sequence[int], seed: int) -> Split:
    """Genomes of each variant drawn into train, dev and test, in proportion to `sizes` where there are fewer.

    Raises:
        InputError: fewer than two variants have enough genomes.
    """
    random = np.random.default_rng([seed, 1])
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for members in _members(genomes).values():
        drawn = random.permutation(members).tolist()
        start = 0
        for part, count in zip(PARTS, _shares(len(drawn), sizes)):
            parts[part] += drawn[start : start + count]
            start += count
    return _checked({part: tuple(sorted(numbers)) for part, numbers in parts.items()}, genomes, "")


def date_split(genomes: Sequence[VariantGenome], sizes: Sequence[int], seed: int) -> Split | None:
    """Genomes up to a date learn and choose, later ones test; None where hardly any genome has a date.

    The date is the earliest by which every variant that has enough dated genomes has a third of them.
    """
    dated = {name: sorted(m, key=lambda i: genomes[i].date) for name, m in _members(genomes, dated=True).items()}
    if len(dated) < 2:
        return None
    cutoff = max(genomes[members[len(members) // 3]].date for members in dated.values())
    random = np.random.default_rng([seed, 2])
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for members in dated.values():
        early = random.permutation([i for i in members if genomes[i].date <= cutoff]).tolist()
        late = random.permutation([i for i in members if genomes[i].date > cutoff]).tolist()
        if not late:
            continue
        num_train, num_dev = _shares(len(early), sizes[:2])
        parts["train"] += early[:num_train]
        parts["dev"] += early[num_train : num_train + num_dev]
        parts["test"] += late[: sizes[2]]
    if len({genomes[i].variant for i in parts["test"]}) < 2:
        return None
    return _checked({part: tuple(sorted(numbers)) for part, numbers in parts.items()}, genomes, cutoff)


def _members(genomes: Sequence[VariantGenome], *, dated: bool = False) -> dict[str, list[int]]:
    """Numbers of the genomes of each variant that has enough of them."""
    members: dict[str, list[int]] = {}
    for number, genome in enumerate(genomes):
        if genome.date or not dated:
            members.setdefault(genome.variant, []).append(number)
    return {name: numbers for name, numbers in sorted(members.items()) if len(numbers) >= FEWEST}


def _shares(count: int, sizes: Sequence[int]) -> list[int]:
    """The sizes themselves where there are enough, else the count in their proportions, none of them zero."""
    if count >= sum(sizes):
        return list(sizes)
    shares = [max(1, count * size // sum(sizes)) for size in sizes]
    shares[0] += count - sum(shares)
    return shares


def _checked(parts: dict[str, tuple[int, ...]], genomes: Sequence[VariantGenome], cutoff: str) -> Split:
    present = {genomes[i].variant for i in parts["train"]}
    if len(present) < 2:
        counts = Counter(genome.variant for genome in genomes)
        held = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise InputError(f"two variants with {FEWEST} or more different genomes are needed, got {held or 'none'}")
    return Split(**parts, cutoff=cutoff)
