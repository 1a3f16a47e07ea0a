"""The study's measures: by hand, and on simulated clades whose tree and mutations are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_mutual_info_score

from vqdna.studies.sars_cov_2.changes import CodeChanges, PositionGrid, code_changes
from vqdna.studies.sars_cov_2.classification import macro_f1
from vqdna.studies.sars_cov_2.coarse_and_fine import (
    coarse_and_fine,
    frequent_mutations,
    lineage_information,
    mutation_information,
    site_table,
    verdict,
)
from vqdna.studies.sars_cov_2.genome_codes import encode_genomes
from vqdna.studies.sars_cov_2.markers import free_markers, markers
from vqdna.studies.sars_cov_2.phylogeny import (
    ROOT,
    average_linkage,
    clades,
    clades_of_paths,
    is_compatible,
    leaf_distances,
    neighbor_joining,
    path_distances,
    profile_distances,
    robinson_foulds,
    site_distances,
    tree_record,
)
from vqdna.studies.sars_cov_2.representations import Representation, principal_points, project, representations
from vqdna.studies.sars_cov_2.results import ScoreInterval
from vqdna.studies.sars_cov_2.separation import bootstrap, separation
from vqdna.tokenizers import load_tokenizer

NAMES = ("Alpha", "Delta", "Gamma", "Kappa", "Zeta")
PATHS = [tuple(p.split(".")) for p in ("B.1.1.7", "B.1.617.2", "B.1.1.28.1", "B.1.617.1", "B.1.1.28.2")]


def changes_of(codes, level_sizes=2):
    """Changes of genomes given by their codes [genome, position, level]; the reference is all zero."""
    codes = np.asarray(codes)
    positions = [np.flatnonzero(row.any(axis=1)) for row in codes]
    held = [row[at] for row, at in zip(codes, positions)]
    return CodeChanges(np.zeros(codes.shape[1:], np.int64), PositionGrid(1, 0), [], positions, held)


def coded(tokenizer, genomes, knowledge):
    tokenizer = load_tokenizer(tokenizer) if isinstance(tokenizer, str) else tokenizer
    codes = encode_genomes(tokenizer, [knowledge.reference, *(genome.base_ids for genome in genomes)])
    return code_changes(codes, genomes)


def share_of(codes, labels, level=0):
    changes = changes_of(codes)
    return lineage_information(site_table(changes, level), np.array(labels), np.ones((1, len(labels))))[0]


# Trees ---------------------------------------------------------------------------------------------------------------


def test_clades_of_lineage_names_are_those_that_share_a_beginning():
    found = clades_of_paths(PATHS, NAMES)
    assert found == {frozenset({"Delta", "Kappa"}), frozenset({"Gamma", "Zeta"}), frozenset({"Alpha", "Gamma", "Zeta"})}


def test_robinson_foulds_counts_the_clades_of_one_tree_alone():
    first = frozenset({frozenset("ab"), frozenset("abc")})
    second = frozenset({frozenset("ab"), frozenset("cd")})
    assert robinson_foulds(first, second) == 2
    assert robinson_foulds(first, first) == 0
    assert not is_compatible(frozenset("bc"), first)
    assert is_compatible(frozenset("de"), first)


def test_average_linkage_gives_the_tree_of_a_clocklike_matrix():
    """((a:1, b:1):2, c:3), worked out on paper."""
    distances = np.array([[0, 2, 6], [2, 0, 6], [6, 6, 0]], float)
    tree = average_linkage(distances, "abc")
    assert clades(tree) == {frozenset("ab")}
    np.testing.assert_allclose(leaf_distances(tree, "abc"), distances)


def test_neighbor_joining_gives_back_an_additive_tree_with_uneven_branches():
    """((a:1, b:6):1, (c:2, d:1):1) hung up at the reference; average linkage is misled by b's long branch."""
    names = ["a", "b", "c", "d", ROOT]
    depth = {"a": [1, 1], "b": [6, 1], "c": [2, 1], "d": [1, 1], ROOT: [0, 0.5]}
    side = {"a": 0, "b": 0, "c": 1, "d": 1, ROOT: 2}

    def way(x, y):
        return 0.0 if x == y else depth[x][0] + depth[y][0] + (0 if side[x] == side[y] else depth[x][1] + depth[y][1])

    distances = np.array([[way(x, y) for y in names] for x in names])
    tree = neighbor_joining(distances, names)
    assert clades(tree) == {frozenset("ab"), frozenset("cd")}
    np.testing.assert_allclose(leaf_distances(tree, "abcd"), distances[:4, :4])
    assert clades(average_linkage(distances[:4, :4], "abcd")) != clades(tree)
    assert ROOT not in {leaf.name for leaf in tree.tips()}


