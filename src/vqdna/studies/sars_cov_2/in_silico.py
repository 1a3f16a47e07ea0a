"""In-silico mutations of the reference: what each level sees of them, and how codes change around one.

Flow: reference + kind of mutation -> substitutions far enough apart to share a genome -> codes with and without ->
seen by level, code changes by distance (the footprint). Controls of the hypothesis on mutations, and what sites are
read by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vqdna.genome import BASES
from vqdna.studies.sars_cov_2.alignment import Mutation
from vqdna.studies.sars_cov_2.changes import PositionGrid
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes
from vqdna.studies.sars_cov_2.knowledge import Effect, Knowledge
from vqdna.tokenizers import Tokenizer

ENDS = 200
"""Bases at either end of the reference that stay as they are."""


@dataclass(frozen=True, eq=False)
class InSilico:
    """Substitutions and the codes they change.

    Attributes:
        mutations: each by itself, as far as its codes can tell.
        stride: bases from one position to the next.
        changes: whether the code changes, by mutation, distance in positions from its own, and level.
    """

    mutations: tuple[Mutation, ...]
    stride: int
    changes: Bool[np.ndarray, "mutation distance level"]

    @property
    def seen(self) -> Bool[np.ndarray, "mutation level"]:
        """Whether any code of a level changes."""
        return np.asarray(self.changes.any(axis=1))

    def footprint(self) -> Float[np.ndarray, "phase distance level"]:
        """Share of code changes at each distance, by the mutation's place in its span; never quite 0 or 1."""
        phases = np.array([mutation.position % self.stride for mutation in self.mutations])
        held = [self.changes[phases == phase] for phase in range(self.stride)]
        return np.stack([(changes.sum(axis=0) + 0.02) / (len(changes) + 0.04) for changes in held])


def draw_substitutions(
    knowledge: Knowledge, effects: Sequence[Effect] | None, count: int, random: np.random.Generator
) -> list[Mutation]:
    """Up to `count` random substitutions of the reference with one of the effects; None takes any."""
    reference = knowledge.reference
    chosen: list[Mutation] = []
    ends = min(ENDS, len(reference) // 4)
    for place in random.permutation(np.arange(ends, len(reference) - ends)).tolist():
        base = BASES[(int(reference[place]) + int(random.integers(1, 4))) % 4]
        mutation = Mutation(place, BASES[reference[place]], base)
        if effects is None or knowledge.effect(mutation) in effects:
            chosen.append(mutation)
        if len(chosen) == count:
            break
    return sorted(chosen)


def mutate(tokenizer: Tokenizer, reference: UInt8[np.ndarray, "base"], mutations: Sequence[Mutation]) -> InSilico:
    """What codes make of each mutation, ascending, by itself; those out of each other's reach share a genome."""
    grid = PositionGrid.of(tokenizer)
    reach = grid.positions(grid.reach) + 1
    places = np.array([mutation.position for mutation in mutations])
    apart, every = 2 * (reach + 1) * grid.stride, 1
    while (places[every:] - places[:-every] <= apart).any():
        every += 1
    groups = [range(first, len(mutations), every) for first in range(every)]
    genomes = [reference, *(_mutated(reference, [mutations[i] for i in held]) for held in groups)]
    codes = encode_genomes(tokenizer, genomes)
    before = codes.codes(0)
    changes = np.zeros((len(mutations), 2 * reach + 1, before.shape[1]), bool)
    for number, held in enumerate(groups, 1):
        changed = codes.codes(number) != before
        for i in held:
            at = mutations[i].position // grid.stride + np.arange(-reach, reach + 1)
            inside = (at >= 0) & (at < len(changed))
            changes[i, inside] = changed[at[inside]]
    return InSilico(tuple(mutations), grid.stride, changes)


def _mutated(reference: UInt8[np.ndarray, "base"], mutations: Sequence[Mutation]) -> UInt8[np.ndarray, "base"]:
    changed = reference.copy()
    for mutation in mutations:
        changed[mutation.position] = BASES.index(mutation.base)
    return changed
