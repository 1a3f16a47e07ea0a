from __future__ import annotations

import numpy as np
import pytest
from example_genomes import clade, clade_corpus, contigs

from vqdna.errors import InputError
from vqdna.genome.bases import N
from vqdna.genome.corpus import Corpus
from vqdna.genome.sequences import Sequence
from vqdna.studies.species.splits import SPLITS, SpeciesSplit

RNG = np.random.default_rng(0)


def bases(size: int) -> np.ndarray:
    return RNG.integers(0, 4, size).astype(np.uint8)


def corpus_of(**sizes: tuple[int, ...]) -> Corpus:
    """Random genomes with contigs of these sizes."""
    return Corpus.from_sequences(
        {name: tuple(Sequence(f"contig{i}", bases(size)) for i, size in enumerate(own)) for name, own in sizes.items()}
    )


def spans(split: SpeciesSplit, name: str) -> list[tuple[int, int, int]]:
    return [(part.contig, part.start, part.end) for part in split.parts[name]]


@pytest.mark.parametrize("seed", range(4))
def test_splits_share_no_contig_where_there_are_three(seed):
    split = SpeciesSplit(corpus_of(a=(900, 800, 700, 40, 300), b=(500,) * 6), (100, 300), seed)
    used = [{part.contig for part in split.parts[name]} for name in SPLITS]
    assert set.union(*used) == set(range(11))
    assert sum(map(len, used)) == 11
    for name in SPLITS:
        assert {part.species for part in split.parts[name] if part.length >= 300} == {0, 1}


def test_whole_contigs_come_near_three_fifths_for_training():
    split = SpeciesSplit(corpus_of(a=(100,) * 200, b=(100,) * 200), (50,), 0)
    assert [sum(part.length for part in split.parts[name]) for name in SPLITS] == [24_000, 8_000, 8_000]


@pytest.mark.parametrize(("longest", "number"), [(1000, 8), (500, 10), (3000, 3)])
def test_a_lone_chromosome_is_cut_into_arms_that_share_no_base(longest, number):
    split = SpeciesSplit(corpus_of(a=(10_000, 50), b=(20_000,)), (100, longest), 3)
    arms = sorted((part.start, part.end) for name in SPLITS for part in split.parts[name] if part.species == 0)
    assert [arms[0][0], *(end for _, end in arms)] == [start for start, _ in arms] + [10_000]
    assert 1 not in {part.contig for name in SPLITS for part in split.parts[name]}  # the plasmid
    counts = [sum(part.species == 0 for part in split.parts[name]) for name in SPLITS]
    assert counts == [number - 2 * (held := max(1, round(0.2 * number))), held, held]


def test_arms_have_room_for_more_than_one_of_the_longest_windows_where_the_contig_allows():
    split = SpeciesSplit(corpus_of(a=(4000,), b=(3100,)), (100, 1000), 0)
    assert [part.length for part in split.parts["test"]] == [1334, 1034]
    assert split.classes(1000) == ("a", "b")


def test_contigs_go_to_other_splits_with_another_seed_and_to_the_same_with_the_same():
    corpus = corpus_of(a=(500,) * 9, b=(4000,))
    assert spans(SpeciesSplit(corpus, (100,), 0), "test") == spans(SpeciesSplit(corpus, (100,), 0), "test")
    assert len({str(spans(SpeciesSplit(corpus, (100,), seed), "test")) for seed in range(6)}) > 2


def test_windows_are_pure_functions_of_their_number():
    split = SpeciesSplit(clade_corpus(), (200,), 7)
    many, few = split.windows(200, "train", 50), split.windows(200, "train", 20)
    for name in ("labels", "contigs", "starts", "ends"):
        assert (getattr(many, name)[:20] == getattr(few, name)).all()
    other = split.windows(200, "test", 20)
    assert not (other.starts == few.starts).all()


def test_each_window_lies_in_a_part_of_its_split_and_has_its_bases():
    corpus = clade_corpus()
    split = SpeciesSplit(corpus, (200, 5000), 1)
    for name in SPLITS:
        windows = split.windows(5000, name, 40)
        for row in range(40):
            place = (int(windows.contigs[row]), int(windows.starts[row]), int(windows.ends[row]))
            (part,) = [p for p in split.parts[name] if p.contig == place[0]]
            assert part.start <= place[1] < place[2] <= part.end
            assert place[2] - place[1] == 5000
            assert corpus.species[part.species] == windows.classes[windows.labels[row]]
            edge = corpus.packed.contig_edges[place[0]]
            assert (windows.bases(corpus, row) == corpus.packed.base_ids[edge + place[1] : edge + place[2]]).all()


def test_species_contigs_and_starts_are_drawn_uniformly():
    corpus = corpus_of(a=(1000, 200, 300, 5000), b=(100_000, 400, 400), c=(300,) * 3)
    split = SpeciesSplit(corpus, (100,), 0)
    windows = split.windows(100, "train", 6000)
    assert np.bincount(windows.labels) == pytest.approx([2000] * 3, rel=0.1)
    for species in range(3):
        own = [part for part in split.parts["train"] if part.species == species]
        counts = [int((windows.contigs == part.contig).sum()) for part in own]
        assert counts == pytest.approx([2000 / len(own)] * len(own), rel=0.2)
        for part in own:
            starts = windows.starts[windows.contigs == part.contig]
            middle = (part.start + part.end - 100) / 2
            assert starts.mean() == pytest.approx(middle, abs=5 * part.length / np.sqrt(12 * len(starts)))


