"""The corpus that training reads: packed bases of several species, and random windows of them by number.

Flow: sequence files -> Corpus (memory-mapped, built once per content) -> WindowSampler -> base_ids UInt8[row, window].
Window i is a pure function of (corpus content, seed, i), so a resumed run sees what the uninterrupted one would have.
It must not know tokenizers, batches or training steps.
"""

from __future__ import annotations

import operator
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Bool, Int, UInt8

from vqdna.errors import InputError, nearest_name_hint
from vqdna.genome.bases import Gaps, reverse_complement
from vqdna.genome.cache import cache_folder
from vqdna.genome.intervals import Interval
from vqdna.genome.sampling import (
    SPLITS,
    as_fraction,
    draw_bits,
    draw_bits_of_one,
    draw_key,
    eligible_starts,
    split_spans,
)
from vqdna.genome.sequences import RepeatedNames, Sequence
from vqdna.genome.store import PackedBases, SourceFile, open_or_build, open_store, pack_in_memory

_SUFFIXES = (".gz", ".bgz", ".fa", ".fasta", ".fna", ".ffn", ".fas", ".fq", ".fastq")
_SPECIES_STREAM, _START_STREAM = 0, 1

POWERS = {"proportional": 1.0, "sqrt": 0.5, "uniform": 0.0}
"""Power of its number of bases that a species is weighted by."""

SpeciesWeights = Mapping[str, float | int] | str


class Corpus:
    """Bases of one or more species, packed end to end; species and contigs have names.

    Built by `build` from files or by `from_sequences` in memory. Species are in alphabetical order whatever the order
    of the files. Pickling a corpus that lies on disk takes its folder along, not its bases.
    """

    def __init__(self, packed: PackedBases, folder: Path | None = None) -> None:
        self.packed = packed
        self.folder = folder

    @classmethod
    def build(
        cls,
        paths: Iterable[str | Path],
        cache: str | Path | None = None,
        *,
        species: Mapping[str | Path, str] | None = None,
        gaps: Gaps = "error",
        repeated_names: RepeatedNames = "error",
    ) -> Corpus:
        """Corpus of all records of the files; opened from the cache if files of this content were packed before.

        Args:
            paths: FASTA or FASTQ files, each once.
            cache: folder of packed stores; None is the one in the cache folder.
            species: species name by path; a file not named there is a species of its own, called by its stem.
            gaps: "drop" leaves out `-`, `.` and `*`; "error" refuses them.
            repeated_names: "error" refuses two records of one name in a file; "number" numbers them.

        Raises:
            InputError: no file, a file at fault, one content or stem given twice, or a cache that cannot be written.
        """
        files = _sources([Path(path) for path in paths], {Path(path): name for path, name in (species or {}).items()})
        folder = Path(cache).expanduser() if cache else cache_folder("corpora")
        return cls(*open_or_build(files, folder, gaps, repeated_names))

    @classmethod
    def from_sequences(cls, sequences: Mapping[str, Iterable[Sequence]]) -> Corpus:
        """Corpus in memory of the sequences of each species."""
        packed = pack_in_memory((name, record) for name in sorted(sequences) for record in sequences[name])
        if not packed.base_ids.size:
            raise InputError("a corpus of no sequence; wanted at least one")
        return cls(packed)

    def __reduce__(self) -> tuple[Callable[..., Corpus], tuple[Any, ...]]:
        if self.folder is None:
            return Corpus, (self.packed,)
        return _open_corpus, (self.folder,)

    @property
    def species(self) -> tuple[str, ...]:
        """Species names in alphabetical order."""
        return self.packed.species

    @property
    def num_bases(self) -> int:
        """Bases of all contigs, N included."""
        return int(self.packed.base_ids.size)

    @property
    def content_hash(self) -> str:
        """Hash that changes with the bases, the species or the reading options, and with nothing else."""
        return self.packed.content_hash


