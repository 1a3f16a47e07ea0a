"""Which genomes learn, choose and test, and the windows cut from them.

Flow: LineageGenomes -> Split(train, dev, test as numbers of genomes), drawn at random, or the later ones held back to
test -> GenomeWindows of a part. A genome is in one part alone, and windows are cut afterwards, so no window of a test
genome was ever trained on. It must not know codes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome import N
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.summary import SplitSizes

PARTS = ("train", "dev", "test")
FEWEST = 6
"""Genomes of a lineage without which it is left out of a split."""

GRID = 64
MOST_N = 0.1


@dataclass(frozen=True)
class Split:
    """Numbers of the genomes that are learned from, chosen by and scored, ascending.

    Attributes:
        cutoff: the last date of train and dev where later genomes test; empty for a random split.
    """

    train: tuple[int, ...]
    dev: tuple[int, ...]
    test: tuple[int, ...]
    cutoff: str = ""

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        return dict(zip(PARTS, (self.train, self.dev, self.test)))

    @property
    def all(self) -> tuple[int, ...]:
        return tuple(sorted((*self.train, *self.dev, *self.test)))

    def record(self, genomes: Sequence[LineageGenome]) -> SplitSizes:
        """Sizes, and how much of test is of Pango lineages that train has not."""
        known = {genomes[i].pango for i in self.train}
        counts = {part: Counter(genomes[i].lineage for i in held) for part, held in self.parts.items()}
        return SplitSizes(
            num_genomes={part: len(held) for part, held in self.parts.items()},
            per_lineage={part: dict(sorted(held.items())) for part, held in counts.items()},
            cutoff=self.cutoff or None,
            test_of_unseen_lineages=sum(genomes[i].pango not in known for i in self.test) / max(len(self.test), 1),
        )


def random_split(genomes: Sequence[LineageGenome], sizes: Sequence[int], seed: int) -> Split:
    """Genomes of each lineage drawn into train, dev and test, in proportion to `sizes` where there are fewer.

    Raises:
        InputError: fewer than two lineages have enough genomes.
    """
    random = np.random.default_rng([seed, 1])
    parts: list[list[int]] = [[], [], []]
    for members in _members(genomes).values():
        drawn = iter(random.permutation(members).tolist())
        for part, count in zip(parts, _shares(len(members), sizes)):
            part += islice(drawn, count)
    return _checked(parts, genomes, "")


def date_split(genomes: Sequence[LineageGenome], sizes: Sequence[int], seed: int) -> Split | None:
    """Genomes up to a date learn and choose, later ones test; None where hardly any genome has a date.

    The date is the earliest by which every lineage that has enough dated genomes has a third of them.
    """
    dated = {name: sorted(m, key=lambda i: genomes[i].date) for name, m in _members(genomes, dated=True).items()}
    if len(dated) < 2:
        return None
    cutoff = max(genomes[members[len(members) // 3]].date for members in dated.values())
    random = np.random.default_rng([seed, 2])
    parts: list[list[int]] = [[], [], []]
    train, dev, test = parts
    for members in dated.values():
        early = random.permutation([i for i in members if genomes[i].date <= cutoff]).tolist()
        late = random.permutation([i for i in members if genomes[i].date > cutoff]).tolist()
        if late:
            num_train, num_dev = _shares(len(early), sizes[:2])
            train += early[:num_train]
            dev += early[num_train : num_train + num_dev]
            test += late[: sizes[2]]
    if len({genomes[i].lineage for i in test}) < 2:
        return None
    return _checked(parts, genomes, cutoff)


def _members(genomes: Sequence[LineageGenome], *, dated: bool = False) -> dict[str, list[int]]:
    """Numbers of the genomes of each lineage that has enough of them."""
    members: dict[str, list[int]] = {}
    for number, genome in enumerate(genomes):
        if genome.date or not dated:
            members.setdefault(genome.lineage, []).append(number)
    return {name: numbers for name, numbers in sorted(members.items()) if len(numbers) >= FEWEST}


def _shares(count: int, sizes: Sequence[int]) -> list[int]:
    """The sizes themselves where there are enough, else the count in their proportions, none of them zero."""
    if count >= sum(sizes):
        return list(sizes)
    shares = [max(1, count * size // sum(sizes)) for size in sizes]
    shares[0] += count - sum(shares)
    return shares


def _checked(parts: Sequence[Sequence[int]], genomes: Sequence[LineageGenome], cutoff: str) -> Split:
    if len({genomes[i].lineage for i in parts[0]}) < 2:
        counts = Counter(genome.lineage for genome in genomes)
        held = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        raise InputError(f"two lineages with {FEWEST} or more different genomes are needed, got {held or 'none'}")
    train, dev, test = (tuple(sorted(numbers)) for numbers in parts)
    return Split(train, dev, test, cutoff)


# Windows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class GenomeWindows:
    """Bases of windows in the order of their genomes, and the number of the genome that each comes from."""

    base_ids: list[UInt8[np.ndarray, "_"]]
    genome: Int[np.ndarray, "window"]

    def __len__(self) -> int:
        return len(self.base_ids)


def cut_windows(
    genomes: Sequence[LineageGenome], numbers: Sequence[int], *, size: int, per_genome: int, seed: int
) -> GenomeWindows:
    """`per_genome` windows of each genome in `numbers`; a genome's own draw, whatever others there are.

    Places with more than a tenth N are drawn again; a genome that has none left is passed over.

    Raises:
        InputError: a genome is shorter than a window.
    """
    rows, owners = [], []
    for number in numbers:
        base_ids = genomes[number].base_ids
        if len(base_ids) < size:
            raise InputError(
                f"genome '{genomes[number].name}' has {len(base_ids)} bases, fewer than a window of {size}"
            )
        # A generator for each genome, so that its windows do not hang on which other genomes were drawn. Places on a
        # grid let windows of different genomes share tiles, which are then encoded once.
        random = np.random.default_rng([seed, 6, number])
        places = random.permutation((len(base_ids) - size) // GRID + 1) * GRID
        windows = [base_ids[place : place + size] for place in places.tolist()]
        good = [window for window in windows if (window >= N).mean() <= MOST_N][:per_genome]
        rows += good
        owners += [number] * len(good)
    return GenomeWindows(rows, np.array(owners, np.int64))
