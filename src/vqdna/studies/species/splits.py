"""Species classification as HyenaDNA sets it: windows of genomes, contigs held apart between the splits.

Flow: Corpus -> parts (contigs, or arms of a lone one) of train, dev and test -> SpeciesWindows of one length -> window
i: species drawn uniformly, then one of its parts, then a start; N to the left where the part is shorter. Everything is
a pure function of (corpus, lengths, seed, i). It must not know how windows are told apart. Paper: section 5.7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.corpus import Corpus
from vqdna.genome.intervals import Interval
from vqdna.genome.sampling import as_fraction, draw_bits, draw_key, eligible_starts
from vqdna.studies.species.sets import SPLIT_RULES

SPLITS = ("train", "dev", "test")

HELD_OUT_SHARE = 0.2
SHARES = {"train": 1 - 2 * HELD_OUT_SHARE, "dev": HELD_OUT_SHARE, "test": HELD_OUT_SHARE}
"""Of a species' bases, as near as whole contigs come to it."""

DEV_CHROMOSOMES = ("1", "3", "12", "13")
TEST_CHROMOSOMES = ("5", "7", "9", "10", "11")
"""HyenaDNA's; every other numbered or named chromosome is for training."""

LEAST_CLASSES = 5
"""Species that a length must have windows of, or all of a smaller set, so that its score stands beside the others."""

ARM_WINDOWS, CONTIG_WINDOWS = 1.25, 1.5
"""Windows of the longest length that an arm, and a contig cut short, have room for where there are bases enough."""

MOST_ARMS = 10

FEWEST_CONTIGS, MOST_CONTIGS = 3, 12
"""Contigs that a species limited to `max_bases` is made of."""

MAX_N_FRACTION = 0.5
_STREAM = 32  # streams of draws below it belong to training windows

Starts: TypeAlias = Int[np.ndarray, "interval 2"]
"""First start of a window and the end of its starts, of each interval of a contig where one may start."""


