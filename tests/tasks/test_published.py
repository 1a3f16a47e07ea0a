import statistics

import pytest

from vqdna.tasks.published import best_published, poster_rows, published_systems, source_of, sources
from vqdna.tasks.registry import datasets

GUE = [name for name, row in datasets().items() if row.folder.startswith("gue/")]
COMPLETE = ["tf/0", "tf/1", "tf/2", "tf/3", "tf/4", "mouse/0", "mouse/2", "mouse/3", "mouse/4"]
COMPLETE += ["prom_core_all", "prom_core_notata", "prom_core_tata", "prom_300_tata"]


@pytest.mark.parametrize(
    ("system", "mean"), [("DNABERT-2", 66.80), ("NT-2500M-multi", 66.93), ("DNABERT 6-mer", 60.51)]
)
def test_mean_of_all_28_is_the_published_one(system, mean):
    scores = published_systems()[system].scores
    assert set(scores) == set(GUE)
    assert statistics.fmean(scores.values()) == pytest.approx(mean, abs=0.02)


@pytest.mark.parametrize(
    ("system", "mean"), [("DNABERT-2", 68.4), ("NT-2500M-multi", 66.3), ("DNABERT 3-mer", 63.1), ("CNN", 52.2)]
)
def test_means_of_the_13_complete_sets_are_the_anchors(system, mean):
    scores = published_systems()[system].scores
    assert statistics.fmean(scores[name] for name in COMPLETE) == pytest.approx(mean, abs=0.06)


def test_what_the_paper_gives_of_its_own_is_marked_as_such():
    ours = published_systems()["VQDNA-HRQ"]
    assert (ours.origin, ours.scores["tf/2"], ours.cost["parameters"]) == ("vqdna", 66.85, 103)
    assert best_published("tf/2") == ("VQDNA-HRQ", 66.85)


def test_the_posters_efficiency_table_row_for_row():
    rows = [
        (row.method, row.tokenizer, row.parameters, row.relative_flops, row.tokens, row.average_rank)
        for row in poster_rows()
    ]
    assert rows == [
        ("DNABERT", "3-mer", (86,), (3.3,), 122, 5),
        ("NT-500M-1000g", "6-mer", (480,), (3.2,), 50, 6),
        ("NT-2500M-1000g", "6-mer", (2537,), (19.4,), 300, 4),
        ("DNABERT-2", "BPE", (117,), (1.0,), 262, 3),
        ("VQDNA", "VQVAE", (86, 16), (1.1, 0.5), 262, 2),
        ("VQDNA", "HRQ", (86, 17), (1.1, 0.6), 262, 1),
    ]
    assert {row.confidence for row in poster_rows()} == {"S"}


def test_the_poster_and_the_scores_give_the_same_cost_of_a_system():
    for row in poster_rows():
        cost = published_systems()[row.system].cost
        assert cost == {
            "parameters": sum(row.parameters),
            "relative_flops": pytest.approx(sum(row.relative_flops)),
            "tokens": row.tokens,
        }


def test_orientation_only_scores_are_never_the_best_published():
    assert published_systems()["HyenaDNA"].scores["mouse/1"] == 80.50
    best = {name: best_published(name)[0] for name in GUE}
    assert not {"CNN", "HyenaDNA"} & set(best.values())


def test_nothing_is_published_of_datasets_that_the_paper_does_not_identify():
    assert best_published("eep/1") is None


def test_every_dataset_has_a_source_and_those_of_gue_a_name_at_it():
    rows = datasets().values()
    assert {source_of(row).name for row in rows} == set(sources())
    remote = [row.remote for row in rows if source_of(row).repository]
    assert len(remote) == len(set(remote)) == 28
    assert {"emp_H3", "human_tf_0", "mouse_4", "prom_core_tata", "splice_reconstructed", "virus_covid"} <= set(remote)
