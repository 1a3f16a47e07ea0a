"""Windows of SARS-CoV-2 variant genomes as a nine-class dataset, split by genome before anything is cut.

Flow: FASTA with headers `>id class lineage` -> distinct genomes -> train, dev and test genomes of each class -> windows
at random places -> one table (sequence,label,name) a split, kept in the cache folder. Most windows hold few sites that
tell the classes apart, and some none, as in GUE's virus/covid, which is not at hand. Paper: sections 5.2 and 5.6.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vqdna.errors import InputError
from vqdna.genome import from_base_ids, read_sequences
from vqdna.genome.cache import cache_folder
from vqdna.genome.streams import text_lines
from vqdna.results import write_atomically

VARIANTS_FILE = "sarscov2/variants_9class_balanced900.fa.gz"
REFERENCE_FILE = "sarscov2/MN908947.3_reference.fa.gz"
SUBSTITUTIONS_FILE = "sarscov2/variants_9class_substitutions.tsv.gz"
SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class WindowSizes:
    """How large the dataset is, and the seed of all its draws."""

    train: int = 200  # genomes of each class in the training split, as dev and test are of theirs
    dev: int = 50
    test: int = 50
    windows_per_genome: int = 2
    window: int = 1000  # bases of a window
    seed: int = 0  # of the choice of genomes and places

    def describe(self) -> str:
        """Sizes in a few letters, as the name of a folder."""
        numbers = (self.train, self.dev, self.test, self.windows_per_genome, self.window)
        return "-".join(map(str, numbers)) + f"-seed-{self.seed}"


def variant_window_files(data_root: Path, sizes: WindowSizes, folder: Path | None = None) -> dict[str, Path]:
    """Table of each split, written to `folder` (None: the cache folder) unless it is there already.

    The tables are a function of the genomes and the sizes alone, so processes that write them at once write the same.
    """
    source = data_root / VARIANTS_FILE
    if not source.is_file():
        raise InputError(f"covid-windows: no {VARIANTS_FILE} under the data root {data_root}; put the genomes there")
    stamp = source.stat()
    digest = hashlib.sha256(f"{source.resolve()} {stamp.st_size} {stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    target = (folder / "covid-windows" if folder else cache_folder("covid-windows")) / f"{sizes.describe()}-{digest}"
    tables = {split: target / f"{split}.csv.gz" for split in SPLITS}
    if not all(path.is_file() for path in tables.values()):
        for split, lines in window_tables(source, sizes).items():
            write_atomically(tables[split], gzip.compress("".join(lines).encode(), compresslevel=6, mtime=0))
    return tables


def window_tables(source: Path, sizes: WindowSizes) -> dict[str, list[str]]:
    """CSV lines of each split, header first: windows of genomes that no other split has.

    Of genomes with one and the same sequence only the first counts. A window's name is `genome:start-end`, 0-based and
    half-open.
    """
    class_of = _classes(source)
    split_of = _split_genomes(source, class_of, sizes)
    tables = {split: ["sequence,label,name\n"] for split in SPLITS}
    for number, record in enumerate(read_sequences(source)):
        if record.name not in split_of:
            continue
        # Each genome has draws of its own, so its windows do not depend on which others were chosen.
        random = np.random.default_rng([sizes.seed, number])
        for start, text in _windows(record.name, record.base_ids, sizes, random):
            line = f"{text},{class_of[record.name]},{record.name}:{start}-{start + sizes.window}\n"
            tables[split_of[record.name]].append(line)
    return tables


def _classes(source: Path) -> dict[str, str]:
    """Class of each record by its name, from headers `>id class lineage`."""
    headers = [line[1:].decode("utf-8", "replace").split() for line in text_lines(source) if line.startswith(b">")]
    for number, words in enumerate(headers, 1):
        if len(words) < 2:
            raise InputError(
                f"{source}: record {number}: expected a header '>id class lineage', got '{' '.join(words)}'"
            )
    return {words[0]: words[1] for words in headers}


def _split_genomes(source: Path, class_of: Mapping[str, str], sizes: WindowSizes) -> dict[str, str]:
    """Split of each chosen genome; classes in the order of their names, so that the draw has one meaning."""
    of_class: dict[str, list[str]] = {name: [] for name in sorted(set(class_of.values()))}
    seen: set[bytes] = set()
    for record in read_sequences(source):
        digest = hashlib.blake2b(record.base_ids.tobytes(), digest_size=16).digest()
        if digest not in seen:
            of_class[class_of[record.name]].append(record.name)
        seen.add(digest)
    random, counts = np.random.default_rng(sizes.seed), [sizes.train, sizes.dev, sizes.test]
    split_of: dict[str, str] = {}
    for name, members in of_class.items():
        if len(members) < sum(counts):
            parts = ", ".join(f"{number} {split}" for number, split in zip(counts, SPLITS))
            got = f"class '{name}' has {len(members)} different genomes"
            raise InputError(f"{source}: {got}, expected {sum(counts)} ({parts})")
        drawn = [members[place] for place in random.permutation(len(members))]
        split_of |= dict(zip(drawn, np.repeat(SPLITS, counts).tolist()))
    return split_of


def _windows(
    name: str, base_ids: UInt8[np.ndarray, "base"], sizes: WindowSizes, random: np.random.Generator
) -> Iterator[tuple[int, str]]:
    if len(base_ids) < sizes.window:
        raise InputError(f"genome '{name}' has {len(base_ids)} bases, expected {sizes.window} or more for a window")
    for start in random.integers(0, len(base_ids) - sizes.window + 1, size=sizes.windows_per_genome).tolist():
        yield start, from_base_ids(base_ids[start : start + sizes.window])
