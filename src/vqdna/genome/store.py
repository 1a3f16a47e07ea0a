"""The packed store: all bases of a corpus in one memory-mapped file, built once for each content of its source files.

Flow: sequence files -> folder {bases.u8, contigs.npy, n_runs.npy, names.txt, corpus.json} -> PackedBases.
A store is built in a hidden folder and renamed when whole, so a crash leaves nothing that looks whole, and of two
processes that build the same store at once the second takes the first one's. It must not know windows, splits or seeds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int, UInt8

from vqdna.errors import InputError
from vqdna.genome.bases import Gaps, N
from vqdna.genome.sequences import RepeatedNames, Sequence, read_sequences
from vqdna.genome.streams import existing_file

# Part of every content hash: raise it whenever the reader or the layout changes what a store holds.
STORE_VERSION = 1


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A sequence file, the species it belongs to, and the hash of its bytes."""

    path: Path
    species: str
    sha256: str

    @classmethod
    def of(cls, path: Path, species: str) -> SourceFile:
        """Source file with its hash taken; InputError where there is no such file."""
        with existing_file(path).open("rb") as file:
            return cls(path, species, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True, eq=False, slots=True)
class PackedBases:
    """Contigs of several species end to end, ordered by species.

    Attributes:
        contig_edges: contig c is `base_ids[contig_edges[c]:contig_edges[c + 1]]`.
        contig_species: index into `species`, never decreasing.
        n_runs: start and end of every longest run of N within a contig, in order, in coordinates of `base_ids`.
        num_ambiguous: letters that were IUPAC codes other than N.
    """

    base_ids: UInt8[np.ndarray, "base"]
    species: tuple[str, ...]
    contig_names: tuple[str, ...]
    contig_edges: Int[np.ndarray, "edge"]
    contig_species: Int[np.ndarray, "contig"]
    n_runs: Int[np.ndarray, "run 2"]
    num_ambiguous: int
    content_hash: str

    def num_known_bases(self) -> dict[str, int]:
        """Bases other than N of each species."""
        lengths = np.diff(self.contig_edges)
        contig_of_run = np.searchsorted(self.contig_edges, self.n_runs[:, 0], "right") - 1
        np.subtract.at(lengths, contig_of_run, np.diff(self.n_runs)[:, 0])
        return {name: int(lengths[self.contig_species == index].sum()) for index, name in enumerate(self.species)}


def n_runs(base_ids: UInt8[np.ndarray, "base"]) -> Int[np.ndarray, "run 2"]:
    """Start and end of every longest run of N, in order, 0-based half-open."""
    is_n = base_ids == N
    if not is_n.any():
        return np.empty((0, 2), np.int64)
    return np.flatnonzero(np.diff(is_n.view(np.int8), prepend=0, append=0)).reshape(-1, 2)


def pack(
    records: Iterable[tuple[str, Sequence]], write: Callable[[UInt8[np.ndarray, "base"]], object]
) -> Callable[[UInt8[np.ndarray, "base"], str], PackedBases]:
    """Hands every record's bases to `write` in turn; gives a function that makes the result from all bases and a hash.

    Args:
        records: species name and sequence, the records of a species one after another.
        write: takes the bases of each record; they are not held here.
    """
    species: dict[str, int] = {}
    names: dict[tuple[int, str], None] = {}
    edges, runs, num_ambiguous = [0], [np.empty((0, 2), np.int64)], 0
    for species_name, sequence in records:
        name = (species.setdefault(species_name, len(species)), sequence.name)
        if name in names:
            raise InputError(f"contig '{sequence.name}' occurs in two files of species '{species_name}'")
        names[name] = None
        write(sequence.base_ids)
        runs.append(n_runs(sequence.base_ids) + edges[-1])
        edges.append(edges[-1] + sequence.base_ids.size)
        num_ambiguous += sequence.num_ambiguous
    return lambda base_ids, content_hash: PackedBases(
        base_ids,
        tuple(species),
        tuple(contig for _, contig in names),
        np.array(edges, np.int64),
        np.array([index for index, _ in names], np.int64),
        np.concatenate(runs),
        num_ambiguous,
        content_hash,
    )


def pack_in_memory(records: Iterable[tuple[str, Sequence]]) -> PackedBases:
    """The records packed without a file; the hash is over species, names and bases."""
    parts: list[UInt8[np.ndarray, "_"]] = []
    packed = pack(records, parts.append)
    base_ids = np.concatenate([np.empty(0, np.uint8), *parts])
    whole = packed(base_ids, "")
    digest = hashlib.sha256(json.dumps([whole.species, whole.contig_names, whole.contig_edges.tolist()]).encode())
    digest.update(base_ids.tobytes())
    return packed(base_ids, digest.hexdigest())


