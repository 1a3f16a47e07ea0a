"""Codes of genomes: shared tiles against the whole, changes along the reference, and the bases read off them."""

from __future__ import annotations

import numpy as np
import pytest

from vqdna.genome import from_base_ids
from vqdna.studies.sars_cov_2.changes import LOST, UNKNOWN, code_changes
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes, level_means
from vqdna.studies.sars_cov_2.genomes import read_genomes, read_labels
from vqdna.studies.sars_cov_2.in_silico import draw_substitutions, mutate
from vqdna.studies.sars_cov_2.sites import SiteReader, site_recovery
from vqdna.tokenizers import load_tokenizer
from vqdna.tokenizers.encoding import encode_sequence
from vqdna.tokenizers.vq import VqTokenizer
from vqdna.vocabulary.autoencoder import VQVAE, VQVAEConfig


def changes_of(spec, genomes, knowledge):
    codes = encode_genomes(load_tokenizer(spec), [knowledge.reference, *(genome.base_ids for genome in genomes)])
    return code_changes(codes, genomes)


def recovered(tokenizer, genomes, knowledge):
    codes = encode_genomes(tokenizer, [knowledge.reference, *(genome.base_ids for genome in genomes)])
    drawn = draw_substitutions(knowledge, None, 300, np.random.default_rng(1))
    reader, changes = SiteReader.of(mutate(tokenizer, knowledge.reference, drawn)), code_changes(codes, genomes)
    sites = [reader.sites(changes.of_genome(number)) for number in range(len(genomes))]
    return site_recovery(sites, genomes, seed=0)


@pytest.mark.parametrize("stride", [1, 3])
def test_tiles_that_genomes_share_give_the_codes_of_whole_genomes(hrq, genomes, stride):
    import torch

    if stride > 1:
        torch.manual_seed(0)
        config = VQVAEConfig(width=16, stem_width=16, num_blocks=2, level_sizes=(16, 32), bases_per_position=stride)
        model = VQVAE(config).train()
        model(torch.randint(0, 4, (16, 126), dtype=torch.uint8))
        model.quantizer.update_codebooks()
        hrq = VqTokenizer(model)
    chosen = [genome.base_ids[: 3000 - n] for n, genome in enumerate(genomes[:4])]
    codes = encode_genomes(hrq, chosen)
    assert len(codes.tiles) < sum(len(row) for row in codes.rows)
    for number, base_ids in enumerate(chosen):
        whole, _ = encode_sequence(hrq, base_ids)
        np.testing.assert_array_equal(codes.codes(number), whole)


def test_histograms_count_the_codes_of_each_level(hrq, genomes):
    codes = encode_genomes(hrq, [genome.base_ids for genome in genomes[:3]])
    for number, row in enumerate(codes.histograms().toarray()):
        held = codes.codes(number)
        expected = [np.bincount(held[:, level], minlength=size) for level, size in enumerate(hrq.level_sizes)]
        np.testing.assert_array_equal(row, np.concatenate(expected))


def test_mean_vectors_of_the_levels_average_to_the_embedding(hrq, genomes):
    """HRQ's token is the mean over its levels, so the mean token is the mean of the levels' means."""
    import torch

    codes = encode_genomes(hrq, [genomes[0].base_ids])
    tokens = hrq.code_vectors(torch.from_numpy(codes.codes(0).astype(np.int64))[None])[0].double().mean(dim=0).numpy()
    np.testing.assert_allclose(np.mean(level_means(codes), axis=0)[0], tokens, atol=1e-6)


def test_hand_made_codes_have_no_vectors(genomes):
    assert level_means(encode_genomes(load_tokenizer("kmer:3"), [genomes[0].base_ids])) is None


def test_single_bases_change_exactly_where_the_genome_does(genomes, knowledge):
    changes = changes_of("nucleotide", genomes, knowledge)
    for number, genome in enumerate(genomes):
        changed = np.flatnonzero(changes.of_genome(number).any(axis=1))
        assert changed.tolist() == sorted(mutation.position for mutation in genome.mutations)


def genome_of(bases: str, knowledge, tmp_path):
    """The genome of these bases as the study reads it."""
    path = tmp_path / "one.fa"
    path.write_text(f">a Red\n{bases}\n")
    return read_genomes([path], knowledge, read_labels([path], None)).kept[0]