def test_steps_between_lineages_go_through_what_they_share():
    assert path_distances(PATHS)[1, 3] == 2
    assert path_distances(PATHS)[0, 1] == 4


@pytest.mark.parametrize("spec", ["nucleotide", "kmer:6"])
def test_the_tree_that_genomes_grew_along_is_found_from_their_codes(spec, genomes, knowledge):
    distances = site_distances(coded(spec, genomes, knowledge), range(len(genomes)))
    lineages, paths = [ROOT, *(g.lineage for g in genomes)], [(), *(knowledge.path(g.pango) for g in genomes)]
    record = tree_record(distances, lineages, paths, knowledge.paths, seed=0)
    tree = record.neighbor_joining
    assert (tree.num_clades_shared, tree.num_clades_wanted, tree.num_contradicting) == (3, 3, 0)
    assert all(clade.support > 0.9 for clade in tree.wanted)
    assert record.lineages_in_one_clade == 1.0
    assert tree.cophenetic_correlation > 0.8


def test_distances_at_places_are_shares_of_differing_positions(genomes, knowledge):
    found = site_distances(coded("nucleotide", genomes, knowledge), range(5))[1:, 1:]
    for one in range(5):
        for other in range(5):
            wanted = (genomes[one].base_ids != genomes[other].base_ids).mean()
            assert found[one, other] == pytest.approx(wanted)


def test_distances_of_counts_leave_places_out():
    counts = csr_matrix(np.array([[3, 0], [0, 4]], float))
    assert profile_distances(counts, [0, 1])[0, 1] == pytest.approx(5)


# Coarse and fine -----------------------------------------------------------------------------------------------------


def test_codes_that_name_the_lineage_are_explained_by_it_and_others_are_not():
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    of_lineage = [[[label]] for label in labels]
    of_nothing = [[[number % 2]] for number in range(8)]
    assert share_of(of_lineage, labels) == pytest.approx(1.0)
    assert share_of(of_nothing, labels) == pytest.approx(0.0, abs=1e-9)


def test_shares_are_of_bits_summed_over_places():
    """One bit at a place that names the lineage and one that does not: half of two bits."""
    labels = [0, 0, 1, 1]
    codes = [[[label], [number % 2]] for number, label in enumerate(labels)]
    assert share_of(codes, labels) == pytest.approx(0.5)


def test_weights_are_genomes_drawn_more_than_once():
    labels = np.array([0, 0, 1, 1])
    table = site_table(changes_of([[[0]], [[1]], [[1]], [[1]]]), 0)
    drawn = lineage_information(table, labels, np.array([[2.0, 0, 1, 1]]))
    assert drawn[0] == pytest.approx(1.0)


def interval(value, spread):
    return ScoreInterval(value=value, low=value - spread, high=value + spread)


@pytest.mark.parametrize(
    ("lineage", "mutations", "expected"),
    [
        (interval(0.3, 0.1), interval(0.2, 0.1), "confirmed"),
        (interval(0.3, 0.1), interval(0.0, 0.0), "half confirmed"),
        (interval(0.0, 0.1), interval(0.2, 0.1), "half confirmed"),
        (interval(0.04, 0.01), interval(0.0, 0.0), "refuted"),
        (interval(0.3, 0.28), interval(-0.2, 0.1), "refuted"),
    ],
)
def test_the_verdict_needs_both_leads_beyond_the_margin(lineage, mutations, expected):
    assert verdict(lineage, mutations) == expected