def test_short_parts_are_passed_over_or_padded_on_the_left():
    corpus = corpus_of(a=(900, 800, 700), b=(2000, 2000, 2000))
    assert SpeciesSplit(corpus, (1000,), 0).refusal(1000).startswith("1 of 2 species have 1,000 bases in a row")
    split = SpeciesSplit(corpus, (1000,), 0, min_fill=0.5)
    windows = split.windows(1000, "train", 30)
    row = int(np.flatnonzero(windows.labels == 0)[0])
    size = next(part.length for part in split.parts["train"] if part.species == 0)
    assert windows.padding[row] == 1000 - size
    assert len(windows.bases(corpus, row)) == size
    assert set(windows.padding[windows.labels == 1]) == {0}


def test_windows_that_are_mostly_n_are_not_drawn():
    gap = np.concatenate([np.full(5000, N, np.uint8), bases(500)])
    corpus = Corpus.from_sequences(
        {name: tuple(Sequence(f"c{i}", gap.copy()) for i in range(3)) for name in ("a", "b")}
    )
    windows = SpeciesSplit(corpus, (200,), 0).windows(200, "dev", 50)
    assert all((windows.bases(corpus, row) == N).mean() <= 0.5 for row in range(50))


def test_a_length_that_does_not_fit_says_what_is_missing():
    corpus = corpus_of(human=(9000,) * 3, pig=(9000, 8000, 700), cow=(500, 400, 300))
    split = SpeciesSplit(corpus, (300, 5000), 0)
    assert split.refusal(300) is None
    assert split.classes(5000) == ("human",)
    with pytest.raises(InputError, match=r"windows of 5,000 bases: 1 of 3 .* it takes 3 .*pig 3,000, cow 300"):
        split.windows(5000, "train", 3)
    assert SpeciesSplit(corpus, (300, 3000), 0, least_classes=2).windows(3000, "test", 9).classes == ("human", "pig")


def test_a_limit_on_bases_keeps_long_windows_possible_and_is_the_same_for_all_seeds():
    corpus = corpus_of(a=(50_000,), b=(20_000,) * 8, c=(900,) * 60)
    splits = [SpeciesSplit(corpus, (100, 2000), seed, max_bases=6000, least_classes=2) for seed in range(3)]
    assert len({split.used for split in splits}) == 1
    assert splits[0].classes(2000) == ("a", "b")
    sizes = [sum(part.length for part in splits[0].used if part.species == species) for species in range(3)]
    assert sizes == [7500, 9000, 6000]
    held = {part.contig: part for part in splits[0].used}
    assert (held[0].start, held[0].end) == (10_625, 18_125)  # from a quarter of what is left out
    for part in (part for split in splits for name in SPLITS for part in split.parts[name]):
        assert held[part.contig].start <= part.start < part.end <= held[part.contig].end


def test_chromosomes_go_where_hyenadna_puts_them_and_unplaced_contigs_nowhere():
    names = [str(number) for number in range(1, 16)] + ["X", "scaffold_9"]
    corpus = Corpus.from_sequences({s: tuple(Sequence(n, bases(300)) for n in names) for s in ("a", "b")})
    chromosomes = {(species, name): name for species in "ab" for name in names if name != "scaffold_9"}
    split = SpeciesSplit(corpus, (100,), 0, rule="chromosomes", chromosomes=chromosomes)
    of = {
        name: sorted({corpus.packed.contig_names[part.contig] for part in parts}, key=names.index)
        for name, parts in split.parts.items()
    }
    assert of["dev"] == ["1", "3", "12", "13"]
    assert of["test"] == ["5", "7", "9", "10", "11"]
    assert of["train"] == ["2", "4", "6", "8", "14", "15", "X"]


def test_windows_side_by_side_are_counted():
    split = SpeciesSplit(corpus_of(a=(1000, 1000, 1000), b=(350, 350, 350)), (100, 300), 0)
    assert split.independent(300, "test") == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"lengths": ()}, "wanted lengths of 1 or more"),
        ({"seed": -1}, "seed -1"),
        ({"rule": "contig"}, "did you mean 'contigs'"),
        ({"min_fill": 1.5}, "got 1.5, expected 0 to 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, expected):
    settings = {"corpus": corpus_of(a=(300,), b=(300,)), "lengths": (100,), "seed": 0} | options
    with pytest.raises(InputError, match=expected):
        SpeciesSplit(**settings)


def test_a_draw_may_leave_a_species_out():
    windows = SpeciesSplit(clade_corpus(), (100,), 0).windows(100, "dev", 3)
    assert len(set(windows.labels.tolist())) <= 3 < len(windows.classes)
    assert (windows.ends - windows.starts == 100).all()


def test_an_unknown_split_is_refused():
    with pytest.raises(InputError, match="did you mean 'train'"):
        SpeciesSplit(clade_corpus(), (100,), 0).windows(100, "trian", 3)


def test_the_clade_of_the_tests_has_one_composition():
    for chain in (contigs(transitions, (60_000,), 0)[0].base_ids for transitions in clade(5)):
        assert np.bincount(chain) / len(chain) == pytest.approx([0.25] * 4, abs=0.01)