def test_lost_and_unknown_bases_are_told_apart_from_changed_ones(tmp_path, knowledge):
    text = from_base_ids(knowledge.reference)
    genome = genome_of(text[:1000] + text[1006:2000] + "NNNN" + text[2004:], knowledge, tmp_path)
    changes = changes_of("nucleotide", [genome], knowledge)
    lost = sorted(mutation.position for mutation in genome.mutations)
    assert len(lost) == 6
    assert changes.at(np.array(lost), 0)[0].tolist() == [LOST] * 6
    assert changes.at(np.arange(2000, 2004), 0)[0].tolist() == [UNKNOWN] * 4
    changed = np.flatnonzero(changes.of_genome(0).any(axis=1))
    assert changed.tolist() == lost


def test_codes_near_an_unknown_base_say_nothing(tmp_path, knowledge):
    text = from_base_ids(knowledge.reference)
    genome = genome_of(text[:2000] + "N" + text[2001:], knowledge, tmp_path)
    assert not changes_of("kmer:6", [genome], knowledge).of_genome(0).any()


def test_a_substitution_changes_the_six_codes_over_it(knowledge):
    drawn = draw_substitutions(knowledge, None, 40, np.random.default_rng(0))
    changes = mutate(load_tokenizer("kmer:6"), knowledge.reference, drawn).changes
    assert changes.sum(axis=1).tolist() == [[6]] * 40
    at = np.flatnonzero(changes[0, :, 0]) - changes.shape[1] // 2
    assert at.tolist() == [-5, -4, -3, -2, -1, 0]


def test_in_silico_mutations_have_the_effect_asked_for(knowledge):
    drawn = draw_substitutions(knowledge, ("synonymous",), 30, np.random.default_rng(0))
    assert len(drawn) == 30
    assert {knowledge.effect(mutation) for mutation in drawn} == {"synonymous"}
    assert len({mutation.position for mutation in drawn}) == 30


def test_mutations_of_one_genome_are_seen_as_each_by_itself(hrq, knowledge):
    drawn = draw_substitutions(knowledge, None, 25, np.random.default_rng(2))
    together = mutate(hrq, knowledge.reference, drawn).changes
    for number, mutation in enumerate(drawn):
        np.testing.assert_array_equal(together[number], mutate(hrq, knowledge.reference, [mutation]).changes[0])


@pytest.mark.parametrize("spec", ["nucleotide", "kmer:6"])
def test_mutated_bases_are_read_off_hand_made_codes(spec, genomes, knowledge):
    """Known substitutions of simulated genomes; k-mers over two near changes leave a few in doubt."""
    found = recovered(load_tokenizer(spec), genomes, knowledge)
    assert found.num_sites == sum(len(genome.mutations) for genome in genomes)
    assert found.within_0.precision.value > 0.98
    assert found.within_0.recall.value > 0.98


def test_mutated_bases_are_read_off_learned_codes(hrq, genomes, knowledge):
    """An untrained latent encoder's codes do not point at their base as k-mers do, but they stay near."""
    found = recovered(hrq, genomes, knowledge)
    assert found.within_2.precision.value > 0.8
    assert found.within_2.recall.value > 0.8


def test_behind_a_lost_base_blocks_tell_only_where_they_fall_out_of_step(tmp_path, knowledge):
    text = from_base_ids(knowledge.reference)
    genome = genome_of(text[:1001] + text[1002:], knowledge, tmp_path)
    (lost,) = genome.mutations
    drawn = draw_substitutions(knowledge, None, 100, np.random.default_rng(1))
    reader = SiteReader.of(mutate(load_tokenizer("kmer:4:4"), knowledge.reference, drawn))
    (site,) = reader.sites(changes_of("kmer:4:4", [genome], knowledge).of_genome(0))
    assert abs(site - lost.position) <= 8


def test_blocks_of_four_bases_cannot_tell_the_base(genomes, knowledge):
    found = recovered(load_tokenizer("kmer:4:4"), genomes, knowledge)
    assert found.within_0.recall.value < 0.6
    assert found.within_2.recall.value > found.within_0.recall.value + 0.2
