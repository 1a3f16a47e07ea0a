from __future__ import annotations

import hashlib
import json
import pickle
from collections import Counter

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome.bases import reverse_complement, to_base_ids
from vqdna.genome.corpus import Corpus, WindowSampler
from vqdna.genome.sequences import Sequence
from vqdna.genome.store import STORE_VERSION, SourceFile


def random_sequence(name, size, seed=0, n_from=None, n_to=None):
    base_ids = np.random.default_rng([seed, size]).integers(0, 4, size).astype(np.uint8)
    if n_from is not None:
        base_ids[n_from:n_to] = 4
    return Sequence(name, base_ids)


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_sequences(
        {
            "yeast": [random_sequence("chrI", 30_000), random_sequence("chrII", 20_000, n_from=5_000, n_to=9_000)],
            "ecoli": [random_sequence("main", 10_000)],
            "virus": [random_sequence("segment", 5_000), random_sequence("short", 50)],
        }
    )


def written(folder, name, text):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


# Corpus --------------------------------------------------------------------------------------------------------------


def test_species_are_the_stems_in_alphabetical_order_whatever_the_order_of_files(tmp_path):
    paths = [
        written(tmp_path, "yeast.R64.fna", ">chr1\nACGT\n"),
        written(tmp_path, "Human.fastq", "@r\nGG\n+\nII\n"),
        written(tmp_path, "coli.fa", ">chr1\nTTT\n"),
    ]
    forward, backward = Corpus.build(paths, tmp_path / "a"), Corpus.build(paths[::-1], tmp_path / "b")
    assert forward.species == ("Human", "coli", "yeast.R64")
    assert forward.num_bases == 9
    assert forward.content_hash == backward.content_hash
    assert np.array_equal(forward.packed.base_ids, backward.packed.base_ids)


def test_files_can_share_a_species(tmp_path):
    paths = [written(tmp_path, f"chr{i}.fa", f">chr{i}\n{'ACG' * i}\n") for i in (1, 2)]
    corpus = Corpus.build(paths, tmp_path / "cache", species=dict.fromkeys(paths, "worm"))
    assert corpus.species == ("worm",)
    assert corpus.num_bases == 9


def test_repeated_names_are_numbered_where_asked_and_other_corpora_keep_their_store(tmp_path):
    plain = written(tmp_path, "plain.fa", ">chr1\nACGT\n>chr2\nGG\n")
    twice = written(tmp_path, "twice.fa", ">chr1\nACGT\n>chr1\nGG\n")
    cache = tmp_path / "cache"
    with pytest.raises(InputError, match=r"twice\.fa:3: duplicate name 'chr1'"):
        Corpus.build([twice], cache)
    assert not list(cache.glob("*"))
    numbered = Corpus.build([twice], cache, repeated_names="number")
    assert list(numbered.packed.contig_names) == ["chr1", "chr1#2"]
    with pytest.raises(InputError, match="duplicate name"):  # the numbered store is not taken for it
        Corpus.build([twice], cache)
    strict, lenient = (Corpus.build([plain], cache, repeated_names=how) for how in ("error", "number"))
    assert strict.content_hash != lenient.content_hash
    assert list(strict.packed.contig_names) == list(lenient.packed.contig_names)
    # Stores of before the option are still opened: their hash names the gaps alone.
    (source,) = [SourceFile.of(plain, "plain")]
    described = json.dumps([STORE_VERSION, "error", [["plain", source.sha256]]])
    assert strict.content_hash == hashlib.sha256(described.encode()).hexdigest()


def test_what_a_corpus_refuses(tmp_path):
    first = written(tmp_path, "x/genome.fa", ">chr1\nACGT\n")
    namesake = written(tmp_path, "y/genome.fa", ">chr1\nACCT\n")
    copy = written(tmp_path, "copy.fa", ">chr1\nACGT\n")
    cache = tmp_path / "cache"
    with pytest.raises(InputError, match="no file"):
        Corpus.build([], cache)
    with pytest.raises(InputError, match="no sequence"):
        Corpus.from_sequences({})
    with pytest.raises(InputError, match="standard input cannot be"):
        Corpus.build(["-"], cache)
    with pytest.raises(InputError, match=r"genom\.fa: no such file; did you mean 'genome\.fa'"):
        Corpus.build([tmp_path / "x/genom.fa"], cache)
    with pytest.raises(InputError, match="species 'genome' is already"):
        Corpus.build([first, namesake], cache)
    with pytest.raises(InputError, match="same content as"):
        Corpus.build([first, copy], cache)
    with pytest.raises(InputError, match="not among the files; did you mean"):
        Corpus.build([first], cache, species={tmp_path / "x/genome.fas": "worm"})
    with pytest.raises(InputError, match="contig 'chr1' occurs in two files of species 'worm'"):
        Corpus.build([first, namesake], cache, species={first: "worm", namesake: "worm"})


