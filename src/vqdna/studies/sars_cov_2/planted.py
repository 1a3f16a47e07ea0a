"""Single substitutions planted in the reference: what each level sees of them, and how codes change around one.

Flow: reference + kind of mutation -> substitutions far enough apart to be planted together -> codes with and without ->
seen by level, flips by distance (the footprint). The controls of the claim on mutations, and what sites are read by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from vqdna.genome import BASES
from vqdna.studies.sars_cov_2.alignment import Mutation
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes
from vqdna.studies.sars_cov_2.knowledge import Effect, Knowledge
from vqdna.tokenizers import Tokenizer

ENDS = 200
"""Bases at either end of the reference in which nothing is planted."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Substitutions and the codes they change.

    Attributes:
        mutations: planted one by one, as far as their codes can tell.
        stride: bases from one position to the next.
        reach: positions on either side of a mutation's own that are looked at.
        flips: whether the code changes, by mutation, distance in positions from -reach to reach, and level.
    """

    mutations: tuple[Mutation, ...]
    stride: int
    reach: int
    flips: Bool[np.ndarray, "mutation distance level"]

    @property
    def seen(self) -> Bool[np.ndarray, "mutation level"]:
        """Whether any code of a level changes."""
        seen: Bool[np.ndarray, "mutation level"] = np.asarray(self.flips.any(axis=1))
        return seen

    def footprint(self) -> Float[np.ndarray, "phase distance level"]:
        """Share of flips at each distance, by the mutation's place within its position's span; never quite 0 or 1."""
        phases = np.array([mutation.position % self.stride for mutation in self.mutations])
        shares = []
        for phase in range(self.stride):
            held = self.flips[phases == phase]
            shares.append((held.sum(axis=0) + 0.02) / (len(held) + 0.04))
        return np.stack(shares)


def draw_substitutions(
    knowledge: Knowledge, effects: Sequence[Effect] | None, count: int, random: np.random.Generator
) -> list[Mutation]:
    """Up to `count` random substitutions of the reference with one of the effects; None takes any."""
    reference = knowledge.reference
    chosen: dict[int, Mutation] = {}
    places = random.permutation(
        np.arange(min(ENDS, len(reference) // 4), len(reference) - min(ENDS, len(reference) // 4))
    )
    for place in places.tolist():
        base = BASES[(int(reference[place]) + int(random.integers(1, 4))) % 4]
        mutation = Mutation(place, BASES[reference[place]], base)
        if effects is None or knowledge.effect(mutation) in effects:
            chosen[place] = mutation
        if len(chosen) == count:
            break
    return sorted(chosen.values())


def plant(tokenizer: Tokenizer, reference: UInt8[np.ndarray, "base"], mutations: Sequence[Mutation]) -> Planted:
    """What codes make of each mutation by itself; those out of each other's reach share a genome."""
    stride = max(1, round(tokenizer.bases_per_position))
    reach = -(-max(tokenizer.context_bases, tokenizer.max_span - 1) // stride) + 1
    rounds = _apart(mutations, 2 * (reach + 1) * stride)
    genomes = [reference, *(_mutated(reference, [mutations[i] for i in held]) for held in rounds)]
    codes = encode_genomes(tokenizer, genomes)
    before = codes.codes(0)
    flips = np.zeros((len(mutations), 2 * reach + 1, before.shape[1]), bool)
    for number, held in enumerate(rounds, 1):
        changed = codes.codes(number) != before
        for i in held:
            at = mutations[i].position // stride + np.arange(-reach, reach + 1)
            inside = (at >= 0) & (at < len(changed))
            flips[i, inside] = changed[at[inside]]
    return Planted(tuple(mutations), stride, reach, flips)


def _apart(mutations: Sequence[Mutation], distance: int) -> list[list[int]]:
    """Numbers of the mutations in as many groups as it takes to keep those of a group apart."""
    groups: list[list[int]] = []
    for i in sorted(range(len(mutations)), key=lambda i: mutations[i].position):
        fitting = (g for g in groups if mutations[i].position - mutations[g[-1]].position > distance)
        group = next(fitting, None)
        if group is None:
            groups.append([i])
        else:
            group.append(i)
    return groups


def _mutated(reference: UInt8[np.ndarray, "base"], mutations: Sequence[Mutation]) -> UInt8[np.ndarray, "base"]:
    changed = reference.copy()
    places: Int[np.ndarray, "_"] = np.array([mutation.position for mutation in mutations], np.int64)
    changed[places] = [BASES.index(mutation.base) for mutation in mutations]
    return changed
