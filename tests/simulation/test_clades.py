"""Simulated clades: what is said of them holds for their bases."""

from __future__ import annotations

import numpy as np

from vqdna.genome import read_sequences
from vqdna.simulation.clades import PER_BRANCH, TREE, simulate_clades
from vqdna.studies.sars_cov_2.alignment import align, mutations_of


def test_the_mutations_said_are_the_differences_from_the_reference():
    clades = simulate_clades(1, num_bases=2000, genomes_per_variant=2)
    for genome in clades.genomes:
        found = mutations_of(clades.reference, genome.base_ids, align(clades.reference, genome.base_ids))
        assert frozenset(map(str, found)) == genome.mutations


def test_variants_share_the_mutations_of_the_branches_they_share():
    clades = simulate_clades(1)
    held = clades.defining
    assert len(held["Red"] & held["Rose"]) == PER_BRANCH
    assert len(held["Green"] & held["Jade"]) == 2 * PER_BRANCH
    assert len(held["Green"] & held["Blue"]) == PER_BRANCH
    assert held["Red"] & held["Gray"] == frozenset()
    assert all(clades.defining[genome.variant] <= genome.mutations for genome in clades.genomes)


def test_the_same_seed_gives_the_same_genomes_and_another_seed_others():
    first, again, other = (simulate_clades(seed, num_bases=1000, genomes_per_variant=1) for seed in (3, 3, 4))
    assert all((a.base_ids == b.base_ids).all() for a, b in zip(first.genomes, again.genomes))
    assert not np.array_equal(first.reference, other.reference)


def test_what_is_written_is_read_back(tmp_path):
    clades = simulate_clades(0, num_bases=1000, genomes_per_variant=2)
    clades.write(tmp_path)
    records = list(read_sequences(tmp_path / "genomes.fa"))
    assert [record.name for record in records] == [genome.name for genome in clades.genomes]
    assert all((record.base_ids == genome.base_ids).all() for record, genome in zip(records, clades.genomes))
    assert len((tmp_path / "labels.csv").read_text().splitlines()) == 1 + 2 * len(TREE)