@dataclass(frozen=True)
class Part(Interval):
    """Part of a contig; `species` and `contig` are numbers in the corpus."""

    species: int
    contig: int


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one split, by where they lie; `padding` N stand to the left of those that a part was too short for.

    Attributes:
        labels: class of each window, an index into `classes`.
        contigs: number of its contig in the corpus.
        starts: 0-based, in the contig.
        ends: exclusive.
    """

    length: int
    classes: tuple[str, ...]
    labels: Int[np.ndarray, "row"]
    contigs: Int[np.ndarray, "row"]
    starts: Int[np.ndarray, "row"]
    ends: Int[np.ndarray, "row"]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def padding(self) -> Int[np.ndarray, "row"]:
        padding: Int[np.ndarray, "row"] = self.length - (self.ends - self.starts)
        return padding

    def bases(self, corpus: Corpus, row: int) -> UInt8[np.ndarray, "_"]:
        """The bases of one window that lie in its part, without padding; a view of the corpus."""
        edge = int(corpus.packed.contig_edges[self.contigs[row]])
        window: UInt8[np.ndarray, "_"] = corpus.packed.base_ids[
            edge + int(self.starts[row]) : edge + int(self.ends[row])
        ]
        return window


@dataclass(frozen=True, eq=False)
class SpeciesSplit:
    """Parts of every species for each split, for windows of some lengths.

    Attributes:
        lengths: of the windows that are to be drawn, in bases; the split is one for all of them.
        seed: of the choice of contigs and of every draw.
        rule: "contigs" draws whole contigs, three fifths of the bases for training; of a species with fewer than three
            contigs long enough for its longest windows the longest is cut into three to ten arms, and no other is used.
            "chromosomes" is HyenaDNA's fixed split by chromosome number.
        chromosomes: number of each (species, contig), for that rule.
        max_bases: most bases of a species that are used, in round numbers; None uses all.
        min_fill: least share of a window that is DNA. 1 passes over parts shorter than the window; HyenaDNA, whose
            chromosomes are never that short, pads them whatever they hold (0).
        least_classes: species that a length must have windows of; None is `LEAST_CLASSES`, or all of a smaller set.
    """

    corpus: Corpus
    lengths: tuple[int, ...]
    seed: int
    rule: str = "contigs"
    chromosomes: Mapping[tuple[str, str], str] | None = None
    max_bases: int | None = None
    min_fill: float = 1.0
    least_classes: int | None = None

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1 or self.seed < 0:
            raise InputError(f"lengths {list(self.lengths)}, seed {self.seed}: wanted lengths of 1 or more, seed 0 on")
        if self.rule not in SPLIT_RULES:
            expected = f"expected one of {', '.join(SPLIT_RULES)}{nearest_name_hint(self.rule, SPLIT_RULES)}"
            raise InputError(f"split rule '{self.rule}', {expected}")
        if not 0 <= self.min_fill <= 1:
            raise InputError(f"least share of DNA in a window: got {self.min_fill}, expected 0 to 1")

    @property
    def fewest(self) -> int:
        return min(self.least_classes or LEAST_CLASSES, len(self.corpus.species))

    def need(self, length: int) -> int:
        """Least bases of a part that windows of `length` are drawn from."""
        return max(1, math.ceil(self.min_fill * length))

    @cached_property
    def used(self) -> tuple[Part, ...]:
        """What is read of each contig, whatever the seed: all of it, or a span where `max_bases` says so."""
        return tuple(part for parts in self._contigs for part in self._reduced(parts))

    @cached_property
    def _contigs(self) -> tuple[tuple[Part, ...], ...]:
        lengths = np.diff(self.corpus.packed.contig_edges).tolist()
        owners = self.corpus.packed.contig_species.tolist()
        names = self.corpus.packed.contig_names
        return tuple(
            tuple(Part(names[i], 0, lengths[i], "+", number, i) for i, owner in enumerate(owners) if owner == number)
            for number in range(len(self.corpus.species))
        )

    @cached_property
    def _shared_lengths(self) -> tuple[int, ...]:
        """Lengths that enough species have room for, longest first."""
        sizes = [[part.length for part in parts] for parts in self._contigs]
        return tuple(
            length
            for length in sorted(self.lengths, reverse=True)
            if sum(_room(one) >= self.need(length) for one in sizes) >= self.fewest
        )

    @cached_property
    def parts(self) -> dict[str, tuple[Part, ...]]:
        """Parts of each split; no two of them share a base, and no two splits a contig, but for arms."""
        found: dict[str, list[Part]] = {split: [] for split in SPLITS}
        for species in range(len(self.corpus.species)):
            own = [part for part in self.used if part.species == species]
            split = self._by_chromosome(own) if self.rule == "chromosomes" else self._by_contig(own, species)
            for name, parts in split.items():
                found[name] += parts
        return {name: tuple(parts) for name, parts in found.items()}

    def longest(self, species: int) -> dict[str, int]:
        return {
            split: max((part.length for part in parts if part.species == species), default=0)
            for split, parts in self.parts.items()
        }

    def classes(self, length: int) -> tuple[str, ...]:
        """Species with a part for windows of `length` in every split, alphabetically: the classes of that length."""
        fits = [min(self.longest(species).values()) >= self.need(length) for species in range(len(self.corpus.species))]
        return tuple(name for name, fit in zip(self.corpus.species, fits, strict=True) if fit)

    def refusal(self, length: int) -> str | None:
        """Why no windows of `length` can be drawn, naming the species that come nearest; None where they can."""
        if len(self.classes(length)) >= self.fewest:
            return None
        held = {name: self._longest_window(number) for number, name in enumerate(self.corpus.species)}
        fits = [name for name in held if held[name] >= self.need(length)]
        nearest = sorted((name for name in held if name not in fits), key=lambda name: -held[name])[:3]
        listed = ", ".join(f"{name} {held[name]:,}" for name in nearest)
        return (
            f"{len(fits)} of {len(held)} species have {self.need(length):,} bases in a row in each split, and it "
            f"takes {self.fewest} (longest of the others: {listed})"
        )

    def _longest_window(self, species: int) -> int:
        """Bases of the longest window that every split of the species could hold."""
        if self.rule == "chromosomes":
            return min(self.longest(species).values())
        return _room([part.length for part in self._contigs[species]])

    def windows(self, length: int, split: str, count: int) -> Windows:
        """Windows 0 .. count - 1 of a split: each its species with equal probability, its part, its start.

        Raises:
            InputError: too few species have windows of that length, or no such split.
        """
        if split not in SPLITS:
            raise InputError(f"split '{split}', expected one of {', '.join(SPLITS)}{nearest_name_hint(split, SPLITS)}")
        refusal = self.refusal(length)
        if refusal:
            raise InputError(f"windows of {length:,} bases: {refusal}")
        classes = self.classes(length)
        # Three draws a window: species, part, start. Each is a function of (seed, split, i) alone, so window i is the
        # same however many are drawn, and a smaller study reads a beginning of the larger one's windows.
        fractions = [self._fractions(split, draw, count) for draw in range(3)]
        labels = (fractions[0] * len(classes)).astype(np.int64)
        rows = np.zeros((count, 3), np.int64)
        for label, name in enumerate(classes):
            starts = self._starts(self.corpus.species.index(name), length, split)
            for row in np.flatnonzero(labels == label):
                rows[row] = _place(starts, float(fractions[1][row]), float(fractions[2][row]), length)
        return Windows(length, classes, labels, rows[:, 0], rows[:, 1], rows[:, 2])

    def _fractions(self, split: str, draw: int, count: int) -> np.ndarray:
        key = draw_key(self.seed, _STREAM + 3 * SPLITS.index(split) + draw)
        return as_fraction(draw_bits(key, np.arange(count)))

    def _starts(self, species: int, length: int, split: str) -> list[tuple[Part, Starts]]:
        """Parts that windows of a species are drawn from, each with where they may start."""
        found = []
        for part in self.parts[split]:
            if part.species != species or part.length < self.need(length):
                continue
            window, edge = min(length, part.length), self.corpus.packed.contig_edges[part.contig]
            span = np.array([[part.start, part.end]]) + edge
            starts = eligible_starts(span, self.corpus.packed.n_runs, window, int(MAX_N_FRACTION * window))
            if len(starts):
                found.append((part, starts - edge))
        if not found:
            raise InputError(
                f"windows of {length:,} bases: those of {self.corpus.species[species]} in {split} are mostly N"
            )
        return found

    def _reduced(self, parts: Sequence[Part]) -> list[Part]:
        """The longest contigs, each cut to what its windows need, until there are `max_bases`."""
        if self.max_bases is None:
            return list(parts)
        length = self._served(parts)
        # Long contigs are cut to a little more than the longest window they serve: many short pieces of a genome vary
        # more than one long piece of the same bases.
        most = max(round(CONTIG_WINDOWS * length), self.max_bases // MOST_CONTIGS)
        long = sum(part.length >= self.need(length) for part in parts)
        if self.rule == "contigs" and long < len(SPLITS):  # of a lone contig each split gets arms
            most = max(self.max_bases, round(len(SPLITS) * ARM_WINDOWS * self.need(length)))
        cut = sorted((_cut(part, most) for part in parts), key=lambda part: -part.length)
        if self.rule == "chromosomes":
            return cut
        before = np.cumsum([0, *(part.length for part in cut)])
        return [part for rank, part in enumerate(cut) if before[rank] < self.max_bases or rank < FEWEST_CONTIGS]

    def _served(self, parts: Sequence[Part]) -> int:
        """Longest of the shared lengths that the contigs of a species have room for; 0 where none has."""
        room = _room([part.length for part in parts])
        return next((length for length in self._shared_lengths if room >= self.need(length)), 0)

    def independent(self, length: int, split: str) -> int:
        """Windows of `length` that fit side by side into the parts of a split, over all its classes."""
        species = {self.corpus.species.index(name) for name in self.classes(length)}
        need = self.need(length)
        return sum(part.length // need for part in self.parts[split] if part.species in species)

    def _by_contig(self, parts: list[Part], species: int) -> dict[str, list[Part]]:
        random = np.random.default_rng([self.seed, species])
        need = self.need(self._served(self._contigs[species]))
        long = [part for part in parts if part.length >= need]
        if len(long) >= len(SPLITS):
            order = [long[place] for place in random.permutation(len(long))]
            split = {name: [part] for name, part in zip(SPLITS, order)}
        else:
            # Plasmids beside a lone chromosome would be drawn as often as its arms.
            return _arms(max(parts, key=lambda part: part.length), need, random)
        taken = {part.contig for given in split.values() for part in given}
        rest = [part for part in parts if part.contig not in taken]
        held = {name: sum(part.length for part in split[name]) for name in SPLITS}
        for place in random.permutation(len(rest)):
            # To the split that is farthest below its share of the bases.
            name = min(SPLITS, key=lambda one: held[one] / SHARES[one])
            split[name].append(rest[place])
            held[name] += rest[place].length
        return split

    def _by_chromosome(self, parts: list[Part]) -> dict[str, list[Part]]:
        """Parts whose contigs have a chromosome, by its number; unplaced contigs are left out."""
        split: dict[str, list[Part]] = {name: [] for name in SPLITS}
        for part in parts:
            key = (self.corpus.species[part.species], self.corpus.packed.contig_names[part.contig])
            number = (self.chromosomes or {}).get(key)
            if number is not None:
                name = "dev" if number in DEV_CHROMOSOMES else "test" if number in TEST_CHROMOSOMES else "train"
                split[name].append(part)
        return split


def _place(
    starts: Sequence[tuple[Part, Starts]], part_fraction: float, start_fraction: float, length: int
) -> tuple[int, int, int]:
    """Contig, start and end of the window that two draws in [0, 1) stand for."""
    part, intervals = starts[int(part_fraction * len(starts))]
    # Starts are intervals, since windows that are mostly N are left out. A rank among all admitted starts is drawn
    # and found by the running total, so that each of them is equally likely.
    sizes = intervals[:, 1] - intervals[:, 0]
    rank = int(start_fraction * int(sizes.sum()))
    interval = int(np.searchsorted(np.cumsum(sizes), rank, "right"))
    start = int(intervals[interval, 0]) + rank - int(sizes[:interval].sum())
    return part.contig, start, min(start + length, part.end)


def _cut(part: Part, most: int) -> Part:
    """At most so many bases of the part, from a quarter on: neither the end of a chromosome nor mostly its middle."""
    start = part.start + max(0, part.length - most) // 4
    return replace(part, start=start, end=min(part.end, start + most))


def _arms(part: Part, need: int, random: np.random.Generator) -> dict[str, list[Part]]:
    """The part cut into equal arms, three to ten as its size allows, which the seed deals out to the splits."""
    room = int(part.length // max(1, ARM_WINDOWS * need))
    number = max(len(SPLITS), min(MOST_ARMS, room))
    edges = part.start + np.linspace(0, part.length, number + 1).astype(int)
    arms = [replace(part, start=int(edges[i]), end=int(edges[i + 1])) for i in random.permutation(number)]
    held = max(1, round(HELD_OUT_SHARE * number))
    return {"test": arms[:held], "dev": arms[held : 2 * held], "train": arms[2 * held :]}


def _room(sizes: Sequence[int]) -> int:
    """Bases of the longest window that three contigs of these sizes, or three arms of one, each have room for."""
    ordered = sorted(sizes, reverse=True)
    third = ordered[len(SPLITS) - 1] if len(ordered) >= len(SPLITS) else 0
    return max(third, ordered[0] // len(SPLITS))
