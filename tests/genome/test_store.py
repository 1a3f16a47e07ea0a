from __future__ import annotations

import gzip
import multiprocessing
import shutil

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.genome import store
from vqdna.genome.corpus import Corpus

FASTA = b">chr1\nACGTNNRA\n>chr2\nGGCC\n"


@pytest.fixture
def genome(tmp_path):
    path = tmp_path / "yeast.fa"
    path.write_bytes(FASTA)
    return path


def stores(cache):
    return sorted(path.name for path in cache.iterdir())


def test_the_store_by_hand(genome, tmp_path):
    corpus = Corpus.build([genome], tmp_path / "cache")
    assert corpus.packed.base_ids.tolist() == [0, 1, 2, 3, 4, 4, 4, 0, 2, 2, 1, 1]
    assert corpus.packed.contig_names == ("chr1", "chr2")
    assert corpus.packed.contig_edges.tolist() == [0, 8, 12]
    assert corpus.packed.n_runs.tolist() == [[4, 7]]
    assert corpus.packed.contig_species.tolist() == [0, 0]
    assert (corpus.species, corpus.num_bases, corpus.packed.num_ambiguous) == (("yeast",), 12, 1)


def test_a_second_build_of_the_same_content_reads_no_sequence(genome, tmp_path, monkeypatch):
    first = Corpus.build([genome], tmp_path / "cache")
    monkeypatch.setattr(store, "read_sequences", lambda *_, **__: pytest.fail("read the file again"))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.copy(genome, moved)
    again = Corpus.build([moved / genome.name], tmp_path / "cache")
    assert again.content_hash == first.content_hash
    assert again.folder == first.folder


def test_another_content_species_or_option_is_another_store(genome, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    hashes = {
        Corpus.build([genome], cache).content_hash,
        Corpus.build([genome], cache, species={genome: "other"}).content_hash,
        Corpus.build([genome], cache, gaps="drop").content_hash,
    }
    genome.write_bytes(FASTA.replace(b"GGCC", b"GGCA"))
    hashes.add(Corpus.build([genome], cache).content_hash)
    monkeypatch.setattr(store, "STORE_VERSION", store.STORE_VERSION + 1)
    hashes.add(Corpus.build([genome], cache).content_hash)
    assert len(hashes) == 5
    assert len(stores(cache)) == 5


def test_the_bases_are_mapped_read_only(genome, tmp_path):
    base_ids = Corpus.build([genome], tmp_path / "cache").packed.base_ids
    assert isinstance(base_ids.base, np.memmap)
    assert not base_ids.flags.writeable


def test_the_cache_is_the_argument_else_the_variable_else_below_home(genome, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VQDNA_CACHE", raising=False)
    assert Corpus.build([genome]).folder.parent == tmp_path / "home/.cache/vqdna/corpora"
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "named"))
    assert Corpus.build([genome]).folder.parent == tmp_path / "named/corpora"
    assert Corpus.build([genome], tmp_path / "given").folder.parent == tmp_path / "given"


def test_a_store_in_the_cache_itself_is_still_opened(genome, tmp_path):
    older = Corpus.build([genome], tmp_path).folder
    written = (older / "corpus.json").stat().st_mtime_ns
    assert Corpus.build([genome], tmp_path / "corpora").folder == older
    assert (older / "corpus.json").stat().st_mtime_ns == written


def test_a_bad_file_leaves_nothing_in_the_cache(genome, tmp_path):
    bad = tmp_path / "bad.fa.gz"
    bad.write_bytes(gzip.compress(FASTA)[:-4])
    with pytest.raises(InputError, match="truncated gzip"):
        Corpus.build([genome, bad], tmp_path / "cache")
    assert stores(tmp_path / "cache") == []


@pytest.mark.parametrize("victim", ["bases.u8", "names.txt", "contigs.npy", "n_runs.npy", "corpus.json"])
@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_damaged_store_is_built_anew(genome, tmp_path, victim, damage):
    folder = Corpus.build([genome], tmp_path / "cache").folder
    path = folder / victim
    content = path.read_bytes()
    path.unlink()
    if damage == "short":
        path.write_bytes(content[: len(content) // 2])
    corpus = Corpus.build([genome], tmp_path / "cache")
    assert corpus.packed.contig_names == ("chr1", "chr2")
    assert path.read_bytes() == content
    assert stores(tmp_path / "cache") == [folder.name]


def _die_before_rename(paths, cache):
    store._publish = lambda *_: store.os._exit(9)
    Corpus.build(paths, cache)


def test_a_build_that_is_killed_leaves_nothing_that_looks_whole(genome, tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=_die_before_rename, args=([genome], tmp_path / "cache")
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    (left,) = stores(tmp_path / "cache")
    assert left.startswith(".")
    corpus = Corpus.build([genome], tmp_path / "cache")
    assert corpus.num_bases == 12
    assert corpus.folder.name in stores(tmp_path / "cache")


def test_of_two_builds_at_once_both_end_well(genome, tmp_path, monkeypatch):
    cache, inner = tmp_path / "cache", []
    publish = store._publish

    def overtaken(temporary, folder):
        if not inner:
            inner.append(None)
            inner[0] = Corpus.build([genome], cache)
        publish(temporary, folder)

    monkeypatch.setattr(store, "_publish", overtaken)
    outer = Corpus.build([genome], cache)
    assert np.array_equal(outer.packed.base_ids, inner[0].packed.base_ids)
    assert stores(cache) == [outer.folder.name]


def _build(arguments):
    return Corpus.build(*arguments).packed.base_ids.tolist()


def test_several_processes_build_one_store(genome, tmp_path):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        results = pool.map(_build, [([genome], tmp_path / "cache")] * 8, chunksize=1)
    assert all(result == results[0] for result in results)
    assert len(stores(tmp_path / "cache")) == 1


def test_a_cache_that_cannot_be_written_is_one_line(genome, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"cannot be written .*VQDNA_CACHE") as error:
        Corpus.build([genome], tmp_path / "cache")
    assert "\n" not in str(error.value)
