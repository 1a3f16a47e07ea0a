"""Codes of words in double precision, and the machine code that looks them up.

Flow: the bases at a level's offsets, read as the digits of a number, the first most significant -> code. Letters:
A C G T = 0..3, N = 4, OUTSIDE = 5 beyond a sequence's ends. Codes are decided in float64, ties to the lower code, so
that every processor gives the same; in float32 nearly equal distances fall out differently on different ones. It must
not know where tables are kept.
"""

from __future__ import annotations

import copy
import hashlib
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8, UInt16, UInt64
from numpy import ndarray
from torch import Tensor, nn

from vqdna.devices import machine_code
from vqdna.errors import InputError
from vqdna.genome.bases import N
from vqdna.vocabulary.autoencoder import Feed, encode_bases
from vqdna.vocabulary.configuration import VQVAEConfig
from vqdna.vocabulary.convolution import NUM_BASES
from vqdna.vocabulary.quantizer import CodebookQuantizer, ProductQuantizer, Quantizer
from vqdna.vocabulary.views import ViewEncoder

OUTSIDE = 5
"""In place of a base: the sequence has ended."""

MOST_BASES = 13
"""Bases that a compiled level reads at most: 67 million words, two bytes each."""

MOST_SPELLED = 8
"""Bases up to which a level has a second table, for words with N or cut off by an end: 5^8 words."""

SPELLED = NUM_BASES + 1
"""Digits of such words: A, C, G, T and no base."""

SCORES = 1 << 20
"""Distances held at a time, 4 MiB: they stay in the processor's cache."""


class Extraction(NamedTuple):
    """How the number of a level's bases is taken out of a register of the last 32 bases, two bits each.

    Neighboring offsets come out as one run: shifted right, masked, and shifted left to their place in the number.
    """

    first: int
    last: int
    shifts: UInt64[ndarray, "run"]
    masks: UInt64[ndarray, "run"]
    places: UInt64[ndarray, "run"]

    @classmethod
    def of(cls, offsets: tuple[int, ...]) -> Extraction:
        """For ascending offsets. Runs that a level lacks are masked out: the loop knows one, two or four."""
        ends = [index for index, offset in enumerate(offsets) if offset + 1 not in offsets]
        lengths = np.diff([-1, *ends])
        num_runs = next((number for number in (1, 2, 4) if number >= len(ends)), len(ends))
        parts = np.zeros((3, num_runs), dtype=np.uint64)
        for run, (end, length) in enumerate(zip(ends, lengths.tolist(), strict=True)):
            bases_behind = len(offsets) - 1 - end
            parts[:, run] = 2 * (offsets[-1] - offsets[end]), (1 << 2 * length) - 1, 2 * bases_behind
        return cls(offsets[0], offsets[-1], *parts)


@machine_code
def look_up(
    bases: UInt8[ndarray, "_"],
    position: int,
    extraction: Extraction,
    table: UInt16[ndarray, "word"],
    codes: UInt16[ndarray, "position"],
) -> None:
    """Codes from `position` on; letters that are no base are read as one of the four, and these codes mean nothing."""
    first, last, shifts, masks, places = extraction
    register, two, three = np.uint64(0), np.uint64(2), np.uint64(3)
    for place in range(position + first, position + last):
        register = (register << two) | (bases[place] & three)
    words = np.empty(1024, dtype=np.uint32)
    # By names of their own: read from the arrays, they would be read again for each base.
    shift, mask, put = shifts[0], masks[0], places[0]
    second = min(1, len(masks) - 1)
    shift_1, mask_1, put_1 = shifts[second], masks[second], places[second]
    if len(masks) == 4:
        shift_2, mask_2, put_2, shift_3, mask_3 = shifts[2], masks[2], places[2], shifts[3], masks[3]
    for start in range(0, len(codes), len(words)):
        count = min(len(words), len(codes) - start)
        place = position + start + last
        if len(masks) == 1:
            for step in range(count):
                register = (register << two) | (bases[place + step] & three)
                words[step] = register & mask
        elif len(masks) == 2:
            for step in range(count):
                register = (register << two) | (bases[place + step] & three)
                words[step] = (((register >> shift) & mask) << put) | ((register >> shift_1) & mask_1)
        elif len(masks) == 4:
            for step in range(count):
                register = (register << two) | (bases[place + step] & three)
                one = (((register >> shift) & mask) << put) | (((register >> shift_1) & mask_1) << put_1)
                words[step] = one | (((register >> shift_2) & mask_2) << put_2) | ((register >> shift_3) & mask_3)
        else:
            for step in range(count):
                register = (register << two) | (bases[place + step] & three)
                word = np.uint64(0)
                for run in range(len(masks)):
                    word |= ((register >> shifts[run]) & masks[run]) << places[run]
                words[step] = word
        # Look-ups by themselves: many are then under way at once, and a large table's memory is waited for only once.
        for step in range(count):
            codes[start + step] = table[words[step]]


