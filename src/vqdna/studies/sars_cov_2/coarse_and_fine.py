"""The paper's hypothesis put to the test: the coarse level follows lineages, the fine level follows mutations.

Flow: codes of genomes at the places where they differ -> bits each level shares with the lineage, over the bits it
has; with the presence of defining and of other mutations, over theirs -> in-silico mutations seen -> differences
between coarse and fine with bootstrap intervals -> a verdict by a rule (its margin was set late, see the guide). Paper:
section 6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix

from vqdna.studies.sars_cov_2.alignment import Mutation
from vqdna.studies.sars_cov_2.changes import LOST, CodeChanges
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.studies.sars_cov_2.in_silico import draw_substitutions, mutate
from vqdna.studies.sars_cov_2.knowledge import Effect, Knowledge
from vqdna.studies.sars_cov_2.results import CoarseAndFine, LevelFindings, ScoreInterval
from vqdna.studies.sars_cov_2.separation import INTERVAL, centered_interval
from vqdna.tokenizers import Tokenizer

LEAST_SHARE = 0.02
"""A place, or a mutation, counts where at least this share of the genomes differs there from the others."""

MARGIN = 0.05
"""A difference between levels counts from five of a hundred on; less follows from how many bases codes look at."""

NUM_RESAMPLES = 200
NUM_SHUFFLES = 5
EFFECTS: tuple[Effect, ...] = ("synonymous", "missense")
"""Of the in-silico mutations."""


class SiteTable(NamedTuple):
    """Varying places of one level: a column for each code at each, 1 where a genome has it, and the place's number."""

    held: csr_matrix
    site: Int[np.ndarray, "column"]


def lineage_information(
    table: SiteTable, labels: Int[np.ndarray, "genome"], weights: Float[np.ndarray, "draw genome"]
) -> Float[np.ndarray, "draw"]:
    """Bits that codes share with lineages over the bits they have, both summed over places; one value per draw."""
    if not len(table.site):
        return np.zeros(len(weights))
    per_site = csr_matrix((np.ones(len(table.site)), (table.site, np.arange(len(table.site)))))
    total = weights.sum(axis=1)
    codes = np.asarray(table.held.T @ weights.T)
    own = _entropies(codes, total, per_site)
    within = np.zeros_like(own)
    for label in np.unique(labels):
        members = labels == label
        held = np.asarray(table.held[members].T @ weights[:, members].T)
        count = weights[:, members].sum(axis=1)
        within += _entropies(held, count, per_site) * (count / total)
    return np.asarray(np.divide(own - within, own, out=np.zeros_like(own), where=own > 0), dtype=np.float64)


