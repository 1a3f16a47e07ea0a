"""Codes as an audit counts them: a flat list of positions, the same for every tokenizer.

Flow: base_ids [window, base] -> batches through the tokenizer contract -> CodedPositions (codes [position, level],
each with its window and base span). It must not know what a measure asks of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8

from vqdna.tokenizers import Tokenizer
from vqdna.tokenizers.encoding import encode_rows_with_spans

BASES_AT_A_TIME = 1 << 18
"""Bases between two reports of progress."""


Read = Callable[[UInt8[np.ndarray, "window base"]], "CodedPositions"]
"""`read_codes` of one tokenizer, which takes windows alone."""


@dataclass(frozen=True, eq=False)
class CodedPositions:
    """Positions of many windows, in order of window and base.

    Attributes:
        window: row each position comes from.
        start: first base of its span, 0-based in the window.
        end: last base of its span, exclusive.
    """

    window: Int[np.ndarray, "position"]
    start: Int[np.ndarray, "position"]
    end: Int[np.ndarray, "position"]
    codes: Int[np.ndarray, "position level"]

    def __len__(self) -> int:
        return len(self.start)

    @property
    def center(self) -> Int[np.ndarray, "position"]:
        """Middle base of each span, the right one of two."""
        middle: Int[np.ndarray, "position"] = (self.start + self.end) // 2
        return middle

    @property
    def mean_advance(self) -> float:
        """Mean bases from one position's start to the next one's; the span's size where no window has two."""
        steps = np.diff(self.start)[np.diff(self.window) == 0]
        spans = self.end - self.start
        return float(steps.mean() if len(steps) else spans.mean() if len(spans) else 1.0)

    def __getitem__(self, chosen: Shaped[np.ndarray, "_"] | slice) -> CodedPositions:
        return CodedPositions(self.window[chosen], self.start[chosen], self.end[chosen], self.codes[chosen])

    def between(self, first: int, last: int) -> CodedPositions:
        """Positions whose spans lie within `[first, last)` of their window."""
        return self[(self.start >= first) & (self.end <= last)]

    def columns(self) -> dict[str, Int[np.ndarray, "position"]]:
        """Codes of each level, `level 0`, `level 1`, ...; with several, `joint`: a number per combination of codes."""
        named = {f"level {level}": codes for level, codes in enumerate(self.codes.T)}
        return {**named, "joint": numbered_rows(self.codes)} if len(named) > 1 else named

    def agreement(
        self, other: CodedPositions, window_size: int
    ) -> tuple[Int[np.ndarray, "position"], dict[str, Bool[np.ndarray, "position"]]]:
        """Index of the position with the same span in another reading, or -1, and whether its codes are the same.

        Columns are those of `columns`; a position without one of its span has other codes.
        """
        place = places_in(self.keys(window_size), other.keys(window_size))
        same = (other.codes[place] == self.codes) & (place >= 0)[:, None]
        named = {f"level {level}": column for level, column in enumerate(same.T)}
        return place, {**named, "joint": same.all(axis=1)} if len(named) > 1 else named

    def keys(self, window_size: int) -> Int[np.ndarray, "position"]:
        """A number for window and span, which two readings of windows of this size share."""
        base = window_size + 1
        keys: Int[np.ndarray, "position"] = (self.window * base + self.start) * base + self.end
        return keys


def read_codes(
    tokenizer: Tokenizer, base_ids: UInt8[np.ndarray, "window base"], on_bases: Callable[[int], None] = lambda _: None
) -> CodedPositions:
    """Every position of every window, read in batches; `on_bases` is called with the number of bases after each."""
    size = max(1, BASES_AT_A_TIME // max(1, base_ids.shape[1]))
    parts = []
    for first in range(0, len(base_ids), size):
        windows = base_ids[first : first + size]
        codes, spans = encode_rows_with_spans(tokenizer, list(windows))
        numbers = np.repeat(np.arange(first, first + len(windows)), [len(row) for row in codes])
        start, end = np.concatenate(spans).T
        parts.append(CodedPositions(numbers, start, end, np.concatenate(codes).astype(np.int64)))
        on_bases(windows.size)
    return joined(parts, len(tokenizer.level_sizes))


def joined(parts: Sequence[CodedPositions], num_levels: int) -> CodedPositions:
    none = np.zeros(0, np.int64)
    parts = [*parts, CodedPositions(none, none, none, np.zeros((0, num_levels), np.int64))]
    window, start, end, codes = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("window", "start", "end", "codes")
    )
    return CodedPositions(window, start, end, codes)


def numbered_rows(rows: Int[np.ndarray, "row column"]) -> Int[np.ndarray, "row"]:
    """Number from 0 for each distinct row."""
    numbers = np.zeros(len(rows), np.int64)
    for column in rows.T:
        values = np.unique(column, return_inverse=True)[1].reshape(-1)
        numbers = np.unique(numbers * (values.max(initial=0) + 1) + values, return_inverse=True)[1].reshape(-1)
    return numbers


def places_in(keys: Int[np.ndarray, "wanted"], sorted_keys: Int[np.ndarray, "held"]) -> Int[np.ndarray, "wanted"]:
    """Index of each key among `sorted_keys`, -1 where it is not there."""
    if not len(sorted_keys):
        return np.full(len(keys), -1)
    places = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[places] == keys, places, -1)