@machine_code
def near_unknown(bases: UInt8[ndarray, "_"], first: int, end: int, reach: int) -> Int[ndarray, "_"]:
    """Positions from `first` to `end` within `reach` of a letter that is no base, ascending, counted from `first`."""
    found = np.empty(end - first, dtype=np.int64)
    num_found = 0
    last_unknown = first - 2 * reach - 1
    for place in range(first - reach, end + reach):
        if bases[place] > 3:
            # Positions that an earlier unknown letter reached are listed already.
            start = max(place - reach, last_unknown + reach + 1, first)
            for position in range(start, min(place + reach + 1, end)):
                found[num_found] = position - first
                num_found += 1
            last_unknown = place
    return found[:num_found]


@machine_code
def _two_lowest(scores: Float[ndarray, "row code"], best: ndarray, gaps: ndarray) -> None:
    """Column of each row's lowest score, and by how much the second lowest is higher."""
    for row in range(scores.shape[0]):
        lowest = second = np.float32(np.inf)
        for column in range(scores.shape[1]):
            score = scores[row, column]
            # Two passes without a branch would do more work: after some columns scores seldom fall below the second.
            if score < second:
                if score < lowest:
                    second, lowest, best[row] = lowest, score, column
                else:
                    second = score
        gaps[row] = second - lowest


