from __future__ import annotations

import numpy as np
from known_tokenizers import random_contig, windows_of

from vqdna.audit.annotation import Track
from vqdna.audit.features import cpg_ratio, cpg_site, features_of, gc_content, repeats, triplet_score
from vqdna.genome import N, Sequence
from vqdna.genome.bases import to_base_ids


def contig_of(text: str) -> Sequence:
    mask = np.array([letter.islower() for letter in text])
    return Sequence("chr1", to_base_ids(text).base_ids, mask, 0)


def test_gc_bins_follow_the_share_around():
    windows = windows_of(contig_of("AT" * 300 + "GC" * 300), size=200)
    feature = gc_content(windows)
    middle = feature.labels[:, 100]
    assert middle[0] == 0
    assert middle[-1] == len(feature.value_names) - 1
    assert feature.labels.max() == len(feature.value_names) - 1


def test_both_bases_of_a_cpg_are_marked_also_over_a_window_edge():
    text = "ATCGAT" * 100
    feature = cpg_site(windows_of(contig_of(text), size=200))
    assert "".join(map(str, feature.labels[0, :12])) == "001100001100"
    shifted = cpg_site(windows_of(contig_of(text[3:]), size=200, margin=24))
    assert shifted.labels[0, 0] == 0  # the C before it lies beyond the contig


def test_cpg_ratio_separates_an_island_from_its_surroundings():
    random = np.random.default_rng(0)
    without = "".join(random.choice(list("ACGT"), 3000)).replace("CG", "TG")
    island = "".join(random.choice(["CG", "GC", "A", "T"], 2000))
    feature = cpg_ratio(windows_of(contig_of(without + island), size=200))
    assert feature.labels[0].mean() + 1 < feature.labels[-1].mean()


def test_the_soft_mask_is_the_repeat_label_where_there_is_one():
    feature = repeats(windows_of(contig_of("ACGT" * 40 + "acgt" * 40), size=200))
    assert "soft-masked" in feature.meaning
    assert feature.labels[0, 159:161].tolist() == [0, 1]


def test_without_a_soft_mask_low_complexity_is():
    contig = random_contig(1000)
    contig.base_ids[400:500] = 0
    windows = windows_of(contig, size=200)
    feature = repeats(windows)
    assert "low complexity" in feature.meaning
    labels = np.zeros(1000, np.uint8)
    for start, row in zip(windows.start, feature.labels):
        labels[start : start + 200] = row
    assert labels[430:470].all()
    assert not labels[:350].any()


def test_triplet_score_by_hand():
    """Eight equal bases hold six equal triplets: 15 pairs over 5."""
    assert triplet_score(np.zeros((1, 8), np.uint8), 8).tolist() == [[3.0]]
    assert triplet_score(np.full((1, 8), N, np.uint8), 8).tolist() == [[0.0]]


def test_an_annotation_adds_its_tracks_and_constant_features_are_left_out():
    contig = random_contig(1000)
    half = np.zeros(1000, np.uint8)
    half[:500] = 1
    tracks = {
        "gene": Track("in a gene", ("outside", "inside"), [half]),
        "region": Track("in the region", ("outside", "inside"), [np.ones(1000, np.uint8)]),
    }
    names = [feature.name for feature in features_of(windows_of(contig), tracks)]
    assert "gene" in names
    assert "region" not in names
    assert "GC" in names