def test_a_pickled_corpus_on_disk_takes_its_folder_along_not_its_bases(tmp_path):
    corpus = Corpus.build([written(tmp_path, "a.fa", ">a\n" + "ACGTTGCA" * 2000 + "\n")], tmp_path / "cache")
    sampler = WindowSampler(corpus, 100, seed=1)
    data = pickle.dumps(sampler)
    assert len(data) < 8_000
    assert np.array_equal(pickle.loads(data).windows(np.arange(20)), sampler.windows(np.arange(20)))


def test_a_pickled_corpus_in_memory_is_whole(corpus):
    again = pickle.loads(pickle.dumps(corpus))
    assert np.array_equal(again.packed.base_ids, corpus.packed.base_ids)
    assert again.content_hash == corpus.content_hash


# Windows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "evaluation", "all"])
@pytest.mark.parametrize("both_strands", [True, False])
def test_a_window_is_what_its_place_says(corpus, split, both_strands):
    sampler = WindowSampler(corpus, 100, 7, split=split, reverse_complement=both_strands)
    packed, strands = corpus.packed, set()
    for index in range(200):
        species, place = sampler.locate(index)
        number = next(
            i
            for i, name in enumerate(packed.contig_names)
            if name == place.name and packed.species[packed.contig_species[i]] == species
        )
        first, last = packed.contig_edges[number : number + 2]
        assert place.length == 100
        assert 0 <= place.start < place.end <= last - first
        bases = packed.base_ids[first:last][place.bases]
        assert np.array_equal(sampler[index], bases if place.strand == "+" else reverse_complement(bases))
        strands.add(place.strand)
    assert strands == ({"+", "-"} if both_strands else {"+"})


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_one_by_one_in_any_batch_and_in_a_new_sampler_a_window_is_the_same(corpus, seed):
    sampler = WindowSampler(corpus, 64, seed, species_weights="sqrt")
    indices = np.array([0, 5, 3, 10**6, 2**40, 5])
    batch = sampler.windows(indices)
    assert batch.shape == (6, 64)
    assert np.array_equal(batch, np.stack([sampler[int(index)] for index in indices]))
    assert np.array_equal(batch, WindowSampler(corpus, 64, seed, species_weights="sqrt").windows(indices))
    assert np.array_equal(batch[::-1], sampler.windows(indices[::-1]))
    many = np.arange(3000)
    assert np.array_equal(sampler.windows(many), np.stack([sampler[index] for index in range(3000)]))


def test_seeds_give_other_windows(corpus):
    first, second = (WindowSampler(corpus, 64, seed).windows(np.arange(50)) for seed in (0, 1))
    assert (first != second).any(axis=1).all()


def test_windows_can_be_written_to_without_touching_the_corpus(corpus):
    sampler = WindowSampler(corpus, 64, 0)
    expected = sampler.windows(np.arange(8))
    for index in range(8):
        sampler[index][:] = 4
    sampler.windows(np.arange(8))[:] = 4
    assert np.array_equal(sampler.windows(np.arange(8)), expected)


def test_no_window_number_below_zero(corpus):
    sampler = WindowSampler(corpus, 64, 0)
    with pytest.raises(IndexError, match="below 0"):
        sampler[-1]
    with pytest.raises(IndexError, match="below 0"):
        sampler.windows(np.array([3, -1]))


def test_no_window_at_all_is_an_empty_batch(corpus):
    assert WindowSampler(corpus, 64, 0).windows(np.arange(0)).shape == (0, 64)


def test_train_and_evaluation_windows_share_no_base_whatever_the_seed(corpus):
    seen = {}
    for split, seed in (("train", 0), ("evaluation", 1)):
        sampler = WindowSampler(corpus, 200, seed, split=split, species_weights="uniform")
        covered = np.zeros(corpus.num_bases, bool)
        for start in sampler._places(np.arange(3000))[0]:
            covered[start : start + 200] = True
        seen[split] = covered
    assert not (seen["train"] & seen["evaluation"]).any()
    assert seen["train"].sum() > 0.8 * 0.95 * (corpus.num_bases - 4_000)


