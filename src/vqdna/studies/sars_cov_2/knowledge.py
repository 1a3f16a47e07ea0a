"""What is known of a virus before its genomes are read: genes, variants with their lineages, mutations, and the tree.

Flow: YAML -> Knowledge; a lineage's name -> its path from the root, aliases written out -> variant; mutation -> gene
and effect on the protein. It must not know genomes under study, nor codes. Paper: section 6 (the nine variants).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field, field_validator

from vqdna.config import StrictModel, read_yaml, validate
from vqdna.errors import InputError
from vqdna.genome import from_base_ids
from vqdna.studies.sars_cov_2.alignment import Mutation, parse_mutation

SARS_COV_2 = Path(__file__).parent / "sars_cov_2.yaml"
AMINO_ACIDS = "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"
"""Amino acid of each codon, codons in the order AAA, AAC, AAG, AAT, ACA, ... TTT."""

CODONS = {"".join(codon): amino_acid for codon, amino_acid in zip(product("ACGT", repeat=3), AMINO_ACIDS)}
Effect = Literal["synonymous", "missense", "nonsense", "outside genes", "deletion"]


class Gene(StrictModel):
    """A reading frame; first and last base counted from 1, both inside."""

    name: str
    start: int = Field(ge=1)
    end: int

    def holds(self, position: int) -> bool:
        """Whether the base, counted from 0, lies in it."""
        return self.start <= position + 1 <= self.end


class Variant(StrictModel):
    """A named variant: its lineage, whose descendants belong to it, and its mutations against the reference."""

    name: str
    lineage: str
    mutations: str

    @field_validator("mutations")
    @classmethod
    def _are_mutations(cls, text: str) -> str:
        try:
            for word in text.split():
                parse_mutation(word)
        except InputError as error:
            raise ValueError(str(error)) from None
        return text


class KnowledgeFile(StrictModel):
    """The file as it is written."""

    name: str
    num_bases: int = Field(ge=1)
    genes: tuple[Gene, ...] = ()
    aliases: dict[str, str] = Field(default_factory=dict)
    variants: tuple[Variant, ...] = Field(min_length=2)


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Genes, variants and their tree on one reference.

    Attributes:
        file: what the file says.
        reference: the genome that places count on.
    """

    file: KnowledgeFile
    reference: UInt8[np.ndarray, "base"]

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Variants in the order of the file, which numbers the classes."""
        return tuple(variant.name for variant in self.file.variants)

    @cached_property
    def mutations(self) -> dict[str, frozenset[Mutation]]:
        """Known mutations of each variant against the reference."""
        return {v.name: frozenset(map(parse_mutation, v.mutations.split())) for v in self.file.variants}

    @cached_property
    def defining(self) -> frozenset[Mutation]:
        """Mutations that some variant has and not all have: they tell variants apart."""
        held = list(self.mutations.values())
        return frozenset.union(*held) - frozenset.intersection(*held)

    @cached_property
    def _letters(self) -> str:
        return from_base_ids(self.reference)

    def path(self, lineage: str) -> tuple[str, ...]:
        """Steps from the root to a lineage, aliases written out: `P.1` is `B 1 1 28 1`."""
        head, *rest = lineage.strip().split(".")
        seen = {head}
        while head in self.file.aliases:
            head, *longer = self.file.aliases[head].split(".")
            rest = [*longer, *rest]
            if head in seen:
                break
            seen.add(head)
        return (head, *rest)

    def variant_of(self, label: str) -> str | None:
        """Variant that a label names, by its own name or by a lineage in it; None where it is none of them."""
        word = label.strip()
        for variant in self.file.variants:
            if word.casefold() == variant.name.casefold():
                return variant.name
        path = self.path(word)
        for variant in self.file.variants:
            root = self.path(variant.lineage)
            if path[: len(root)] == root:
                return variant.name
        return None

    def genes_at(self, position: int) -> list[Gene]:
        """Genes over a base, counted from 0."""
        return [gene for gene in self.file.genes if gene.holds(position)]

    def effect(self, mutation: Mutation) -> Effect:
        """What a mutation does to the proteins; where genes overlap, the gravest effect on any of them.

        A stop codon gained or lost is "nonsense".
        """
        genes = self.genes_at(mutation.position)
        if mutation.is_deletion:
            return "deletion"
        if not genes:
            return "outside genes"
        changes = [self._amino_acids(gene, mutation) for gene in genes]
        if any((before == "*") != (after == "*") for before, after in changes):
            return "nonsense"
        return "missense" if any(before != after for before, after in changes) else "synonymous"

    def change(self, mutation: Mutation) -> str:
        """The change of the protein as the field writes it, such as `S:N501Y`; empty where there is none."""
        for gene in self.genes_at(mutation.position):
            if mutation.is_deletion:
                return f"{gene.name}:del{(mutation.position + 1 - gene.start) // 3 + 1}"
            before, after = self._amino_acids(gene, mutation)
            if before != after:
                return f"{gene.name}:{before}{(mutation.position + 1 - gene.start) // 3 + 1}{after}"
        return ""

    def _amino_acids(self, gene: Gene, mutation: Mutation) -> tuple[str, str]:
        """Amino acid before and after; X where the codon holds an N or is cut off."""
        place = mutation.position + 1 - gene.start
        first = mutation.position - place % 3
        codon = self._letters[first : first + 3]
        changed = codon[: place % 3] + mutation.base + codon[place % 3 + 1 :]
        return CODONS.get(codon, "X"), CODONS.get(changed, "X")


def read_knowledge(reference: UInt8[np.ndarray, "base"], file: Path = SARS_COV_2) -> Knowledge:
    """What `file` says, on this reference.

    Raises:
        InputError: the file is at fault, or its places do not fit the reference.
    """
    known = validate(KnowledgeFile, read_yaml(file), str(file))
    if len(reference) != known.num_bases:
        raise InputError(
            f"the reference has {len(reference)} bases, and {file.name} is written for {known.name} of "
            f"{known.num_bases}; give that reference (--reference), or a file for yours (--knowledge)"
        )
    knowledge = Knowledge(known, reference)
    _check_mutations(knowledge, file)
    return knowledge


def variant_pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Every pair of names, in order."""
    return [(first, second) for place, first in enumerate(names) for second in names[place + 1 :]]


def _check_mutations(knowledge: Knowledge, file: Path) -> None:
    letters = from_base_ids(knowledge.reference)
    for variant, mutations in knowledge.mutations.items():
        for mutation in sorted(mutations):
            if not 0 <= mutation.position < len(letters) or letters[mutation.position] != mutation.reference:
                raise InputError(f"{file}: {variant}: '{mutation}' is not on this reference; give the one it is for")
