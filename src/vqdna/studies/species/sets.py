"""Species sets: which genomes make the classes of species classification, by name, by folder or by table.

Flow: "mammals" (a row of species_sets.yaml) | folder | table `species,file` -> SpeciesSet(files of each species) ->
Corpus, and the chromosome number of each contig where the set is split by it. It must not know lengths or windows.
Paper: section 5.7, the protocol of HyenaDNA.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vqdna.config import StrictModel, read_yaml
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
    """Genomes whose species are to be told apart: FASTA files by species, and a rule of `SPLIT_RULES`."""

    name: str
    files: Mapping[str, tuple[Path, ...]]
    split: str = "contigs"

    def corpus(self) -> Corpus:
        """All contigs of all species, packed; opened from the cache where the same content was packed before."""
        species: dict[str | Path, str] = {path: name for name, paths in self.files.items() for path in paths}
        return Corpus.build(list(species), species=species, repeated_names="number")

    def chromosomes(self) -> dict[tuple[str, str], str]:
        """Chromosome, such as "5" or "X", of each (species, contig) whose header, name or file says it."""
        return {
            (species, name): number
            for species, paths in self.files.items()
            for path in paths
            for name, number in _numbered_contigs(path)
        }


class ShippedGenome(StrictModel):
    """Genome of a set that comes with the package: files and folders below the data root, and its assembly."""

    files: list[str]
    accession: str | None = None

    def missing(self, root: Path) -> list[Path]:
        return [root / file for file in self.files if not (root / file).exists()]


class ShippedSet(StrictModel):
    """A row of species_sets.yaml."""

    about: str
    split: str = "contigs"
    species: dict[str, ShippedGenome]


def shipped_sets() -> dict[str, ShippedSet]:
    return {name: ShippedSet.model_validate(row) for name, row in read_yaml(SHIPPED_SETS).items()}


def find_species_set(name_or_path: str | Path, data_root: Path | None = None) -> SpeciesSet:
    """Set of that name, of the FASTA files below a folder, or of a table.

    Args:
        name_or_path: a name of `shipped_sets`; a folder, in which every FASTA file is a species but those called
            `chr1.fa`, `chr2.fa`, ... are chromosomes of the species that their folder is called by; or a CSV or TSV
            table with the columns species,file, a species in as many rows as it has files.
        data_root: where the named sets' genomes lie; None is where `find_data_root` finds it.

    Raises:
        InputError: none of the three, genomes that are not there, or fewer than two species.
    """
    name, path, known = str(name_or_path), Path(name_or_path), shipped_sets()
    if name in known:
        return _named_set(name, known[name], data_root if data_root is not None else find_data_root())
    if not path.exists():
        raise InputError(
            f"species '{name}': no such folder or table, and no set of that name ({', '.join(known)})"
            f"{nearest_name_hint(name, known)}"
        )
    files = _files_of_folder(path) if path.is_dir() else _files_of_table(path)
    if len(files) < 2:
        raise InputError(f"{path}: genomes of {len(files)} species, expected two or more to tell apart")
    return SpeciesSet(path.resolve().name if path.is_dir() else path.name.split(".")[0], files)


def sets_at_hand(data_root: Path | None = None) -> list[str]:
    """Names of the sets whose genomes all lie in the data root."""
    root = data_root if data_root is not None else find_data_root()
    if root is None:
        return []
    return [
        name for name, one in shipped_sets().items() if not any(genome.missing(root) for genome in one.species.values())
    ]


def _named_set(name: str, row: ShippedSet, root: Path | None) -> SpeciesSet:
    if root is None:
        raise InputError(f"species set '{name}': no data root to find its genomes in; set VQDNA_DATA")
    for species, genome in row.species.items():
        for path in genome.missing(root):
            wanted = f", wanted the assembly {genome.accession} (docs/guides/species.md)" if genome.accession else ""
            raise InputError(f"species set '{name}': no genome of {species} at {path}{wanted}")
    files = {
        species: tuple(sequence_files([root / file for file in genome.files]))
        for species, genome in row.species.items()
    }
    return SpeciesSet(name, files, row.split)


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
        if len(row) != len(header):
            raise InputError(f"{table}:{number}: {len(row)} cells, expected {len(header)}")
        species, file = (row[header.index(column)].strip() for column in COLUMNS)
        path = table.parent / file
        if not species or not file or not path.exists():
            raise InputError(f"{table}:{number}: species '{species}' with the file '{file}', which is not there")
        files.setdefault(species, []).append(path)
    return {species: tuple(sequence_files(paths)) for species, paths in files.items()}


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
    pending = b""
    for block in text_blocks(path):
        whole, _, rest = (pending + block).rpartition(b"\n")
        yield from (line[1:].decode("utf-8", "replace") for line in re.findall(rb"^>[^\r\n]*", whole, re.MULTILINE))
        # A line of sequence may be as long as a chromosome: of it nothing but its being there is kept.
        pending = rest if rest.startswith(b">") or not rest else b"N"
    if pending.startswith(b">"):
        yield pending[1:].strip().decode("utf-8", "replace")
