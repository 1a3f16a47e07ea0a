"""Species sets: which genomes make the classes of species classification, by name, by folder or by table.

Flow: "mammals" (a row of species_sets.yaml) | folder | table `species,file` -> SpeciesSet(files of each species) ->
Corpus, and the chromosome number of each contig where the set is split by it. It must not know lengths or windows.
Paper: section 5.7, the protocol of HyenaDNA.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqdna.config import read_yaml
from vqdna.data_root import find_data_root
from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.corpus import Corpus
from vqdna.genome.streams import sequence_files, text_blocks

SHIPPED_SETS = Path(__file__).with_name("species_sets.yaml")
SPLIT_RULES = ("contigs", "chromosomes")
TABLE_ENDINGS = (".csv", ".tsv")
COLUMNS = ("species", "file")

_NUMBER = r"(\d+|[XYZW])"
_IN_HEADER = re.compile(rf"\bchromosome[\s:_]*{_NUMBER}\b", re.IGNORECASE)
_AS_NAME = re.compile(rf"(?:chr|chromosome)?_?{_NUMBER}", re.IGNORECASE)
_AS_FILE = re.compile(rf"chr_?{_NUMBER}", re.IGNORECASE)


@dataclass(frozen=True)
class SpeciesSet:
    """Genomes whose species are to be told apart.

    Attributes:
        name: of the set, as results and folders call it.
        files: FASTA files of each species.
        split: "contigs" or "chromosomes", see `vqdna.studies.species.splits.SpeciesSplit`.
        about: what the set is, in a line.
        accessions: assembly of each species, where it is a published one.
    """

    name: str
    files: Mapping[str, tuple[Path, ...]]
    split: str = "contigs"
    about: str = ""
    accessions: Mapping[str, str] = field(default_factory=dict)

    def corpus(self) -> Corpus:
        """All contigs of all species, packed; opened from the cache where the same content was packed before."""
        species: dict[str | Path, str] = {path: name for name, paths in self.files.items() for path in paths}
        return Corpus.build(list(species), species=species, repeated_names="number")

    def chromosomes(self) -> dict[tuple[str, str], str]:
        """Chromosome, such as "5" or "X", of each (species, contig) whose header, name or file says it."""
        found: dict[tuple[str, str], str] = {}
        for species, paths in self.files.items():
            for path in paths:
                found |= {(species, name): number for name, number in _numbered_contigs(path)}
        return found


def species_set_names() -> list[str]:
    """Names of the sets that come with the package."""
    return list(read_yaml(SHIPPED_SETS))


def find_species_set(name_or_path: str | Path, data_root: Path | None = None) -> SpeciesSet:
    """Set of that name, of the FASTA files below a folder, or of a table.

    Args:
        name_or_path: a name of `species_set_names`; a folder, in which every FASTA file is a species but those called
            `chr1.fa`, `chr2.fa`, ... are chromosomes of the species that their folder is called by; or a CSV or TSV
            table with the columns species,file, a species in as many rows as it has files.
        data_root: where the named sets' genomes lie; None is where `find_data_root` finds it.

    Raises:
        InputError: none of the three, genomes that are not there, or fewer than two species.
    """
    path = Path(name_or_path)
    if str(name_or_path) in species_set_names():
        return _named_set(str(name_or_path), data_root if data_root is not None else find_data_root())
    if path.is_dir():
        return _checked(SpeciesSet(path.resolve().name, _files_of_folder(path)), path)
    if path.is_file():
        return _checked(SpeciesSet(path.name.split(".")[0], _files_of_table(path)), path)
    known = species_set_names()
    raise InputError(
        f"species '{name_or_path}': no such folder or table, and no set of that name ({', '.join(known)})"
        f"{nearest_name_hint(str(name_or_path), known)}"
    )


def sets_at_hand(data_root: Path | None = None) -> list[str]:
    """Names of the sets whose genomes all lie in the data root."""
    root = data_root if data_root is not None else find_data_root()
    return [] if root is None else [name for name in species_set_names() if not _missing(name, root)]


def _named_set(name: str, root: Path | None) -> SpeciesSet:
    row = read_yaml(SHIPPED_SETS)[name]
    if root is None:
        raise InputError(f"species set '{name}': no data root to find its genomes in; set VQDNA_DATA")
    for species, path, accession in _missing(name, root):
        wanted = f", wanted the assembly {accession} (docs/guides/species.md)" if accession else ""
        raise InputError(f"species set '{name}': no genome of {species} at {path}{wanted}")
    species_rows: dict[str, Any] = row["species"]
    files = {
        species: tuple(sequence_files([root / file for file in about["files"]]))
        for species, about in species_rows.items()
    }
    accessions = {species: about["accession"] for species, about in species_rows.items() if "accession" in about}
    return SpeciesSet(name, files, row.get("split", "contigs"), row["about"], accessions)


def _missing(name: str, root: Path) -> list[tuple[str, Path, str | None]]:
    """Species, place and accession of each genome of a set that is not there."""
    species = read_yaml(SHIPPED_SETS)[name]["species"]
    return [
        (one, root / file, about.get("accession"))
        for one, about in species.items()
        for file in about["files"]
        if not (root / file).exists()
    ]


def _checked(species_set: SpeciesSet, path: Path) -> SpeciesSet:
    if len(species_set.files) < 2:
        raise InputError(f"{path}: genomes of {len(species_set.files)} species, expected two or more to tell apart")
    return species_set


def _files_of_folder(folder: Path) -> dict[str, tuple[Path, ...]]:
    files: dict[str, list[Path]] = {}
    for path in sequence_files([folder]):
        stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
        files.setdefault(path.parent.name if _AS_FILE.fullmatch(stem) else stem, []).append(path)
    return {species: tuple(paths) for species, paths in files.items()}


def _files_of_table(table: Path) -> dict[str, tuple[Path, ...]]:
    if table.suffix not in TABLE_ENDINGS:
        raise InputError(f"{table}: a table of species ends in {' or '.join(TABLE_ENDINGS)}; a genome alone is no set")
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream, delimiter="\t" if table.suffix == ".tsv" else ","))
    header = [name.strip() for name in rows[0]] if rows else []
    for column in COLUMNS:
        if column not in header:
            raise InputError(f"{table}:1: no column '{column}'{nearest_name_hint(column, header)}")
    files: dict[str, list[Path]] = {}
    for number, row in enumerate(rows[1:], 2):
        species, path = _cells(table, number, header, row)
        files.setdefault(species, []).append(path)
    return {species: tuple(sequence_files(paths)) for species, paths in files.items()}


def _cells(table: Path, number: int, header: Sequence[str], row: Sequence[str]) -> tuple[str, Path]:
    """Species and file of one row; the file is sought from the table's folder."""
    if len(row) != len(header):
        raise InputError(f"{table}:{number}: {len(row)} cells, expected {len(header)}")
    species, file = (row[header.index(column)].strip() for column in COLUMNS)
    path = table.parent / file
    if not species or not file or not path.exists():
        raise InputError(f"{table}:{number}: species '{species}' with the file '{file}', which is not there")
    return species, path


def _numbered_contigs(path: Path) -> Iterator[tuple[str, str]]:
    """Name and chromosome of the file's records, as far as something tells the chromosome."""
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0]
    of_file = _AS_FILE.fullmatch(stem)
    for header in _headers(path):
        name, _, description = header.partition(" ")
        match = _AS_NAME.fullmatch(name) or _IN_HEADER.search(description) or of_file
        if match:
            yield name, match[1].upper()


def _headers(path: Path) -> Iterator[str]:
    """FASTA headers without their `>`."""
    pending = b""
    for block in text_blocks(path):
        whole, _, rest = (pending + block).rpartition(b"\n")
        yield from (line[1:].decode("utf-8", "replace") for line in re.findall(rb"^>[^\r\n]*", whole, re.MULTILINE))
        # A line of sequence may be as long as a chromosome: of it nothing but its being there is kept.
        pending = rest if rest.startswith(b">") or not rest else b"N"
    if pending.startswith(b">"):
        yield pending[1:].strip().decode("utf-8", "replace")