class WindowSampler:
    """Endless windows of a corpus: `sampler[i]` is a pure function of the corpus, the arguments and i.

    A species is chosen by its weight, then one of its eligible starts with equal probability, then a strand. A start is
    eligible if its window lies within one span of the split and holds few enough N. Contigs shorter than the window are
    passed over, never padded.

    Attributes:
        species_weights: probability of each species that windows come from. A species too small to hold a window out
            is absent from "evaluation".
        num_windows: eligible starts, that is, distinct windows before strands.
    """

    def __init__(
        self,
        corpus: Corpus,
        window: int,
        seed: int,
        *,
        species_weights: SpeciesWeights | None = None,
        reverse_complement: bool = True,
        max_n_fraction: float = 0.5,
        split: str = "train",
        hold_out: str = "blocks",
    ) -> None:
        """Finds every eligible start of the split.

        Args:
            corpus: what the windows are cut from.
            window: bases of a window, 1 or more.
            seed: 0 or more.
            species_weights: weight of every species, or "proportional" to its bases, N not counted (the default),
                "sqrt" of that, or "uniform".
            reverse_complement: each strand has probability one half; else always the forward one.
            max_n_fraction: largest fraction of N in a window.
            split: "train", "evaluation" or "all"; "evaluation" is about a twentieth of every species and "train" the
                rest, see `sampling.split_spans`.
            hold_out: what "evaluation" is made of, "blocks" of contigs or whole "contigs".

        Raises:
            InputError: an argument is out of range, a weight names no species, or no window fits.
        """
        _check_arguments(window, seed, max_n_fraction, split)
        self.corpus, self.window, self.seed, self.split = corpus, window, seed, split
        self.draws_strand = reverse_complement
        packed = corpus.packed
        max_n = int(max_n_fraction * window + 1e-9)  # 0.29 * 100 is a little less than 29
        # Every eligible start is known beforehand. Rejecting a bad window and choosing again would make window i depend
        # on the windows rejected before it; so it takes exactly one number for the species and one for the start.
        spans = split_spans(packed, window, split, whole_contigs=hold_out == "contigs")
        intervals = eligible_starts(spans, packed.n_runs, window, max_n)
        sizes = intervals[:, 1] - intervals[:, 0]
        owner = packed.contig_species[np.searchsorted(packed.contig_edges, intervals[:, 0], "right") - 1]
        counts = np.bincount(owner, weights=sizes, minlength=len(corpus.species)).astype(np.int64)
        self._check_fit(counts)
        eligible = [name for name, count in zip(corpus.species, counts) if count]
        weights = _weights(species_weights, packed.num_known_bases(), eligible, split)
        self.species_weights: dict[str, float] = weights
        self.num_windows = int(counts.sum())
        chosen = np.array([corpus.species.index(name) for name in weights])
        self._species_ends = np.cumsum(list(weights.values()))
        self._species_ends[-1] = 1.0  # a sum of 0.9999... would leave a number to no species
        # Starts are ranked along the packed bases, so those of a species are one range of ranks.
        self._counts = counts[chosen]
        self._first_ranks = (np.cumsum(counts) - counts)[chosen]
        self._interval_starts = intervals[:, 0]
        self._interval_ranks = np.cumsum(sizes) - sizes
        # The same tables for one number at a time: ndarrays are slow to search item by item.
        self._tables = (
            self._species_ends.tolist(),
            self._counts.tolist(),
            self._first_ranks.tolist(),
            array("q", self._interval_ranks.tobytes()),
            array("q", self._interval_starts.tobytes()),
        )
        self._species_key, self._start_key = draw_key(seed, _SPECIES_STREAM), draw_key(seed, _START_STREAM)

    def __getitem__(self, index: SupportsIndex) -> UInt8[np.ndarray, "window"]:
        """Window number `index`, a new writable array; equal to `windows` of the same number."""
        start, flipped = self._place(operator.index(index))
        window = self.corpus.packed.base_ids[start : start + self.window]
        return reverse_complement(window) if flipped else window.copy()

    def windows(self, indices: Int[np.ndarray, "row"]) -> UInt8[np.ndarray, "row window"]:
        """Windows of these numbers, a new writable array; much faster than one by one."""
        starts, flipped = self._places(np.asarray(indices))
        base_ids = self.corpus.packed.base_ids
        # Row s is base_ids[s : s + window]; what sliding_window_view gives, without its Python overhead.
        every_window: UInt8[np.ndarray, "start window"] = np.ndarray(
            (base_ids.size - self.window + 1, self.window), np.uint8, base_ids, strides=(1, 1)
        )
        windows: UInt8[np.ndarray, "row window"] = every_window[starts]
        if flipped.any():
            windows[flipped] = reverse_complement(windows[flipped])
        return windows

    def locate(self, index: SupportsIndex) -> tuple[str, Interval]:
        """Species and place of window number `index`; strand "-" says that it was reverse complemented."""
        packed, (start, flipped) = self.corpus.packed, self._place(operator.index(index))
        contig = int(np.searchsorted(packed.contig_edges, start, "right")) - 1
        start -= int(packed.contig_edges[contig])
        species = packed.species[packed.contig_species[contig]]
        return species, Interval(packed.contig_names[contig], start, start + self.window, "-" if flipped else "+")

    def _places(self, indices: Int[np.ndarray, "row"]) -> tuple[Int[np.ndarray, "row"], Bool[np.ndarray, "row"]]:
        """Start in the packed bases and whether it is the reverse complement, for each number."""
        if indices.size and indices.min() < 0:
            raise IndexError(f"window number {indices.min()} is below 0")
        bits = draw_bits(self._species_key, indices)
        species = np.searchsorted(self._species_ends, as_fraction(bits), "right")
        ranks = (as_fraction(draw_bits(self._start_key, indices)) * self._counts[species]).astype(np.int64)
        ranks += self._first_ranks[species]
        # Only intervals of starts are held, never single starts: a genome has billions of these.
        interval = np.searchsorted(self._interval_ranks, ranks, "right") - 1
        starts = self._interval_starts[interval] + ranks - self._interval_ranks[interval]
        # The lowest bit takes no part in the species' fraction.
        flipped = (bits & np.uint64(1)).astype(bool) & self.draws_strand
        return starts, flipped

    def _place(self, index: int) -> tuple[int, bool]:
        """What `_places` gives for one number."""
        if index < 0:
            raise IndexError(f"window number {index} is below 0")
        species_ends, counts, first_ranks, interval_ranks, interval_starts = self._tables
        bits = draw_bits_of_one(self._species_key, index)
        species = bisect_right(species_ends, (bits >> 11) * 2.0**-53)
        fraction = (draw_bits_of_one(self._start_key, index) >> 11) * 2.0**-53
        rank = int(fraction * counts[species]) + first_ranks[species]
        interval = bisect_right(interval_ranks, rank) - 1
        return interval_starts[interval] + rank - interval_ranks[interval], bool(bits & 1) and self.draws_strand

    def _check_fit(self, counts: Int[np.ndarray, "species"]) -> None:
        """InputError unless every species has an eligible start; for "evaluation" one species is enough."""
        if counts.all() or (self.split == "evaluation" and counts.any()):
            return
        species = int(np.argmin(counts))
        lengths = np.diff(self.corpus.packed.contig_edges)[self.corpus.packed.contig_species == species]
        raise InputError(
            f"no window of {self.window} bases fits '{self.corpus.species[species]}' (split {self.split}, longest "
            f"contig {lengths.max()} bases, too many of them N?); use a smaller window or leave that file out"
        )


