from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from vqdna.errors import InputError
from vqdna.tasks.covid_windows import VARIANTS_FILE, WindowSizes, variant_window_files, window_tables
from vqdna.tasks.loading import read_labelled
from vqdna.tasks.registry import COVID_WINDOWS, dataset, find_dataset, known_dataset

SIZES = WindowSizes(train=4, dev=2, test=3, windows_per_genome=3, window=50)


def write_genomes(path: Path, per_class: int, length: int = 300, copies: int = 0) -> dict[str, str]:
    """Text of each genome by name: two classes, `copies` exact copies of the first genome at the end of each class."""
    random = np.random.default_rng(0)
    texts, lines = {}, []
    for name in ("Alpha", "Beta"):
        for number in range(per_class + copies):
            copied = number >= per_class
            text = texts["Alpha_0"] if copied else "".join(random.choice(list("ACGT"), length))
            texts[f"{name}_{number}"] = text
            lines += [f">{name}_{number} {name} B.1.{number}\n", text + "\n"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return texts


@pytest.fixture
def data_root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VQDNA_CACHE", str(tmp_path / "cache"))
    write_genomes(tmp_path / "data" / VARIANTS_FILE, 12)
    return tmp_path / "data"


def genomes_of(lines: list[str]) -> set[str]:
    return {line.strip().split(",")[2].partition(":")[0] for line in lines[1:]}


def test_windows_are_cut_from_their_genome_where_their_name_says(tmp_path):
    texts = write_genomes(tmp_path / "v.fa.gz", 12)
    for lines in window_tables(tmp_path / "v.fa.gz", SIZES).values():
        for line in lines[1:]:
            sequence, label, name = line.strip().split(",")
            genome, _, span = name.partition(":")
            start, end = map(int, span.split("-"))
            assert sequence == texts[genome][start:end]
            assert len(sequence) == SIZES.window
            assert label == genome.partition("_")[0]


def test_no_genome_is_in_two_splits_and_each_class_has_its_number(tmp_path):
    write_genomes(tmp_path / "v.fa.gz", 12)
    tables = window_tables(tmp_path / "v.fa.gz", SIZES)
    genomes = {split: genomes_of(lines) for split, lines in tables.items()}
    assert not genomes["train"] & genomes["dev"] | genomes["train"] & genomes["test"] | genomes["dev"] & genomes["test"]
    for split, lines in tables.items():
        count = getattr(SIZES, split)
        assert len(lines) - 1 == 2 * count * SIZES.windows_per_genome
        assert sum(name.startswith("Beta") for name in genomes[split]) == count


def test_copies_of_a_genome_count_once(tmp_path):
    write_genomes(tmp_path / "v.fa.gz", 9, copies=8)
    tables = window_tables(tmp_path / "v.fa.gz", SIZES)
    copies = {f"{name}_{number}" for name in ("Alpha", "Beta") for number in range(9, 17)}
    assert not copies & set().union(*map(genomes_of, tables.values()))
    with pytest.raises(
        InputError, match=r"class 'Alpha' has 9 different genomes, expected 10 \(5 train, 2 dev, 3 test\)"
    ):
        window_tables(tmp_path / "v.fa.gz", WindowSizes(train=5, dev=2, test=3, window=50))


def test_the_seed_decides_all_draws(tmp_path):
    write_genomes(tmp_path / "v.fa.gz", 12)
    source = tmp_path / "v.fa.gz"
    assert window_tables(source, SIZES) == window_tables(source, SIZES)
    other = WindowSizes(**{**SIZES.__dict__, "seed": 1})
    assert genomes_of(window_tables(source, SIZES)["train"]) != genomes_of(window_tables(source, other)["train"])


def test_tables_are_written_once_and_read_like_any_other(data_root, tmp_path):
    files = variant_window_files(data_root, SIZES)
    assert files["train"].is_relative_to(tmp_path / "cache" / COVID_WINDOWS)
    written = {split: path.stat().st_mtime_ns for split, path in files.items()}
    assert variant_window_files(data_root, SIZES) == files
    assert {split: path.stat().st_mtime_ns for split, path in files.items()} == written
    train = read_labelled(files["train"])
    assert (len(train), train.class_names, set(train.lengths)) == (24, ("Alpha", "Beta"), {50})
    assert known_dataset(files["train"]) == COVID_WINDOWS
    assert variant_window_files(data_root, WindowSizes(4, 2, 3, 1, 50))["train"] != files["train"]


def test_the_registry_knows_the_windows_and_their_metric(data_root):
    row = dataset(COVID_WINDOWS)
    assert (row.metric, row.classes, row.length, row.train) == ("f1_macro", 9, 1000, 3600)
    with pytest.raises(InputError, match=r"class 'Alpha' has 12 different genomes, expected 300"):
        find_dataset(COVID_WINDOWS, data_root)
    with pytest.raises(InputError, match=r"no dataset 'covid-window' .*did you mean 'covid-windows'"):
        dataset("covid-window")


def test_without_the_genomes_one_line_says_what_is_missing(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=f"covid-windows: no {VARIANTS_FILE} under the data root {tmp_path}"):
        find_dataset(COVID_WINDOWS, tmp_path)
    monkeypatch.delenv("VQDNA_DATA", raising=False)
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(InputError, match="covid-windows needs the data root: set VQDNA_DATA"):
        find_dataset(COVID_WINDOWS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (">a Alpha\nACGT\n", "class 'Alpha' has 1 different genomes"),
        (">a\nACGT\n", "record 1: expected a header '>id class lineage', got 'a'"),
    ],
)
def test_genomes_that_do_not_fit_are_refused(tmp_path, text, expected):
    (tmp_path / "v.fa").write_text(text)
    with pytest.raises(InputError, match=expected):
        window_tables(tmp_path / "v.fa", SIZES)


def test_a_genome_shorter_than_a_window_is_refused(tmp_path):
    write_genomes(tmp_path / "v.fa.gz", 9, length=40)
    with pytest.raises(InputError, match=r"genome 'Alpha_\d' has 40 bases, expected 50 or more"):
        window_tables(tmp_path / "v.fa.gz", SIZES)
