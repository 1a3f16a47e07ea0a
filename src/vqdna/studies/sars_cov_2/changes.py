"""Where the codes of genomes differ from those of the reference, place by place.

Flow: GenomeCodes with the reference as its first row + alignments -> for each genome the reference positions whose
codes changed, with the codes there -> matrices over chosen positions. Only for codes on a grid: words of varying
length have no place to compare. A position behind a lost base whose frame no longer fits the grid counts as changed,
as it is. It must not know variants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from vqdna.studies.sars_cov_2.genome_codes import GenomeCodes
from vqdna.studies.sars_cov_2.genomes import VariantGenome

UNKNOWN, LOST = -1, -2


@dataclass(frozen=True, eq=False)
class CodeChanges:
    """Codes of genomes along the reference.

    Attributes:
        reference: codes of the reference, [position, level].
        stride: bases from one position to the next.
        reach: bases around a position that its codes depend on.
        positions: for each genome, the reference positions at which some level differs or nothing is known.
        codes: for each genome, its codes there; -1 where nothing is known, -2 where the base is lost.
    """

    reference: Int[np.ndarray, "position level"]
    stride: int
    reach: int
    positions: list[Int[np.ndarray, "_"]]
    codes: list[Int[np.ndarray, "_ level"]]

    def __len__(self) -> int:
        return len(self.positions)

    def flips(self, genome: int) -> Bool[np.ndarray, "position level"]:
        """Levels that differ at each position; where nothing is known, none does."""
        flips = np.zeros(self.reference.shape, bool)
        at = self.positions[genome]
        flips[at] = (self.codes[genome] != self.reference[at]) & (self.codes[genome] != UNKNOWN)
        return flips

    def of(self, genomes: Sequence[int], *, with_reference: bool = False) -> CodeChanges:
        """The same of some genomes, behind the reference where asked for, which has no changes."""
        none = [np.zeros(0, np.int64)], [np.zeros((0, self.reference.shape[1]), np.int64)]
        positions, codes = none if with_reference else ([], [])
        return replace(
            self,
            positions=[*positions, *(self.positions[i] for i in genomes)],
            codes=[*codes, *(self.codes[i] for i in genomes)],
        )

    @cached_property
    def counts(self) -> Int[np.ndarray, "position level"]:
        """Number of genomes whose code differs from the reference's."""
        counts = np.zeros(self.reference.shape, np.int64)
        for genome in range(len(self)):
            counts += self.flips(genome)
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


def code_changes(codes: GenomeCodes, genomes: Sequence[VariantGenome]) -> CodeChanges:
    """Changes of each genome; row 0 of the codes is the reference, row i + 1 genome i."""
    reference = codes.codes(0).astype(np.int64)
    stride = codes.stride
    reach = max(codes.tokenizer.context_bases, codes.tokenizer.max_span - 1)
    found = [_changes(reference, codes.codes(row + 1), genome, stride, reach) for row, genome in enumerate(genomes)]
    return CodeChanges(reference, stride, reach, [at for at, _ in found], [held for _, held in found])


def _changes(
    reference: Int[np.ndarray, "position level"],
    codes: Int[np.ndarray, "own_position level"],
    genome: VariantGenome,
    stride: int,
    reach: int,
) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_ level"]]:
    # A position is compared through the alignment: where its first base lies in the genome, and the code over it there.
    own = genome.alignment.places[np.arange(len(reference)) * stride]
    position = np.minimum(own // stride, len(codes) - 1)
    laid = codes[position].astype(np.int64)
    laid[own < 0] = LOST
    laid[(own // stride >= len(codes)) | _touched(genome, len(reference), stride, reach)] = UNKNOWN
    changed = np.flatnonzero((laid != reference).any(axis=1))
    return changed, laid[changed]


def _touched(genome: VariantGenome, num_positions: int, stride: int, reach: int) -> Bool[np.ndarray, "position"]:
    """Positions whose codes look at a base of which the genome tells nothing."""
    unknown = np.zeros(num_positions * stride + stride, np.int64)
    unknown[genome.unknown_places] = 1
    total = np.concatenate([[0], np.cumsum(unknown)])
    starts = np.arange(num_positions) * stride
    first = np.maximum(starts - reach, 0)
    last = np.minimum(starts + stride + reach, len(unknown))
    touched: Bool[np.ndarray, "position"] = total[last] > total[first]
    return touched