def _weights(
    wanted: SpeciesWeights | None, num_bases: Mapping[str, int], eligible: list[str], split: str
) -> dict[str, float]:
    """Probability of each eligible species that has a weight above 0; they sum to 1."""
    if wanted is None or isinstance(wanted, str):
        rule = wanted or "proportional"
        if rule not in POWERS:
            raise InputError(
                f"species weights '{rule}', wanted one of {', '.join(POWERS)}{nearest_name_hint(rule, POWERS)}"
            )
        # "proportional" lets the largest genome rule, "uniform" reads each base of a small one thousands of times as
        # often; "sqrt" lies between.
        weights = {name: float(max(num_bases[name], 1)) ** POWERS[rule] for name in eligible}
    else:
        _check_weights(wanted, list(num_bases))
        weights = {name: float(wanted[name]) for name in eligible if wanted[name] > 0}
    total = sum(weights.values())
    if not total:
        raise InputError(f"no species with a weight above 0 has a window in split {split}")
    return {name: weight / total for name, weight in weights.items()}


def _check_weights(wanted: Mapping[str, float | int], species: list[str]) -> None:
    for name, weight in wanted.items():
        if name not in species:
            raise InputError(
                f"species weights name '{name}', which is not in the corpus{nearest_name_hint(name, species)}"
            )
        if not 0 <= weight < float("inf"):
            raise InputError(f"species weight of '{name}' is {weight}, wanted 0 or more")
    missing = [name for name in species if name not in wanted]
    if missing:
        raise InputError(f"species weights leave out '{missing[0]}'; give every species a weight, 0 to leave it out")


def _check_arguments(window: int, seed: int, max_n_fraction: float, split: str) -> None:
    if window < 1:
        raise InputError(f"a window of {window} bases, wanted 1 or more")
    if seed < 0:
        raise InputError(f"seed {seed}, wanted 0 or more")
    if not 0 <= max_n_fraction <= 1:
        raise InputError(f"max_n_fraction {max_n_fraction}, wanted 0 to 1")
    if split not in SPLITS:
        raise InputError(f"split '{split}', wanted one of {', '.join(SPLITS)}{nearest_name_hint(split, SPLITS)}")


def _open_corpus(folder: Path) -> Corpus:
    packed = open_store(folder)
    if packed is None:
        raise InputError(f"{folder}: the corpus store is gone or not whole; build the corpus again")
    return Corpus(packed, folder)


def _sources(paths: list[Path], species: Mapping[Path, str]) -> list[SourceFile]:
    """Source files ordered by species and content, each once."""
    if not paths:
        raise InputError("a corpus of no file; wanted at least one FASTA or FASTQ file")
    if Path("-") in paths:
        raise InputError("a corpus is read more than once, which standard input cannot be; save it to a file first")
    unknown = [path for path in species if path not in paths]
    if unknown:
        hint = nearest_name_hint(str(unknown[0]), map(str, paths))
        raise InputError(f"species names '{unknown[0]}', which is not among the files{hint}")
    stems: dict[str, Path] = {}
    by_content: dict[str, Path] = {}
    files = [SourceFile.of(path, species.get(path) or _stem(path)) for path in paths]
    for file in files:
        if twin := by_content.get(file.sha256):
            raise InputError(f"{file.path}: the same content as {twin}; give each file once")
        by_content[file.sha256] = file.path
        if file.path not in species and (namesake := stems.setdefault(file.species, file.path)) != file.path:
            raise InputError(f"{file.path}: species '{file.species}' is already {namesake}; name the species of both")
    return sorted(files, key=lambda file: (file.species, file.sha256))


def _stem(path: Path) -> str:
    """File name without the suffixes of sequence files."""
    name = path.name
    while (suffix := Path(name).suffix).lower() in _SUFFIXES:
        name = name[: -len(suffix)]
    return name
