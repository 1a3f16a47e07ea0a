from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from vqdna.errors import InputError
from vqdna.studies.species.sets import SpeciesSet, find_species_set, sets_at_hand, shipped_sets


def write(path: Path, *records: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f">{header}\nACGTACGTAC\nGGTT\n" for header in records))
    return path


def test_every_fasta_file_of_a_folder_is_a_species_and_chromosome_files_go_together(tmp_path):
    for name in ("cat.fa", "deep/dog.fasta", "pig/chr1.fa", "pig/chrX.fna"):
        write(tmp_path / name, f"{name.split('.')[0].split('/')[-1]}")
    found = find_species_set(tmp_path)
    assert {species: [path.name for path in paths] for species, paths in found.files.items()} == {
        "cat": ["cat.fa"],
        "dog": ["dog.fasta"],
        "pig": ["chr1.fa", "chrX.fna"],
    }
    assert found.corpus().species == ("cat", "dog", "pig")


@pytest.mark.parametrize(("ending", "mark"), [("csv", ","), ("tsv", "\t")])
def test_a_table_names_species_by_rows(tmp_path, ending, mark):
    for name in ("one.fa", "two.fa", "three.fa"):
        write(tmp_path / "genomes" / name, name)
    rows = [("note", "species", "file"), ("", "cat", "genomes/one.fa"), ("", "dog", "genomes/two.fa")]
    rows.append(("second", "cat", "genomes/three.fa"))
    table = tmp_path / f"mine.{ending}"
    table.write_text("".join(mark.join(row) + "\n" for row in rows))
    found = find_species_set(table)
    assert found.name == "mine"
    assert [path.name for path in found.files["cat"]] == ["one.fa", "three.fa"]


def test_chromosomes_are_read_off_header_name_or_file(tmp_path):
    headers = (
        "CM1.1 Sus scrofa isolate 3 chromosome 5, whole genome",
        "chr12",
        "x",
        "7 plasmid",
        "scaffold_8 unplaced",
    )
    one = write(tmp_path / "pig.fa", *headers)
    other = write(tmp_path / "cow" / "chr9.fa", "NC_1 Bos taurus", "chrM")
    found = SpeciesSet("s", {"pig": (one,), "cow": (other,)}).chromosomes()
    assert found == {
        ("pig", "CM1.1"): "5",
        ("pig", "chr12"): "12",
        ("pig", "x"): "X",
        ("pig", "7"): "7",
        ("cow", "NC_1"): "9",
        ("cow", "chrM"): "9",
    }


def test_headers_are_found_whatever_the_blocks_cut(tmp_path):
    line = "ACGT" * 700_000  # longer than two blocks of the reader
    path = tmp_path / "long.fa.gz"
    path.write_bytes(gzip.compress(f">chr1 a\n{line}\n>chr2 b\n{line}\n>chr3".encode()))
    found = SpeciesSet("s", {"a": (path,)}).chromosomes()
    assert sorted(found.values()) == ["1", "2", "3"]


def test_the_sets_of_the_package_are_found_in_a_data_root(tmp_path):
    assert {"hyenadna", "mammals", "kingdoms", "klebsiella", "blochmannia"} <= set(shipped_sets())
    assert sets_at_hand(tmp_path) == []
    for name in ("human", "lemur", "mouse", "pig", "hippo"):
        write(tmp_path / "genomes" / "hyenadna" / name / "chr1.fa", f"{name} x")
    assert sets_at_hand(tmp_path) == ["hyenadna"]
    found = find_species_set("hyenadna", tmp_path)
    assert (found.split, len(found.files)) == ("chromosomes", 5)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("mamals", "no set of that name .*did you mean 'mammals'"),
        ("hyenadna", "no genome of human at .*wanted the assembly GCA_009914755.4"),
        ("lonely", "genomes of 1 species, expected two or more"),
        ("head.csv", r"head.csv:1: no column 'species'; did you mean 'specis'"),
        ("gone.csv", r"gone.csv:3: species 'b' with the file 'absent.fa'"),
        ("short.tsv", r"short.tsv:2: 1 cells, expected 2"),
        ("lonely/one.fa", "a table of species ends in .csv or .tsv"),
    ],
)
def test_what_is_no_set_says_why(tmp_path, given, expected):
    write(tmp_path / "lonely" / "one.fa", "a")
    write(tmp_path / "one.fa", "a")
    (tmp_path / "head.csv").write_text("specis,file\n")
    (tmp_path / "gone.csv").write_text("species,file\na,one.fa\nb,absent.fa\n")
    (tmp_path / "short.tsv").write_text("species\tfile\na\n")
    path = tmp_path / given
    with pytest.raises(InputError, match=expected):
        find_species_set(path if path.exists() else given, tmp_path)
