from __future__ import annotations

import sys

import pytest

from vqdna.errors import InputError
from vqdna.genome.cache import KINDS, cache_contents, cache_folder, cache_root, clear_cache


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def filled(root):
    (root / "codes").mkdir(parents=True)
    (root / "codes/a.npz").write_bytes(b"12345")
    for store in (root / "corpora/new", root / "old"):
        store.mkdir(parents=True)
        (store / "corpus.json").write_bytes(b"{}")
    (root / "mine").mkdir()
    (root / "mine/notes.txt").write_text("not ours")
    return root


@pytest.mark.skipif(sys.platform != "linux", reason="the place of other platforms differs")
def test_the_cache_follows_its_variables_on_linux(monkeypatch, tmp_path):
    monkeypatch.delenv("VQDNA_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_root() == tmp_path / "home/.cache/vqdna"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "vqdna"
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "mine"))
    assert cache_root() == tmp_path / "mine"
    monkeypatch.setenv("VQDNA_CACHE", "~/kept")
    assert cache_root() == tmp_path / "home/kept"


def test_each_kind_has_a_folder_of_its_own(root):
    assert cache_folder("codes") == root / "codes"
    with pytest.raises(ValueError, match="corpora"):
        cache_folder("cods")


def test_contents_count_entries_and_bytes_of_both_layouts(root):
    assert [(kind.num_entries, kind.num_bytes) for kind in cache_contents()] == [(0, 0)] * len(KINDS)
    filled(root)
    found = {kind.kind: (kind.num_entries, kind.num_bytes) for kind in cache_contents()}
    assert found == {"corpora": (2, 4), "codes": (1, 5), "tables": (0, 0), "covid-windows": (0, 0)}


def test_clearing_leaves_other_kinds_and_the_files_of_others(root):
    filled(root)
    clear_cache("corpora")
    assert {path.name for path in root.rglob("*") if path.is_file()} == {"a.npz", "notes.txt"}
    clear_cache()
    assert {path.name for path in root.rglob("*") if path.is_file()} == {"notes.txt"}
    with pytest.raises(InputError, match="did you mean 'codes'"):
        clear_cache("code")