class CoarseAndFine(type(load_tokenizer("nucleotide"))):
    """A coarse level that is blind to everything but two lineages' sites, and a fine one that sees every base."""

    kind = "coarse-and-fine"

    def __init__(self, places):
        super().__init__()
        self.places, self.level_sizes = places, (6, 5)

    def encode(self, base_ids, attention_mask=None):
        import torch

        from vqdna.tokenizers import Tokens

        tokens = super().encode(base_ids, attention_mask)
        coarse = torch.full_like(tokens.codes, 5)
        coarse[:, self.places] = tokens.codes[:, self.places]
        return Tokens(torch.cat([coarse, tokens.codes], dim=-1), tokens.spans, tokens.attention_mask)


def asked(tokenizer, genomes, knowledge):
    changes = coded(tokenizer, genomes, knowledge)
    return coarse_and_fine(tokenizer, changes, knowledge, num_in_silico=40, seed=0)


def test_a_level_that_sees_lineages_alone_beside_one_that_sees_all_confirms_the_hypothesis(genomes, knowledge):
    places = sorted({mutation.position for mutation in knowledge.defining})
    found = asked(CoarseAndFine(places), genomes, knowledge)
    coarse, fine = found.levels
    assert found.verdict == "confirmed"
    assert coarse.lineage_share.value == pytest.approx(1.0)
    assert coarse.mutation_share["defining"].value == pytest.approx(1.0)
    assert fine.in_silico_seen["synonymous"].value == 1.0
    assert coarse.in_silico_seen["synonymous"].value < 0.3


def test_two_levels_that_see_the_same_refute_it(genomes, knowledge):
    found = asked(CoarseAndFine(list(range(3000))), genomes, knowledge)
    assert found.verdict == "refuted"
    assert found.coarse_minus_fine_lineage.value == pytest.approx(0.0)
    assert found.fine_minus_coarse_seen.value == 0.0


def test_shuffled_lineages_explain_little(genomes, knowledge):
    found = asked(load_tokenizer("nucleotide"), genomes, knowledge).levels[0]
    assert found.lineage_share_by_chance < 0.2 < 0.7 < found.lineage_share.value


def test_codes_over_a_mutation_tell_of_its_presence_and_those_elsewhere_do_not(genomes, knowledge):
    defining = frequent_mutations(genomes, knowledge)["defining"]
    assert set(defining) == set(knowledge.defining)
    changes = coded("kmer:3", genomes, knowledge)
    np.testing.assert_allclose(mutation_information(changes, defining, 0), 1.0)
    nothing = [np.zeros(0, np.int64)] * len(genomes), [np.zeros((0, 1), int)] * len(genomes)
    blind = CodeChanges(changes.reference, PositionGrid(1, 2), genomes, *nothing)
    np.testing.assert_allclose(mutation_information(blind, defining, 0), 0.0, atol=1e-9)


# Separation ----------------------------------------------------------------------------------------------------------


def test_lineages_apart_score_one_and_mixed_ones_score_by_chance():
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    apart = np.eye(3)[labels] * 100 + random.normal(size=(60, 3))
    mixed = random.normal(size=(60, 3))
    groups = np.arange(60)
    far = separation(apart, labels, apart + 0.1, labels, groups, seed=0)
    near = separation(mixed, labels, random.normal(size=(60, 3)), labels, groups, seed=0)
    assert far.neighbor_accuracy.value == far.adjusted_mutual_information.value == 1.0
    assert far.silhouette.low > 0.9
    assert near.silhouette.value < 0.1
    assert abs(near.adjusted_mutual_information.value) < 0.15


def test_rows_of_a_genome_are_drawn_together():
    """Two genomes, one all right and one all wrong: a resample is 0, a half or 1, so the interval is wide."""
    hits = np.array([1.0] * 50 + [0.0] * 50)
    together = bootstrap(lambda rows: float(hits[rows].mean()), np.repeat([0, 1], 50), seed=0)
    apart = bootstrap(lambda rows: float(hits[rows].mean()), np.arange(100), seed=0)
    assert together.high - together.low == pytest.approx(1.0)
    assert 0.35 < apart.low < apart.high < 0.65