def content_hash(files: Iterable[SourceFile], gaps: Gaps, repeated_names: RepeatedNames = "error") -> str:
    """Hash of the files' bytes, their species, the options and the store's version; not of the files' names."""
    described = [[file.species, file.sha256] for file in files]
    options = [gaps] if repeated_names == "error" else [gaps, repeated_names]
    return hashlib.sha256(json.dumps([STORE_VERSION, *options, described]).encode()).hexdigest()


def open_or_build(
    files: list[SourceFile], cache: Path, gaps: Gaps, repeated_names: RepeatedNames = "error"
) -> tuple[PackedBases, Path]:
    """Store of `files` below `cache`, built if it is not there or not whole, and its folder.

    Raises:
        InputError: a file is at fault, or the store cannot be written.
    """
    key = content_hash(files, gaps, repeated_names)
    older = cache.parent / key[:32]  # stores lay in VQDNA_CACHE itself before each kind had a folder of its own
    folder = older if (older / "corpus.json").is_file() else cache / key[:32]
    packed = open_store(folder)
    if packed is None:
        try:
            _build(files, folder, key, gaps, repeated_names)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{cache}: the corpus store cannot be written ({reason}); VQDNA_CACHE names another"
            ) from None
        packed = open_store(folder)
    if packed is None:
        raise InputError(f"{folder}: the corpus store was damaged while it was opened; remove the folder")
    return packed, folder


def open_store(folder: Path) -> PackedBases | None:
    """Store in `folder`, its bases memory-mapped; None where there is none or where it is not whole."""
    try:
        record = json.loads((folder / "corpus.json").read_text())
        # Mapped, not read: processes share the pages, and a window costs the pages that it lies on. A plain view of the
        # map, for slicing a `memmap` itself is several times slower.
        base_ids = np.memmap(folder / "bases.u8", np.uint8, "r").view(np.ndarray)
        names = (folder / "names.txt").read_text(encoding="utf-8").split("\n")  # a name has no line end
        contigs = np.load(folder / "contigs.npy", allow_pickle=False)
        runs = np.load(folder / "n_runs.npy", allow_pickle=False)
    except (OSError, ValueError):
        return None
    # A store of another version is as good as none: it is built again.
    if record["version"] != STORE_VERSION or base_ids.size != record["num_bases"] or len(names) != len(contigs):
        return None
    edges = np.append(contigs[:, 1], base_ids.size)
    species = tuple(record["species"])
    return PackedBases(
        base_ids, species, tuple(names), edges, contigs[:, 0], runs, record["num_ambiguous"], record["content_hash"]
    )


def _build(files: list[SourceFile], folder: Path, key: str, gaps: Gaps, repeated_names: RepeatedNames) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # A hidden folder beside the final one, for renaming is atomic only within one file system. Everything is flushed
    # before the rename, else a power cut could leave a folder of the right name with files of zeros.
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        with _synced(temporary / "bases.u8") as file:  # record by record: the genome may be larger than the memory
            finish = pack(_records(files, gaps, repeated_names), lambda base_ids: file.write(base_ids.data))
        packed = finish(np.empty(0, np.uint8), key)
        contigs = np.stack([packed.contig_species, packed.contig_edges[:-1]], axis=1)
        for name, table in (("contigs.npy", contigs), ("n_runs.npy", packed.n_runs)):
            with _synced(temporary / name) as file:
                np.save(file, table, allow_pickle=False)
        with _synced(temporary / "names.txt") as file:
            file.write("\n".join(packed.contig_names).encode("utf-8"))
        record = {
            "version": STORE_VERSION,
            "content_hash": packed.content_hash,
            "num_bases": int(packed.contig_edges[-1]),
            "num_ambiguous": packed.num_ambiguous,
            "species": packed.species,
            "gaps": gaps,
            "sources": [asdict(source) | {"path": source.path.name} for source in files],
        }
        with _synced(temporary / "corpus.json") as file:
            file.write((json.dumps(record, indent=2) + "\n").encode())
        temporary.chmod(0o755)  # mkdtemp's folders are closed to other users, who may share this cache
        _publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _records(files: list[SourceFile], gaps: Gaps, repeated_names: RepeatedNames) -> Iterator[tuple[str, Sequence]]:
    for file in files:
        for sequence in read_sequences(file.path, gaps=gaps, repeated_names=repeated_names):
            yield file.species, sequence


@contextlib.contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    """New file at `path`; its bytes are on disk when the block ends."""
    with path.open("wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _publish(temporary: Path, folder: Path) -> None:
    """Renames `temporary` to `folder`, unless another process has put a whole store there first."""
    for _ in range(2):  # a damaged store may be in the way the first time
        with contextlib.suppress(OSError):
            temporary.rename(folder)
            return
        if open_store(folder) is not None:
            return
        damaged = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        with contextlib.suppress(OSError):
            folder.rename(damaged)  # aside first, so that no reader sees it half removed
        shutil.rmtree(damaged, ignore_errors=True)
    temporary.rename(folder)
