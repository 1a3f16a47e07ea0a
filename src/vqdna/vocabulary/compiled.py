"""Codes by table look-up: a level that reads few bases has few inputs, so all its codes are worked out once.

Flow: frozen vocabulary -> one table per level, number of the bases -> code, kept in the cache folder and shared by all
processes -> letters [base] -> codes [base, level]. Words with N or cut off by an end are worked out one by one, and so
is everything until tables pay. It must not know tokenizers. docs/decisions/0014-compiled-vocabularies.md says why.
"""

from __future__ import annotations

import math
import sys
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Bool, Int, UInt8, UInt16
from numpy import ndarray
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from vqdna.errors import InputError
from vqdna.genome.bases import N
from vqdna.genome.cache import cache_folder
from vqdna.quiet import is_watched
from vqdna.results import atomic_output
from vqdna.vocabulary.configuration import VQVAEConfig
from vqdna.vocabulary.convolution import NUM_BASES
from vqdna.vocabulary.exact_codes import (
    MOST_SPELLED,
    OUTSIDE,
    SPELLED,
    ExactCodes,
    Extraction,
    all_words,
    de_bruijn,
    digits_of,
    look_up,
    near_unknown,
    numbers_of,
    sha256_of,
)
from vqdna.vocabulary.quantizer import Quantizer

TILE = 1 << 15
"""Bases looked up at a time: their codes of all levels stay in the processor's cache."""

BLOCK = NUM_BASES**6
"""Words compiled at a time. They share all bases but the last six, and so choose among few codes."""

ON_PROCESSOR = "cpu"
"""Type of device whose codes come from machine code, not from tensors."""

COMPILE_AFTER = 1 << 21
"""Bases whose codes are worked out one by one before tables are made, which takes about as long."""


class KnownTable(NamedTuple):
    """What is known of a table before it is made; a file `DIGEST.npz`.

    Attributes:
        sha256: of the table.
        spelled: codes of words with N or cut off by an end, of levels that read few bases.
        candidates: for each block of words one bit per code, whether any word of the block has it.
        exceptions: number and code of the words that an earlier version, in single precision, gave another code.
    """

    sha256: str
    spelled: UInt16[ndarray, "word"] | None = None
    candidates: UInt8[ndarray, "block byte"] | None = None
    exceptions: Int[ndarray, "word 2"] | None = None

    @classmethod
    def read(cls, path: Path) -> KnownTable:
        """What the file says.

        Raises:
            InputError: the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                parts = {name: held[name] for name in held.files if name != "sha256"}
                return cls(str(held["sha256"]), **parts)
        except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: damaged ({error}); remove it and run `vqdna compile` again") from None

    def write(self, path: Path) -> None:
        """The file, in which parts that are None are missing."""
        parts: dict[str, Any] = {name: np.asarray(part) for name, part in self._asdict().items() if part is not None}
        with atomic_output(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **parts)


class CompiledLevel(NamedTuple):
    """A level's table: how many bases it reads, its size in memory, its hash."""

    num_bases: int
    num_bytes: int
    sha256: str