def test_intervals_lie_about_the_score_however_resampling_lifts_it():
    """Clusters that know nothing: each resample repeats rows, and repeated rows agree with themselves."""
    random = np.random.default_rng(0)
    labels, clusters = random.integers(0, 5, 60), random.integers(0, 5, 60)

    def agreement(rows):
        return float(adjusted_mutual_info_score(labels[rows], clusters[rows]))

    found = bootstrap(agreement, np.arange(60), seed=0)
    assert found.low < found.value < found.high


def test_points_are_centered_and_keep_their_distances():
    random = np.random.default_rng(0)
    matrix = random.normal(size=(30, 5)) + 7
    train, test = principal_points(Representation("vectors", "all", matrix), range(20), range(20, 30))
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(test[0] - test[1]), np.linalg.norm(matrix[20] - matrix[21]))


def test_rows_that_are_all_alike_are_one_point():
    train, test = principal_points(Representation("counts", "all", csr_matrix(np.ones((6, 3)))), range(4), [4, 5])
    assert not train.any()
    assert not test.any()


def test_counts_are_shares_and_come_for_all_coarse_and_fine(hrq, genomes):
    found = representations(encode_genomes(hrq, [genome.base_ids for genome in genomes[:3]]))
    assert [view.name for view in found] == [
        "counts, all", "counts, coarse", "counts, fine", "vectors, all", "vectors, coarse", "vectors, fine",
    ]  # fmt: skip
    np.testing.assert_allclose(np.asarray(found[1].matrix.sum(axis=1)).ravel(), 1.0)


@pytest.mark.parametrize("missing", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_plane_names_its_method_with_and_without_umap(monkeypatch, missing):
    if missing:
        monkeypatch.setattr("vqdna.studies.sars_cov_2.representations.has_umap", lambda: False)
    else:
        pytest.importorskip("umap")
    points = np.concatenate([np.random.default_rng(0).normal(size=(15, 4)) + shift for shift in (0, 50)])
    plane, method = project(points, seed=0)
    assert method == ("t-SNE (umap-learn is not installed)" if missing else "UMAP")
    one, other = plane[:15], plane[15:]
    within = np.linalg.norm(one - one.mean(axis=0), axis=1).max()
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > within


def test_very_few_points_are_laid_out_as_they_are():
    plane, method = project(np.array([[0.0, 1.0], [2.0, 3.0]]), seed=0)
    assert method == "PCA"
    assert plane.tolist() == [[0.0, 1.0], [2.0, 3.0]]


# Markers -------------------------------------------------------------------------------------------------------------


def test_places_that_mark_a_lineage_are_its_own_branch(clades, genomes, knowledge):
    """Single bases mark a lineage where its own branch, and no other, changed them."""
    changes = coded("nucleotide", genomes, knowledge)
    train = [i for i in range(len(genomes)) if i % 3]
    test = [i for i in range(len(genomes)) if i % 3 == 0]
    found = {record.lineage: record for record in markers(changes, train, test, knowledge)}
    for lineage, record in found.items():
        others = frozenset().union(*(held for name, held in clades.defining.items() if name != lineage))
        assert record.num_markers == [len(clades.defining[lineage] - others)]
        assert record.mean_held_on_test == 1.0
        assert record.mean_elsewhere_on_test < 0.05
        for marker in record.best:
            own = [mutation.split()[0] for mutation in marker.mutations]
            assert set(own) <= clades.defining[lineage]
            place = marker.start - marker.motif_start
            assert marker.motif[place] != marker.reference[place]


def test_codes_that_occur_in_one_lineage_alone_mark_it_anywhere():
    counts = csr_matrix(np.array([[1, 0, 2], [1, 0, 3], [1, 4, 0], [1, 5, 0]]))
    found = free_markers(counts, (2, 1), ["a", "a", "b", "b"], [0, 1, 2, 3])
    assert found == {"a": [0, 1], "b": [1, 0]}


def test_an_interval_of_macro_f1_holds_no_impossible_score():
    """One class for all, and all but one right: moved onto the score, the resamples reach beyond 0 and 1."""
    labels, groups = np.arange(18) % 9, np.arange(18)
    right = labels.copy()
    right[0] = 5
    low, high = (macro_f1(labels, predicted, groups, 0) for predicted in (np.zeros(18, int), right))
    assert low.low == 0.0 < low.value < low.high
    assert high.low < high.value < 1.0 == high.high
