from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import astuple

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome.bases import from_base_ids, reverse_complement
from vqdna.genome.corpus import Corpus, WindowSampler
from vqdna.genome.sequences import read_sequences
from vqdna.simulation.genomes import simulate_genomes, simulate_task, write_genomes
from vqdna.simulation.species_model import CAAT_BOX, NUM_CONTEXTS, SPACER, TATA_BOX, species_model
from vqdna.tasks.tables import write_labelled_csv

IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "S": "CG", "W": "AT"}


@pytest.fixture(scope="module")
def genomes():
    return simulate_genomes(0, num_species=3, bases_per_species=60_000)


def bases_of(species, annotation):
    sequence = next(sequence for sequence in species.sequences if sequence.name == annotation.name)
    bases = sequence.base_ids[annotation.bases]
    return bases if annotation.strand == "+" else reverse_complement(bases)


def features(genomes, kind):
    return [
        bases_of(species, annotation)
        for species in genomes.species
        for annotation in species.annotations
        if annotation.kind == kind
    ]


def match_scores(text, consensus):
    """Share of the consensus' bases that the text has, from each start."""
    hits = np.array([[letter in IUPAC[wanted] for wanted in consensus] for letter in text], int)
    size = len(consensus)
    return np.array([np.trace(hits[start : start + size]) for start in range(len(text) - size + 1)]) / size


def test_genomes_have_the_size_and_names_asked_for(genomes):
    for index, species in enumerate(genomes.species):
        assert species.name == f"simulated_{index + 1}"
        assert [sequence.name for sequence in species.sequences] == ["chr1", "chr2"]
        assert sum(len(sequence.base_ids) for sequence in species.sequences) == 60_000


def test_genes_read_from_start_to_stop_codon_on_either_strand(genomes):
    strands = {annotation.strand for species in genomes.species for annotation in species.annotations}
    assert strands == {"+", "-"}
    for gene in features(genomes, "gene"):
        codons = [from_base_ids(gene[start : start + 3]) for start in range(0, len(gene), 3)]
        assert codons[0] == "ATG"
        assert codons[-1] in ("TAA", "TAG", "TGA")
        assert not {"TAA", "TAG", "TGA"} & set(codons[:-1])
        assert len(gene) % 3 == 0


def test_genes_use_the_codons_of_their_species():
    models = [species_model(0, index) for index in range(3)]
    rng = np.random.default_rng(0)
    for model in models:
        counts = np.zeros(64)
        for _ in range(300):
            inner = model.gene(rng)[3:-3].reshape(-1, 3).astype(int)
            np.add.at(counts, inner @ [16, 4, 1], 1)
        usage = counts / counts.sum()
        distances = [np.abs(usage - other.codon_usage).sum() for other in models]
        assert np.argmin(distances) == models.index(model)
        assert min(distances) < 0.1


@pytest.mark.parametrize(("kind", "consensus"), [("caat_box", CAAT_BOX), ("tata_box", TATA_BOX)])
def test_boxes_match_their_consensus_nearly_always(genomes, kind, consensus):
    scores = [match_scores(from_base_ids(box), consensus).max() for box in features(genomes, kind)]
    assert np.mean(scores) > 0.93


def test_every_promoter_holds_its_two_boxes_with_the_right_spacer_and_ends_before_a_gene(genomes):
    for species in genomes.species:
        by_kind = {
            kind: [annotation for annotation in species.annotations if annotation.kind == kind]
            for kind in ("promoter", "caat_box", "tata_box", "gene")
        }
        for promoter, caat, tata, gene in zip(*by_kind.values(), strict=True):
            assert len({promoter.strand, caat.strand, tata.strand, gene.strand}) == 1
            forward = promoter.strand == "+"
            spacer = tata.start - caat.end if forward else caat.start - tata.end
            assert SPACER[0] <= spacer <= SPACER[1]
            assert promoter.start <= min(caat.start, tata.start) < max(caat.end, tata.end) <= promoter.end
            assert promoter.end < gene.start if forward else gene.end < promoter.start


def test_cpg_islands_hold_more_cg_than_the_rest(genomes):
    def ratio(parts):
        bases = np.concatenate(parts)
        shares = np.bincount(bases, minlength=4) / len(bases)
        return ((bases[:-1] == 1) & (bases[1:] == 2)).mean() / (shares[1] * shares[2])

    islands = features(genomes, "cpg_island")
    assert ratio(islands) > 0.6
    assert np.mean(np.concatenate(islands) % 3 > 0) > 0.6


def test_repeats_are_copies_of_few_families_and_soft_masked(genomes):
    for species in genomes.species:
        repeats = [annotation for annotation in species.annotations if annotation.kind == "repeat"]
        assert len(repeats) > 5
        for annotation in repeats:
            copy = bases_of(species, annotation)
            same = [
                (family[len(family) - len(copy) :] == copy).mean()
                for family in species.model.repeats
                if len(family) >= len(copy)
            ]
            assert max(same) > 0.8
        for sequence in species.sequences:
            covered = np.zeros(len(sequence.base_ids), bool)
            for annotation in repeats:
                if annotation.name == sequence.name:
                    covered[annotation.bases] = True
            assert np.array_equal(covered, sequence.soft_masked)


def test_the_background_is_the_chain_of_its_model():
    model = species_model(0, 1)
    rows = model.background(np.random.default_rng(0), 200, 2000).astype(int)
    contexts = (rows[:, :-3] * 16 + rows[:, 1:-2] * 4 + rows[:, 2:-1]).ravel()
    counts = np.zeros((NUM_CONTEXTS, 4))
    np.add.at(counts, (contexts, rows[:, 3:].ravel()), 1)
    assert np.abs(counts / counts.sum(axis=1, keepdims=True) - model.transitions).max() < 0.05