class CompiledVocabulary:
    """Codes of a vocabulary by look-up; tables are made when they pay and kept in the cache folder for all processes.

    Args:
        config: shape of the vocabulary.
        latent_encoder: frozen.
        quantizer: trained.
        known: folders of `KnownTable` files, the first that has a level's counts.

    Raises:
        InputError: a level reads too many bases.
    """

    def __init__(
        self, config: VQVAEConfig, latent_encoder: nn.Module, quantizer: Quantizer, known: Sequence[Path] = ()
    ) -> None:
        self.exact = ExactCodes(config, latent_encoder, quantizer)
        self.sets, self.reach, self.sizes = self.exact.sets, self.exact.reach, quantizer.level_sizes
        self.extractions = [Extraction.of(own) for own in self.sets]
        self.digests = [self.exact.digest(level) for level in range(len(self.sizes))]
        files = [[folder / f"{digest}.npz" for folder in known] for digest in self.digests]
        self.known = [next((KnownTable.read(path) for path in own if path.is_file()), None) for own in files]
        for level, held in enumerate(self.known):
            if held is not None and held.exceptions is not None:
                self.exact.exceptions[level] = (held.exceptions[:, 0], held.exceptions[:, 1])
        self._tables: dict[int, UInt16[ndarray, "word"]] = {}
        self._spelled: dict[int, UInt16[ndarray, "word"]] = {}
        self._on_device: dict[tuple[int, torch.device], Tensor] = {}
        self._num_worked_out = 0

    def codes(self, bases: UInt8[ndarray, "base"], num_levels: int | None = None) -> UInt16[ndarray, "base level"]:
        """Codes of every position of a row of letters, of the first levels; 0 where the letter itself is OUTSIDE."""
        tables = [self._table_if_it_pays(level, len(bases)) for level in range(num_levels or len(self.sizes))]
        padded = np.pad(bases, self.reach, constant_values=OUTSIDE)
        codes = np.empty((len(bases), len(tables)), dtype=np.uint16)
        for start in range(0, len(bases), TILE):
            tile, letters = codes[start : start + TILE], bases[start : start + TILE]
            first = start + self.reach
            unsure = near_unknown(padded, first, first + len(tile), self.reach)
            unsure = unsure[letters[unsure] != OUTSIDE]
            for level, table in enumerate(tables):
                positions = unsure
                if table is None:
                    positions = np.flatnonzero(letters != OUTSIDE)
                else:
                    look_up(padded, first, self.extractions[level], table, tile[:, level])
                if len(positions):
                    tile[positions, level] = self._worked_out(level, padded, first, positions)
            tile[letters == OUTSIDE] = 0
        return codes

    def codes_of_rows(
        self, rows: Sequence[UInt8[ndarray, "_"]], num_levels: int | None = None
    ) -> list[Int[ndarray, "_ level"]]:
        """Codes of each row, of the first levels, as if it stood alone."""
        if not rows:
            return []
        gap = np.full(self.reach, OUTSIDE, dtype=np.uint8)
        # One long row with gaps between: short rows would each pay for a call of everything.
        codes = self.codes(np.concatenate([part for row in rows for part in (row, gap)]), num_levels)
        ends = np.cumsum([len(row) + self.reach for row in rows]) - self.reach
        codes = codes.view(np.int16) if max(self.sizes) <= np.iinfo(np.int16).max else codes.astype(np.int32)
        return [codes[end - len(row) : end] for row, end in zip(rows, ends, strict=True)]

    def codes_of_batch(
        self,
        base_ids: UInt8[Tensor, "batch base"],
        attention_mask: Bool[Tensor, "batch base"],
        num_levels: int | None = None,
    ) -> Int[Tensor, "batch base level"]:
        """Codes of every position of a batch, on the batch's device; padding, at either end of a row, is OUTSIDE."""
        letters = base_ids.masked_fill(~attention_mask, OUTSIDE)
        padded = nn.functional.pad(letters, (self.reach, self.reach), value=OUTSIDE)
        levels, num_bases = range(num_levels or len(self.sizes)), base_ids.shape[1]
        tables = [self._table_if_it_pays(level, base_ids.numel()) for level in levels]
        if letters.device.type == ON_PROCESSOR or any(table is None for table in tables):
            flat = self.codes(padded.cpu().numpy().ravel(), num_levels)
            rows = flat.reshape(*padded.shape, -1)[:, self.reach : self.reach + num_bases].astype(np.int64)
            return torch.from_numpy(rows).to(letters.device)
        unknown = nn.functional.max_pool1d((padded > 3).float(), 2 * self.reach + 1, stride=1) > 0
        row, position = torch.nonzero(unknown & (letters < OUTSIDE), as_tuple=True)
        # The row numbers of the flat view, whose rows have `reach` more letters on either side.
        flat_places = (row * padded.shape[1] + position).cpu().numpy()
        flat_letters = padded.cpu().numpy().ravel() if len(row) else np.empty(0, dtype=np.uint8)
        found = []
        for level in levels:
            words = torch.zeros(letters.shape, dtype=torch.int64, device=letters.device)
            for offset in self.sets[level]:
                start = self.reach + offset
                words = words * NUM_BASES + (padded[:, start : start + num_bases] & 3)
            codes = self._table_on(level, letters.device)[words].long() & 0xFFFF
            if len(row):
                worked_out = self._worked_out(level, flat_letters, self.reach, flat_places)
                codes[row, position] = torch.from_numpy(worked_out.astype(np.int64)).to(letters.device)
            found.append(codes)
        return torch.stack(found, dim=-1) * attention_mask[..., None]

    def compile(self) -> list[CompiledLevel]:
        """Makes the tables of all levels that have none in the cache, and says what they are."""
        tables = [self._table(level) for level in range(len(self.sizes))]
        return [
            CompiledLevel(len(own), table.nbytes, sha256_of(table))
            for own, table in zip(self.sets, tables, strict=True)
        ]

    def write_known(self, folder: Path, most_distances: float = math.inf) -> None:
        """Writes what is known of the tables, making those that are missing.

        Args:
            folder: where a file for each level goes.
            most_distances: levels whose table takes more distances, words times codes, are left out.
        """
        for level, digest in enumerate(self.digests):
            if NUM_BASES ** len(self.sets[level]) * self.sizes[level] > most_distances:
                continue
            table, exceptions = self._table(level), self.exact.exceptions.get(level)
            spelled, candidates = self._spelled_words(level), None
            if spelled is None and self.exact.is_by_level:
                of_block = np.zeros((len(table) // BLOCK, self.sizes[level]), dtype=bool)
                of_block[np.arange(len(table)) // BLOCK, table] = True
                candidates = np.packbits(of_block, axis=1)
            held = None if exceptions is None else np.stack(exceptions, axis=1)
            KnownTable(sha256_of(table), spelled, candidates, held).write(folder / f"{digest}.npz")

    def _table_if_it_pays(self, level: int, num_bases: int) -> UInt16[ndarray, "word"] | None:
        """The level's table; None while fewer bases were encoded than it takes to make it."""
        if level in self._tables:
            return self._tables[level]
        if not self._is_spelled(level):
            if (held := self._cached(level)) is not None:
                self._tables[level] = held
                return held
            self._num_worked_out += num_bases
            if self._num_worked_out < COMPILE_AFTER:
                return None
        return self._table(level)

    def _is_spelled(self, level: int) -> bool:
        """Whether the level reads so few bases that words with N have a table too."""
        return self.exact.is_by_level and len(self.sets[level]) <= MOST_SPELLED

    def _table(self, level: int) -> UInt16[ndarray, "word"]:
        """The level's table, from memory, from the cache, or made and put there."""
        if level not in self._tables:
            make = self._short_table if self._is_spelled(level) else self._kept_table
            self._tables[level] = make(level)
        return self._tables[level]

    def _short_table(self, level: int) -> UInt16[ndarray, "word"]:
        spelled = cast(ndarray, self._spelled_words(level))
        words = all_words(len(self.sets[level]), NUM_BASES)
        return self._checked(level, spelled[numbers_of(words, SPELLED)])

    def _spelled_words(self, level: int) -> UInt16[ndarray, "word"] | None:
        """Codes of all words of a level that reads few bases, those with N too."""
        if not self._is_spelled(level):
            return None
        known = self.known[level]
        if level not in self._spelled:
            if known is not None and known.spelled is not None:
                self._spelled[level] = known.spelled
            else:
                self._spelled[level] = self.exact.of_words(level, all_words(len(self.sets[level]), SPELLED))
        return self._spelled[level]

    def _kept_table(self, level: int) -> UInt16[ndarray, "word"]:
        """The level's table mapped from the cache, where one process makes it while others wait."""
        held, made, folder = self._cached(level), None, cache_folder("tables")
        if held is not None:
            return held
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f"{self.digests[level]}.lock"):
                held = self._cached(level)
                if held is None:
                    made = self._made(level)
                    for number, table in made.items():
                        self._checked(number, table)
                        path = folder / f"{self.digests[number]}-{sha256_of(table)[:16]}.npy"
                        with atomic_output(path) as temporary, temporary.open("wb") as stream:
                            np.save(stream, table)
                    held = self._cached(level)
        except OSError as error:
            print(f"{folder}: tables are not kept ({error}); they are made again next time", file=sys.stderr)
        return self._checked(level, (made or self._made(level))[level]) if held is None else held

    def _cached(self, level: int) -> UInt16[ndarray, "word"] | None:
        """The level's table in the cache; a damaged file is removed."""
        for path in cache_folder("tables").glob(f"{self.digests[level]}-*.npy"):
            try:
                table: ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):
                table = np.empty(0)
            sha256, known = sha256_of(table), self.known[level]
            if path.stem.endswith(sha256[:16]):
                if known is None or known.sha256 == sha256:
                    return table
                continue  # of the same weights, but not what this vocabulary was saved with
            print(f"{path}: this table is damaged; it is made again", file=sys.stderr)
            path.unlink(missing_ok=True)
        return None

    def _checked(self, level: int, table: UInt16[ndarray, "word"]) -> UInt16[ndarray, "word"]:
        """The table, if it is the one that the vocabulary was saved with.

        Raises:
            InputError: another one; this machine would give other codes.
        """
        known = self.known[level]
        if known is not None and known.sha256 != sha256_of(table):
            hashes = f"SHA-256 {sha256_of(table)[:16]}, expected {known.sha256[:16]}"
            raise InputError(
                f"level {level}: this machine makes another table than the vocabulary was saved with ({hashes})"
            )
        return table

    def _made(self, level: int) -> dict[int, UInt16[ndarray, "word"]]:
        """The level's table made anew, and those of all levels where they come together."""
        if not self.exact.is_by_level:
            return self._made_of_all_words()
        num_bases, known = len(self.sets[level]), self.known[level]
        table = np.empty(NUM_BASES**num_bases, dtype=np.uint16)
        block = min(BLOCK, len(table))
        last = all_words(min(num_bases, 6), NUM_BASES)

        def fill(number: int) -> None:
            words = np.empty((block, num_bases), dtype=np.uint8)
            words[:, -last.shape[1] :] = last
            words[:, : -last.shape[1]] = digits_of(np.array([number]), num_bases - last.shape[1], NUM_BASES)
            among = None
            if known is not None and known.candidates is not None:
                among = np.flatnonzero(np.unpackbits(known.candidates[number], count=self.sizes[level]))
            table[number * block : (number + 1) * block] = self.exact.of_words(level, words, among)

        _in_threads(fill, len(table) // block, f"compiling level {level}, {len(table):,} words")
        return {level: table}

    def _made_of_all_words(self) -> dict[int, UInt16[ndarray, "word"]]:
        """Tables of all levels of a convolutional vocabulary, from one row that holds each word once."""
        widest = max(self.sets, key=len)
        row = de_bruijn(len(widest))
        # Round the circle by what lies on both sides of a position, which is more than a lopsided set reads.
        row = np.concatenate([row, row[: 2 * self.reach]])
        tables = {n: np.full(NUM_BASES ** len(own), 0xFFFF, np.uint16) for n, own in enumerate(self.sets)}

        def fill(number: int) -> None:
            # A level of fewer bases meets each of its words several times, always with the same code.
            first, end = number * TILE, min((number + 1) * TILE, len(row))
            letters = row[max(0, first - self.reach) : end + self.reach]
            codes = self.exact.of_rows(letters[None])[0]
            for level, own in enumerate(self.sets):
                middles = np.arange(self.reach, len(letters) - self.reach)
                words = numbers_of(letters[middles[:, None] + np.array(own)], NUM_BASES)
                tables[level][words] = codes[middles, level]

        _in_threads(fill, -(-len(row) // TILE), f"compiling {len(tables)} levels, {len(row):,} words")
        return tables

    def _worked_out(
        self, level: int, letters: UInt8[ndarray, "_"], first: int, positions: Int[ndarray, "position"]
    ) -> UInt16[ndarray, "position"]:
        """Codes of some positions without the level's table: words with N, cut off by an end, or simply few."""
        if self.exact.is_by_level:
            words = np.minimum(letters[(first + positions)[:, None] + np.array(self.sets[level])], N)
            spelled = self._spelled_words(level)
            numbers = numbers_of(words, SPELLED)
            if spelled is None:
                distinct, numbers = np.unique(numbers, return_inverse=True)
                spelled = self.exact.of_words(level, digits_of(distinct, words.shape[1], SPELLED))
            codes: ndarray = spelled[numbers]
            return codes
        windows = letters[(first + positions)[:, None] + np.arange(-self.reach, self.reach + 1)]
        distinct, inverse = np.unique(windows, axis=0, return_inverse=True)
        found: ndarray = self.exact.of_rows(distinct)[inverse.ravel(), self.reach, level]
        return found

    def _table_on(self, level: int, device: torch.device) -> Tensor:
        if (level, device) not in self._on_device:
            held = torch.from_numpy(np.array(self._table(level)).view(np.int16))
            self._on_device[level, device] = held.to(device)
        return self._on_device[level, device]


def _in_threads(work: Callable[[int], None], num_items: int, description: str) -> None:
    """Each item's work, on as many threads as torch uses, with a bar where someone watches."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # each thread works on blocks of its own
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            done = pool.map(work, range(num_items))
            for _ in track(done, description, total=num_items, console=Console(stderr=True), disable=not is_watched()):
                pass
    finally:
        torch.set_num_threads(num_threads)
