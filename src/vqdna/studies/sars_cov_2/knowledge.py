"""What is known of a virus before its genomes are read: genes, main lineages with their mutations, and their tree.

Flow: YAML -> Knowledge; a Pango lineage -> its path from the root, aliases written out -> main lineage; mutation ->
gene and effect on the protein. It must not know genomes under study, nor codes. Paper: section 6 (nine lineages).
"""

from __future__ import annotations

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


class Lineage(StrictModel):
    """A main lineage: its name, its Pango lineage, whose descendants belong to it, and its mutations."""

    name: str
    pango: str = Field(alias="lineage")
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
    name: str
    num_bases: int = Field(ge=1)
    genes: tuple[Gene, ...] = ()
    aliases: dict[str, str] = Field(default_factory=dict)
    lineages: tuple[Lineage, ...] = Field(min_length=2, alias="variants")


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What the file says of lineages and genes on one reference, the genome that places count on."""

    file: KnowledgeFile
    reference: UInt8[np.ndarray, "base"]

    @cached_property
    def mutations(self) -> dict[str, frozenset[Mutation]]:
        """Known mutations of each main lineage against the reference."""
        return {one.name: frozenset(map(parse_mutation, one.mutations.split())) for one in self.file.lineages}

    @cached_property
    def defining(self) -> frozenset[Mutation]:
        """Mutations that some lineage has and not all have: they tell lineages apart."""
        held = list(self.mutations.values())
        return frozenset.union(*held) - frozenset.intersection(*held)

    @cached_property
    def _letters(self) -> str:
        return from_base_ids(self.reference)

    def path(self, pango: str) -> tuple[str, ...]:
        """Steps from the root to a Pango lineage, aliases written out: `P.1` is `B 1 1 28 1`."""
        head, *rest = pango.strip().split(".")
        seen = {head}
        while head in self.file.aliases:
            head, *longer = self.file.aliases[head].split(".")
            rest = [*longer, *rest]
            if head in seen:
                break
            seen.add(head)
        return (head, *rest)

    @cached_property
    def paths(self) -> dict[str, tuple[str, ...]]:
        return {one.name: self.path(one.pango) for one in self.file.lineages}

    def lineage_of(self, label: str) -> str | None:
        """Main lineage that a label names, by its name or by a Pango lineage in it; None where it is none of them."""
        word, path = label.strip(), self.path(label)
        of_that_name = [name for name in self.paths if name.casefold() == word.casefold()]
        above = [name for name, root in self.paths.items() if path[: len(root)] == root]
        return next(iter([*of_that_name, *above]), None)

    def genes_at(self, position: int) -> list[Gene]:
        """Genes over a base, counted from 0."""
        return [gene for gene in self.file.genes if gene.start <= position + 1 <= gene.end]

    def effect(self, mutation: Mutation) -> Effect:
        """What a mutation does to the proteins; where genes overlap, the gravest effect on any of them.

        A stop codon gained or lost is "nonsense".
        """
        if mutation.is_deletion:
            return "deletion"
        changes = [(before, after) for _, _, before, after in self._codons(mutation)]
        if not changes:
            return "outside genes"
        if any((before == "*") != (after == "*") for before, after in changes):
            return "nonsense"
        return "missense" if any(before != after for before, after in changes) else "synonymous"

    def change(self, mutation: Mutation) -> str:
        """The change of the protein as the field writes it, such as `S:N501Y`; empty where there is none."""
        for gene, codon, before, after in self._codons(mutation):
            if mutation.is_deletion:
                return f"{gene}:del{codon}"
            if before != after:
                return f"{gene}:{before}{codon}{after}"
        return ""

    def _codons(self, mutation: Mutation) -> list[tuple[str, int, str, str]]:
        """Of each gene over the base: its name, number of the codon, and amino acid before and after.

        The amino acid is X where the codon holds an N or is cut off.
        """
        found = []
        for gene in self.genes_at(mutation.position):
            codon, place = divmod(mutation.position + 1 - gene.start, 3)
            first = mutation.position - place
            letters = self._letters[first : first + 3]
            changed = letters[:place] + mutation.base + letters[place + 1 :]
            found.append((gene.name, codon + 1, CODONS.get(letters, "X"), CODONS.get(changed, "X")))
        return found


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
    knowledge, letters = Knowledge(known, reference), from_base_ids(reference)
    for lineage, mutations in knowledge.mutations.items():
        for mutation in sorted(mutations):
            if letters[mutation.position : mutation.position + 1] != mutation.reference:
                raise InputError(f"{file}: {lineage}: '{mutation}' is not on this reference; give the one it is for")
    return knowledge
