"""What is known of a virus: lineages, genes, effects; the built-in file against the textbook."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from vqdna.config import read_yaml, validate
from vqdna.errors import InputError
from vqdna.genome import to_base_ids
from vqdna.studies.sars_cov_2.alignment import Mutation, parse_mutation
from vqdna.studies.sars_cov_2.knowledge import SARS_COV_2, Knowledge, KnowledgeFile, read_knowledge

POSTER = ("Alpha", "Beta", "Delta", "Eta", "Gamma", "Iota", "Kappa", "Lambda", "Zeta")


@pytest.fixture(scope="module")
def sars_cov_2():
    file = validate(KnowledgeFile, read_yaml(SARS_COV_2), "")
    return Knowledge(file, np.zeros(file.num_bases, np.uint8))


def small(letters, genes, aliases=None):
    lineages = [{"name": "One", "lineage": "A.1", "mutations": ""}, {"name": "Two", "lineage": "A.2", "mutations": ""}]
    values = {"name": "x", "num_bases": len(letters), "genes": genes, "aliases": aliases or {}, "variants": lineages}
    return Knowledge(validate(KnowledgeFile, values, ""), to_base_ids(letters).base_ids)


def test_the_nine_lineages_are_those_of_the_poster(sars_cov_2):
    assert tuple(sars_cov_2.mutations) == POSTER


@pytest.mark.parametrize(
    ("label", "lineage"),
    [("Alpha", "Alpha"), ("alpha", "Alpha"), ("B.1.1.7", "Alpha"), ("Q.4", "Alpha"), ("AY.4.2", "Delta"),
     ("B.1.617.2", "Delta"), ("P.1.14", "Gamma"), ("B.1.1.28.1", "Gamma"), ("C.37.1", "Lambda"),
     ("B.1.617.3", None), ("B.1.1.529", None), ("B.1.1", None), ("B.1.1.70", None), ("", None)],
)  # fmt: skip
def test_a_label_is_a_lineage_one_below_it_or_none(sars_cov_2, label, lineage):
    assert sars_cov_2.lineage_of(label) == lineage


def test_hallmarks_of_the_lineages_are_among_their_mutations(sars_cov_2):
    hallmarks = {"Alpha": "A23063T", "Beta": "A22206G", "Delta": "C22995A", "Eta": "G23593C", "Gamma": "A22812C",
                 "Iota": "A22320G", "Kappa": "G23012C", "Lambda": "T23031C", "Zeta": "G23012A"}  # fmt: skip
    for lineage, hallmark in hallmarks.items():
        assert parse_mutation(hallmark) in sars_cov_2.mutations[lineage]


def test_what_all_have_defines_none(sars_cov_2):
    everywhere = parse_mutation("A23403G")
    assert all(everywhere in held for held in sars_cov_2.mutations.values())
    assert everywhere not in sars_cov_2.defining


def test_aliases_are_written_out_however_deep():
    known = small("ACGT", [], {"C": "B.1.1.1", "D": "C.5"})
    assert known.path("D.2") == ("B", "1", "1", "1", "5", "2")


def test_aliases_that_name_each_other_end():
    assert small("ACGT", [], {"C": "D.1", "D": "C.1"}).path("C.2")[-1] == "2"


@pytest.mark.parametrize(
    ("mutation", "effect", "change"),
    [
        ("T8C", "synonymous", ""),  # GCT -> GCC, alanine both
        ("C7A", "missense", "P:A2D"),  # GCT -> GAT
        ("A10T", "nonsense", "P:K3*"),  # AAA -> TAA
        ("T1A", "outside genes", ""),
        ("G6-", "deletion", "P:del2"),
    ],
)
def test_effects_are_those_of_the_genetic_code(mutation, effect, change):
    """tt | ATG GCT AAA GGG | t, the gene from base 3 to 14."""
    known = small("TTATGGCTAAAGGGT", [{"name": "P", "start": 3, "end": 14}])
    shifted = {"T8C": Mutation(7, "T", "C"), "C7A": Mutation(6, "C", "A"), "A10T": Mutation(8, "A", "T")}
    found = shifted.get(mutation, parse_mutation(mutation))
    assert known.effect(found) == effect
    assert known.change(found) == change


def test_the_gravest_effect_counts_where_genes_overlap():
    """Base 6 is the third of GCT in one frame and the first of TAA in another."""
    known = small("ATGGCTAAAGGG", [{"name": "P", "start": 1, "end": 12}, {"name": "Q", "start": 6, "end": 11}])
    assert known.effect(Mutation(5, "T", "C")) == "nonsense"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_bases": 5}, "the reference has 3000 bases.*written for"),
        ({"variants": []}, "variants"),
        ({"genez": []}, "genez"),
        ({"variants": [{"name": "One", "lineage": "A", "mutations": "", "mutation": ""}] * 2}, "mean 'mutations'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(folder, knowledge, tmp_path, change, message):
    values = {**yaml.safe_load((folder / "knowledge.yaml").read_text()), **change}
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(values))
    with pytest.raises(InputError, match=message):
        read_knowledge(knowledge.reference, tmp_path / "other.yaml")


def test_mutations_of_another_reference_are_refused(folder, knowledge):
    other = (knowledge.reference + 1) % 4
    with pytest.raises(InputError, match="not on this reference"):
        read_knowledge(other.astype(np.uint8), folder / "knowledge.yaml")