@pytest.mark.parametrize("max_n_fraction", [0.0, 0.25, 0.5])
def test_windows_of_too_many_n_never_come(corpus, max_n_fraction):
    windows = WindowSampler(corpus, 400, 0, max_n_fraction=max_n_fraction).windows(np.arange(3000))
    fractions = (windows == 4).mean(axis=1)
    assert fractions.max() <= max_n_fraction
    if max_n_fraction:
        assert fractions.max() > 0.7 * max_n_fraction


def test_starts_and_strands_are_equally_likely():
    corpus = Corpus.from_sequences({"a": [random_sequence("c", 24), random_sequence("d", 14, n_from=0, n_to=2)]})
    sampler = WindowSampler(corpus, 5, 0, split="all", max_n_fraction=0.0)
    assert sampler.num_windows == 20 + 8
    counts = Counter(sampler.locate(index)[1] for index in range(28_000))
    assert len(counts) == 56
    assert all(400 < count < 600 for count in counts.values())  # 500 expected, standard deviation 22


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (None, [10 / 61.05, 5.05 / 61.05, 46 / 61.05]),
        ("proportional", [10 / 61.05, 5.05 / 61.05, 46 / 61.05]),
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ("sqrt", np.sqrt([10, 5.05, 46]) / np.sqrt([10, 5.05, 46]).sum()),
        ({"ecoli": 1, "virus": 3, "yeast": 0}, [0.25, 0.75, 0]),
    ],
)
def test_species_come_by_their_weights(corpus, weights, expected):
    sampler = WindowSampler(corpus, 100, 0, species_weights=weights)
    counts = Counter(sampler.locate(index)[0] for index in range(10_000))
    for species, share in zip(corpus.species, expected):
        assert sampler.species_weights.get(species, 0) == pytest.approx(share)
        assert counts[species] / 10_000 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"window": 0}, "window of 0"),
        ({"seed": -1}, "seed -1"),
        ({"max_n_fraction": 1.5}, "max_n_fraction 1.5"),
        ({"split": "eval"}, "did you mean 'evaluation'"),
        ({"species_weights": "squirt"}, "did you mean 'sqrt'"),
        ({"species_weights": {"yeats": 1.0}}, "did you mean 'yeast'"),
        ({"species_weights": {"yeast": 1.0}}, "leave out 'ecoli'"),
        ({"species_weights": {"yeast": -1.0, "ecoli": 1.0, "virus": 1.0}}, "weight of 'yeast' is -1.0"),
        ({"species_weights": {"yeast": 0.0, "ecoli": 0.0, "virus": 0.0}}, "no species with a weight above 0"),
        ({"window": 6000}, "no window of 6000 bases fits 'virus' .* longest contig 5000"),
    ],
)
def test_bad_arguments_are_one_line(corpus, arguments, said):
    with pytest.raises(InputError, match=said) as error:
        WindowSampler(corpus, **{"window": 100, "seed": 0, **arguments})
    assert "\n" not in str(error.value)


def test_a_corpus_of_n_alone_has_no_window():
    corpus = Corpus.from_sequences({"a": [Sequence("c", np.full(1000, 4, np.uint8))]})
    with pytest.raises(InputError, match="no window of 100 bases fits 'a'"):
        WindowSampler(corpus, 100, 0)
    with pytest.raises(InputError, match="no window of 100 bases fits 'a'"):
        WindowSampler(corpus, 100, 0, split="evaluation")
    assert (WindowSampler(corpus, 100, 0, split="all", max_n_fraction=1.0)[0] == 4).all()


def test_one_eligible_window_among_many_is_found():
    base_ids = np.full(100_000, 4, np.uint8)
    base_ids[54_321:54_331] = to_base_ids("ACGTTGCAAC").base_ids
    corpus = Corpus.from_sequences({"a": [Sequence("c", base_ids)]})
    sampler = WindowSampler(corpus, 10, 3, split="all", max_n_fraction=0.0)
    assert sampler.num_windows == 1
    species, place = sampler.locate(99)
    assert (species, place.name, place.start, place.end) == ("a", "c", 54_321, 54_331)


def test_a_species_too_small_to_hold_out_is_absent_from_evaluation_only():
    corpus = Corpus.from_sequences({"big": [random_sequence("c", 50_000)], "small": [random_sequence("c", 150)]})
    assert set(WindowSampler(corpus, 100, 0).species_weights) == {"big", "small"}
    assert set(WindowSampler(corpus, 100, 0, split="evaluation").species_weights) == {"big"}