def position_sets(config: VQVAEConfig) -> list[tuple[int, ...]]:
    """Offsets of the bases that each level's codes depend on, relative to the position; all of them for compiling.

    Raises:
        InputError: a level reads too many bases, or a position is not a base; names the level.
    """
    if config.bases_per_position != 1:
        raise InputError(f"not to be compiled: a position has {config.bases_per_position} bases, expected 1")
    if config.views:
        sets = [tuple(view) for view in config.views]
    else:
        # Of one latent for all levels, each level depends on all that the last block sees.
        taps = config.taps if len(config.taps) == len(config.level_sizes) else config.taps * len(config.level_sizes)
        left, right = (config.stem_kernel_size - 1) // 2, config.stem_kernel_size // 2
        reaches = [tap * (config.kernel_size // 2) for tap in taps]
        sets = [tuple(range(-reach - left, reach + right + 1)) for reach in reaches]
        if any(config.shared_strands):  # of the other strand, a stem of even size would see one base further
            sets = [tuple(range(-max(-own[0], own[-1]), max(-own[0], own[-1]) + 1)) for own in sets]
    for level, own in enumerate(sets):
        if own[-1] - own[0] >= 32:
            raise InputError(f"not to be compiled: level {level} reads {own[-1] - own[0] + 1} bases across, at most 32")
        if len(own) > MOST_BASES:
            raise InputError(f"not to be compiled: level {level} reads {len(own)} bases, expected at most {MOST_BASES}")
    return sets


@machine_code
def de_bruijn(num_bases: int) -> UInt8[ndarray, "base"]:
    """Cyclic row of bases in which every word of so many bases stands once.

    Reference: Fredricksen and Maiorana 1978: the Lyndon words whose length divides `num_bases`, in order.
    """
    row = np.empty(4**num_bases, dtype=np.uint8)
    word = np.zeros(num_bases, dtype=np.int64)
    word[0] = -1
    length, filled = 1, 0
    while length > 0:
        word[length - 1] += 1
        period = length
        if num_bases % period == 0:
            for place in range(period):
                row[filled] = word[place]
                filled += 1
        while length < num_bases:
            word[length] = word[length - period]
            length += 1
        while length > 0 and word[length - 1] == 3:
            length -= 1
    return row


def fits_tables(config: VQVAEConfig) -> bool:
    """Whether every level reads few enough bases to be compiled."""
    try:
        position_sets(config)
    except InputError:
        return False
    return True


class ExactCodes:
    """Codes worked out in double precision: what every table is made from.

    Args:
        config: shape of the vocabulary.
        latent_encoder: frozen.
        quantizer: trained.
    """

    def __init__(self, config: VQVAEConfig, latent_encoder: nn.Module, quantizer: Quantizer) -> None:
        self.sets = position_sets(config)
        self.reach = max(abs(offset) for own in self.sets for offset in own)
        self.feed = cast(Feed, config.feed)
        # Copies: weights turned to float64 and back would be others where the model is in half precision.
        self.latent_encoder = cast(Any, copy.deepcopy(latent_encoder)).to("cpu", torch.float64)
        self.quantizer = copy.deepcopy(quantizer).to("cpu", torch.float64)
        self.single = copy.deepcopy(self.latent_encoder).float()
        self.is_by_level = isinstance(latent_encoder, ViewEncoder) and isinstance(quantizer, ProductQuantizer)
        self.exceptions: dict[int, tuple[ndarray, ndarray]] = {}
        self._vectors: dict[int, tuple[Tensor, Tensor, Tensor, Tensor]] = {}

    @torch.no_grad()
    def of_rows(self, letters: UInt8[ndarray, "row base"]) -> UInt16[ndarray, "row base level"]:
        """Codes of every position of each row, of all levels."""
        rows = torch.from_numpy(letters)
        codes = encode_bases(self.latent_encoder, self.quantizer, rows.clamp(max=N), rows < OUTSIDE, self.feed)
        return codes.numpy().astype(np.uint16)

    @torch.no_grad()
    def of_words(
        self, level: int, words: UInt8[ndarray, "word offset"], among: Int[ndarray, "code"] | None = None
    ) -> UInt16[ndarray, "word"]:
        """Codes of words of a level whose codebook stands by itself.

        Args:
            level: from 0.
            words: letters at the level's offsets, N for no base.
            among: the only codes that can be nearest to any of the words; None for all.
        """
        exact, half_norms, vectors, half_norms_single = self._code_vectors(level)
        if among is not None:
            chosen = torch.from_numpy(among)
            exact, half_norms = exact[chosen], half_norms[chosen]
            vectors, half_norms_single = vectors[chosen], half_norms_single[chosen]
        letters = torch.from_numpy(np.ascontiguousarray(words))
        # In single precision first, which is several times faster. What rounding may have decided is decided again.
        latents = self.single.latents_of_words(level, letters)
        codes, gaps = np.empty(len(words), dtype=np.int64), np.empty(len(words), dtype=np.float32)
        slice_size = max(1, SCORES // len(vectors))
        scores = torch.empty(min(slice_size, len(words)), len(vectors))
        for start in range(0, len(words), slice_size):
            rows = slice(start, start + slice_size)
            held = scores[: len(latents[rows])]
            torch.addmm(half_norms_single, latents[rows], vectors.T, alpha=-1, out=held)
            _two_lowest(held.numpy(), codes[rows], gaps[rows])
        size = float(latents.norm(dim=1).amax() * vectors.norm(dim=1).amax()) if len(words) else 0.0
        doubtful = torch.from_numpy(np.flatnonzero(gaps < 1e-5 * size))
        if len(doubtful):
            again = self.latent_encoder.latents_of_words(level, letters[doubtful])
            again = torch.addmm(half_norms, again, exact.T, alpha=-1)
            # Copies of one vector may differ in the last digit of their scores: the lowest code of them is taken.
            codes[doubtful] = (again <= again.amin(dim=1, keepdim=True) + 1e-12 * size).int().argmax(dim=1)
        codes = codes if among is None else among[codes]
        if level in self.exceptions:
            known, instead = self.exceptions[level]
            numbers = np.where((words < N).all(axis=1), numbers_of(words, NUM_BASES), -1)
            place = np.searchsorted(known, numbers).clip(max=len(known) - 1)
            codes = np.where(known[place] == numbers, instead[place], codes)
        return codes.astype(np.uint16)

    def _code_vectors(self, level: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A level's code vectors and half their squared norms, in double precision and in single."""
        if level not in self._vectors:
            vectors = cast(CodebookQuantizer, self.quantizer).codebooks[level].code_vectors.detach()
            half_norms = vectors.square().sum(dim=1) / 2
            self._vectors[level] = (vectors, half_norms, vectors.float(), half_norms.float())
        return self._vectors[level]

    def digest(self, level: int) -> str:
        """Hash of all that a level's codes depend on; of the weights as they are saved, in float32."""
        if self.is_by_level:
            about = f"{self.sets[level]} {self.latent_encoder.shared_strands[level]}"
            parts = [self.latent_encoder.read[level], self.latent_encoder.write[level]]
            tensors = [*chain.from_iterable(part.parameters() for part in parts)]
            tensors.append(cast(CodebookQuantizer, self.quantizer).codebooks[level].code_vectors)
        else:
            about = f"{self.sets} {level} {self.feed} {type(self.quantizer).__name__}"
            tensors = [*self.latent_encoder.parameters(), *self.quantizer.parameters(), *self.quantizer.buffers()]
        text = hashlib.sha256(about.encode())
        for tensor in tensors:
            text.update(tensor.detach().float().numpy().tobytes())
        return text.hexdigest()[:32]


def numbers_of(words: UInt8[ndarray, "word letter"], base: int) -> Int[ndarray, "word"]:
    """Numbers whose digits the letters are, the first most significant."""
    numbers = np.zeros(len(words), dtype=np.int64)
    for letters in words.T:
        numbers = numbers * base + letters
    return numbers


def digits_of(numbers: Int[ndarray, "word"], num_digits: int, base: int) -> UInt8[ndarray, "word letter"]:
    """Words whose numbers these are."""
    places = base ** np.arange(num_digits - 1, -1, -1, dtype=np.int64)
    return (numbers[:, None] // places % base).astype(np.uint8)


def all_words(num_letters: int, base: int) -> UInt8[ndarray, "word letter"]:
    """Every word, in the order of the numbers."""
    return digits_of(np.arange(base**num_letters), num_letters, base)


def sha256_of(table: ndarray) -> str:
    """Hash of a table's entries."""
    return hashlib.sha256(np.ascontiguousarray(table).data).hexdigest()