def test_species_differ_in_composition():
    shares = [species_model(0, index).background(np.random.default_rng(0), 50, 500) for index in range(4)]
    gc = [np.isin(bases, (1, 2)).mean() for bases in shares]
    assert max(gc) - min(gc) > 0.1


def test_a_species_is_the_same_however_many_are_simulated():
    few, many = simulate_genomes(3, 1, 5_000), simulate_genomes(3, 3, 5_000)
    assert np.array_equal(few.species[0].sequences[0].base_ids, many.species[0].sequences[0].base_ids)


def test_the_same_seed_gives_the_same_in_another_process(genomes):
    program = (
        "import hashlib; from vqdna.simulation.genomes import *;"
        "genomes, task = simulate_genomes(0, 3, 60_000), simulate_task(5, num_train=20);"
        "bases = b''.join(s.base_ids.tobytes() for g in genomes.species for s in g.sequences);"
        "labels = repr([g.annotations for g in genomes.species]).encode();"
        "print(hashlib.sha256(bases + labels).hexdigest(), task['train'][3][0])"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)
    }
    assert len(outputs) == 1
    assert simulate_task(5, num_train=20)["train"][3][0] in outputs.pop().decode()


def test_another_seed_gives_another_genome(genomes):
    other = simulate_genomes(1, 1, 60_000)
    assert not np.array_equal(other.species[0].sequences[0].base_ids, genomes.species[0].sequences[0].base_ids)


def test_genomes_make_a_corpus(genomes):
    corpus = Corpus.from_sequences(genomes.sequences())
    assert corpus.species == ("simulated_1", "simulated_2", "simulated_3")
    assert WindowSampler(corpus, 512, 0).windows(np.arange(4)).shape == (4, 512)


def test_written_genomes_read_back_the_same(genomes, tmp_path):
    paths = write_genomes(tmp_path, genomes)
    for species, path in zip(genomes.species, paths, strict=True):
        assert path.stem == species.name
        found = list(read_sequences(path, keep_soft_mask=True))
        for expected, record in zip(species.sequences, found, strict=True):
            assert record.name == expected.name
            assert np.array_equal(record.base_ids, expected.base_ids)
            assert np.array_equal(record.soft_masked, expected.soft_masked)
        rows = [line.split("\t") for line in path.with_suffix(".bed").read_text().splitlines()]
        assert [(r[0], int(r[1]), int(r[2]), r[5], r[3]) for r in rows] == [astuple(one) for one in species.annotations]


# Tasks ---------------------------------------------------------------------------------------------------------------


def test_tasks_are_balanced_disjoint_and_of_one_length():
    task = simulate_task(1, num_train=101, num_dev=40, num_test=30)
    assert {name: len(rows) for name, rows in task.items()} == {"train": 101, "dev": 40, "test": 30}
    assert len({text for rows in task.values() for text, _ in rows}) == 171
    for rows in task.values():
        assert {len(text) for text, _ in rows} == {200}
        labels = [label for _, label in rows]
        assert abs(labels.count(0) - labels.count(1)) <= 1
        assert labels != sorted(labels)
    assert task == simulate_task(1, num_train=101, num_dev=40, num_test=30)


def holds_promoter(text):
    """What the task's rule says, read off the text: both boxes, nearly whole, with the right spacer."""
    caat, tata = match_scores(text, CAAT_BOX), match_scores(text, TATA_BOX)
    offsets = range(len(CAAT_BOX) + SPACER[0], len(CAAT_BOX) + SPACER[1] + 1)
    pairs = [caat[: len(tata) - offset] + tata[offset:][: len(caat)] for offset in offsets if offset < len(tata)]
    return max(pair.max() for pair in pairs) >= 1.75


def test_the_promoter_task_can_be_solved_by_its_rule():
    rows = simulate_task(0, num_train=400, num_dev=0, num_test=0)["train"]
    right = [holds_promoter(text) == bool(label) for text, label in rows]
    assert np.mean(right) > 0.9


def test_the_promoter_task_is_not_solved_by_either_box_alone():
    rows = simulate_task(0, num_train=400, num_dev=0, num_test=0)["train"]
    for consensus in (CAAT_BOX, TATA_BOX):
        has_box = [match_scores(text, consensus).max() >= 0.87 for text, _ in rows]
        right = np.mean([found == bool(label) for found, (_, label) in zip(has_box, rows)])
        assert 0.5 < right < 0.85


def test_a_written_task_is_a_csv_of_sequence_and_label(tmp_path):
    rows = simulate_task(0, num_train=3)["train"]
    write_labelled_csv(tmp_path / "train.csv", rows)
    lines = (tmp_path / "train.csv").read_text().splitlines()
    assert lines == ["sequence,label", *(f"{text},{label}" for text, label in rows)]


def test_a_compressed_table_holds_the_same_rows_in_the_same_bytes(tmp_path):
    rows = [("ACGT", "a, b"), ("GGCC", 1)]
    for name in ("plain.csv", "once.csv.gz", "twice.csv.gz"):
        write_labelled_csv(tmp_path / name, rows)
    assert gzip.decompress((tmp_path / "once.csv.gz").read_bytes()) == (tmp_path / "plain.csv").read_bytes()
    assert (tmp_path / "once.csv.gz").read_bytes() == (tmp_path / "twice.csv.gz").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"length": 50}, "promoter sequences of 50 bases"),
        ({"num_dev": -1}, "cannot simulate"),
        ({"seed": -1}, "cannot simulate"),
    ],
)
def test_impossible_tasks_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        simulate_task(**{"seed": 0, **arguments})


def test_impossible_genomes_are_refused():
    with pytest.raises(InputError, match="cannot simulate seed 0, 1 species of 10 bases"):
        simulate_genomes(0, 1, 10)
