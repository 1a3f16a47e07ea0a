"""Where the codes of genomes differ from those of the reference, place by place.

Flow: GenomeCodes with the reference as its first row + alignments -> for each genome the reference positions whose
codes changed, with the codes there -> matrices over chosen positions. Only for codes on a grid: tokens of varying
length have no place to compare. A position behind a lost base whose frame no longer fits the grid counts as changed,
as it is. It must not know lineages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes
from vqdna.studies.sars_cov_2.genomes import LineageGenome
from vqdna.tokenizers import Tokenizer

UNKNOWN, LOST = -1, -2


@dataclass(frozen=True)
class PositionGrid:
    """How a tokenizer's positions lie on the bases.

    Attributes:
        stride: bases from one position to the next, at least about.
        reach: bases around a position that its codes depend on.
    """

    stride: int
    reach: int

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> PositionGrid:
        return cls(max(1, round(tokenizer.bases_per_position)), max(tokenizer.context_bases, tokenizer.max_span - 1))

    def positions(self, bases: int) -> int:
        """Positions that it takes to cover so many bases."""
        return -(-bases // self.stride)


@dataclass(frozen=True, eq=False)
class CodeChanges:
    """Codes of genomes along the reference.

    Attributes:
        reference: codes of the reference.
        positions: for each genome, the reference positions at which some level differs or nothing is known.
        codes: for each genome, its codes there; -1 where nothing is known, -2 where the base is lost.
    """

    reference: Int[np.ndarray, "position level"]
    grid: PositionGrid
    genomes: list[LineageGenome]
    positions: list[Int[np.ndarray, "_"]]
    codes: list[Int[np.ndarray, "_ level"]]

    def __len__(self) -> int:
        return len(self.positions)

    def of_genome(self, genome: int) -> Bool[np.ndarray, "position level"]:
        """Levels whose code changed at each position; where nothing is known, none did."""
        changed = np.zeros(self.reference.shape, bool)
        at = self.positions[genome]
        changed[at] = (self.codes[genome] != self.reference[at]) & (self.codes[genome] != UNKNOWN)
        return changed

    def of(self, genomes: Sequence[int]) -> CodeChanges:
        positions, codes = ([held[i] for i in genomes] for held in (self.positions, self.codes))
        return CodeChanges(self.reference, self.grid, [self.genomes[i] for i in genomes], positions, codes)

    @cached_property
    def counts(self) -> Int[np.ndarray, "position level"]:
        counts = np.zeros(self.reference.shape, np.int64)
        for genome in range(len(self)):
            counts += self.of_genome(genome)
        return counts

    def at(self, positions: Int[np.ndarray, "chosen"], level: int) -> Int[np.ndarray, "genome chosen"]:
        """Codes of every genome at the positions, of one level; -1 where nothing is known, -2 where it is lost."""
        table = np.tile(self.reference[positions, level], (len(self), 1))
        column = np.full(len(self.reference), UNKNOWN, np.int64)
        column[positions] = np.arange(len(positions))
        for genome, (at, codes) in enumerate(zip(self.positions, self.codes)):
            place = column[at]
            table[genome, place[place >= 0]] = codes[place >= 0, level]
        return table


def code_changes(codes: GenomeCodes, genomes: Sequence[LineageGenome]) -> CodeChanges:
    """Changes of each genome; row 0 of the codes is the reference, row i + 1 genome i."""
    reference, grid = codes.codes(0).astype(np.int64), PositionGrid.of(codes.tokenizer)
    changes = CodeChanges(reference, grid, list(genomes), [], [])
    for row, genome in enumerate(genomes, 1):
        held = codes.codes(row)
        # A position is compared through the alignment: where its first base lies in the genome, and the code over it.
        own = genome.alignment.places[np.arange(len(reference)) * grid.stride]
        laid = held[np.minimum(own // grid.stride, len(held) - 1)].astype(np.int64)
        laid[own < 0] = LOST
        laid[(own // grid.stride >= len(held)) | _looks_at_unknown(genome, len(reference), grid)] = UNKNOWN
        changed = np.flatnonzero((laid != reference).any(axis=1))
        changes.positions.append(changed)
        changes.codes.append(laid[changed])
    return changes


def _looks_at_unknown(genome: LineageGenome, num_positions: int, grid: PositionGrid) -> Bool[np.ndarray, "position"]:
    """Positions whose codes look at a base of which the genome tells nothing."""
    unknown = np.zeros((num_positions + 1) * grid.stride, np.int64)
    unknown[genome.unknown_places] = 1
    total = np.concatenate([[0], np.cumsum(unknown)])
    starts = np.arange(num_positions) * grid.stride
    first = np.maximum(starts - grid.reach, 0)
    last = np.minimum(starts + grid.stride + grid.reach, len(unknown))
    return np.asarray(total[last] > total[first])