def site_table(changes: CodeChanges, level: int) -> SiteTable:
    """Codes at the places where at least a fiftieth of the genomes differs from the reference, and not all alike."""
    least = max(1, round(LEAST_SHARE * len(changes)))
    codes = changes.at(np.flatnonzero(changes.counts[:, level] >= least), level)
    most = [np.unique(at_place, return_counts=True)[1].max() for at_place in codes.T]
    codes = codes[:, np.array(most, int) <= len(codes) - least]
    # A number for each place and code, from the smallest on, LOST: the columns, place by place.
    width = int(codes.max(initial=0)) - LOST + 1
    keys = codes - LOST + width * np.arange(codes.shape[1])
    columns, inverse = np.unique(keys, return_inverse=True)
    ends = np.arange(len(codes) + 1) * codes.shape[1]
    held = csr_matrix((np.ones(keys.size), inverse.ravel(), ends), shape=(len(codes), len(columns)))
    return SiteTable(held, columns // width)


def mutation_information(
    changes: CodeChanges, mutations: Sequence[Mutation], level: int
) -> Float[np.ndarray, "mutation"]:
    """Share of the bits of a mutation's presence that the best place near it tells; one value for each mutation."""
    shares, grid = [], changes.grid
    reach = grid.positions(grid.reach) + 1
    for mutation in mutations:
        present = np.array([mutation in genome.mutations for genome in changes.genomes])
        own = mutation.position // grid.stride
        near = np.arange(max(0, own - reach), min(len(changes.reference), own + reach + 1))
        shared = [_shared_bits(codes, present) for codes in changes.at(near, level).T]
        shares.append(max(shared) / _bits(np.bincount(present, minlength=2)))
    return np.array(shares)


def frequent_mutations(genomes: Sequence[LineageGenome], knowledge: Knowledge) -> dict[str, list[Mutation]]:
    """Mutations that tell genomes apart, in two groups: the known defining ones, and synonymous ones beside them."""
    counts = Counter(mutation for genome in genomes for mutation in genome.mutations)
    least = max(1, round(LEAST_SHARE * len(genomes)))
    frequent = sorted(m for m, count in counts.items() if least <= count <= len(genomes) - least and not m.is_deletion)
    defining = [m for m in frequent if m in knowledge.defining]
    others = [m for m in frequent if m not in knowledge.defining and knowledge.effect(m) == "synonymous"]
    return {"defining": defining, "other synonymous": others}


def coarse_and_fine(
    tokenizer: Tokenizer, changes: CodeChanges, knowledge: Knowledge, num_in_silico: int, seed: int
) -> CoarseAndFine:
    """What each level knows of lineages and of mutations, coarse against fine, and the verdict.

    `changes` are those of test genomes; so many random substitutions of each effect are made in the reference.
    """
    genomes = changes.genomes
    names = sorted({genome.lineage for genome in genomes})
    labels = np.array([names.index(genome.lineage) for genome in genomes])
    random = np.random.default_rng([seed, 4])
    levels = range(changes.reference.shape[1])
    draws = random.multinomial(len(genomes), np.full(len(genomes), 1 / len(genomes)), NUM_RESAMPLES).astype(float)
    weights = np.concatenate([np.ones((1, len(genomes))), draws])
    shuffles = [random.permutation(labels) for _ in range(NUM_SHUFFLES)]
    tables = [site_table(changes, level) for level in levels]
    lineage = [lineage_information(table, labels, weights) for table in tables]
    chance = [
        float(np.mean([lineage_information(table, shuffled, weights[:1])[0] for shuffled in shuffles]))
        for table in tables
    ]
    groups = frequent_mutations(genomes, knowledge)
    made = {
        effect: mutate(tokenizer, knowledge.reference, draw_substitutions(knowledge, [effect], num_in_silico, random))
        for effect in EFFECTS
    }
    found = CoarseAndFine(
        levels=[
            LevelFindings(
                level=level,
                lineage_share=centered_interval(float(lineage[level][0]), lineage[level][1:]),
                lineage_share_by_chance=chance[level],
                num_places=len(np.unique(tables[level].site)),
                mutation_share={
                    group: _mean_interval(mutation_information(changes, held, level), random)
                    for group, held in groups.items()
                },
                in_silico_seen={effect: _mean_interval(held.seen[:, level], random) for effect, held in made.items()},
                changes_per_mutation={
                    effect: float(held.changes[:, :, level].sum(axis=1).mean()) for effect, held in made.items()
                },
            )
            for level in levels
        ],
        num_mutations={group: len(held) for group, held in groups.items()},
        num_in_silico={effect: len(held.mutations) for effect, held in made.items()},
    )
    if len(levels) < 2:
        return found
    # What shuffled lineages share with codes is chance, of which levels with more codes have more.
    differences = (lineage[0] - chance[0]) - (lineage[-1] - chance[-1])
    coarser = centered_interval(float(differences[0]), differences[1:])
    seen = np.concatenate([held.seen for held in made.values()]).astype(float)
    finer = _mean_interval(seen[:, -1] - seen[:, 0], random)
    rule = {
        "coarse_minus_fine_lineage": coarser,
        "fine_minus_coarse_seen": finer,
        "verdict": verdict(coarser, finer),
    }
    return found.model_copy(update=rule)


def verdict(lineage: ScoreInterval, mutations: ScoreInterval | None) -> str:
    """The rule: confirmed where coarse leads fine by `MARGIN` on lineages, and fine leads coarse by it on mutations.

    A lead counts where the whole 95 % interval is above the margin. One of the two leads alone is half confirmed.
    """
    halves = (lineage.low > MARGIN, mutations is not None and mutations.low > MARGIN)
    return "confirmed" if all(halves) else "half confirmed" if any(halves) else "refuted"


def _entropies(
    counts: Float[np.ndarray, "column draw"], total: Float[np.ndarray, "draw"], per_site: csr_matrix
) -> Float[np.ndarray, "draw"]:
    """Bits of the codes at each place, summed over places; a draw without genomes has none."""
    shares = counts / np.maximum(total, 1e-12)
    bits = -(shares * np.log2(np.where(shares > 0, shares, 1)))
    return np.asarray((per_site @ bits).sum(axis=0))


def _shared_bits(codes: Int[np.ndarray, "genome"], present: Bool[np.ndarray, "genome"]) -> float:
    values, inverse = np.unique(codes, return_inverse=True)
    joint = np.bincount(2 * inverse + present, minlength=2 * len(values)).reshape(-1, 2)
    return _bits(joint.sum(axis=0)) + _bits(joint.sum(axis=1)) - _bits(joint.ravel())


def _bits(counts: Float[np.ndarray, "_"] | Int[np.ndarray, "_"]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _mean_interval(
    values: Float[np.ndarray, "_"] | Bool[np.ndarray, "_"], random: np.random.Generator
) -> ScoreInterval | None:
    """Mean with a bootstrap interval; None without values."""
    if not len(values):
        return None
    drawn = values[random.integers(0, len(values), (NUM_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(drawn, INTERVAL)
    return ScoreInterval(value=float(values.mean()), low=float(low), high=float(high))
