"""Places on sequences: one `Interval` for every module, 0-based and half-open.

Formats that count from 1 (GFF, VCF) are converted where they are read, so no other module meets such a coordinate.
It must not know files, bases or what lies at the place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vqdna.errors import InputError

STRANDS = ("+", "-", ".")
_TEXT = re.compile(r"(?P<name>.+):(?P<start>[\d,]+)-(?P<end>[\d,]+)(?:\((?P<strand>[-+.])\))?")


@dataclass(frozen=True)
class Interval:
    """Bases `start` to `end` of the sequence `name`; what has a place besides other things inherits from it.

    Attributes:
        name: of the sequence.
        start: first base, counted from 0 on the plus strand, whatever `strand` says.
        end: one past the last base.
        strand: "+", "-", or "." for a place that has none.
    """

    name: str
    start: int
    end: int
    strand: str

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.end:
            got = f"got start {self.start} and end {self.end} (0-based, half-open)"
            raise InputError(f"'{self.name}': {got}, wanted 0 <= start <= end")
        if self.strand not in STRANDS:
            raise InputError(f"'{self.name}': got the strand '{self.strand}', expected one of {' '.join(STRANDS)}")

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Interval written as `chr1:100-200` or `chr1:100-200(-)`; thousands may have commas.

        The numbers are 0-based and half-open, as in BED: `chr1:0-10` is the first ten bases.

        Raises:
            InputError: the text is no such interval.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise InputError(f"'{text}' is no interval; wanted name:start-end, such as chr1:100-200")
        start, end = (int(found[key].replace(",", "") or -1) for key in ("start", "end"))
        return cls(found["name"], start, end, found["strand"] or "+")

    def __str__(self) -> str:
        return f"{self.name}:{self.start}-{self.end}" + ("(-)" if self.strand == "-" else "")

    @property
    def length(self) -> int:
        """Number of bases."""
        return self.end - self.start

    @property
    def bases(self) -> slice:
        """Index of these bases in an array of the whole sequence's plus strand."""
        return slice(self.start, self.end)

    def contains(self, other: int | Interval) -> bool:
        """Whether a base, or all of another interval, lies within; the strand does not matter."""
        if isinstance(other, int):
            return self.start <= other < self.end
        return self.name == other.name and self.start <= other.start and other.end <= self.end

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a base; the strand does not matter."""
        return self.name == other.name and max(self.start, other.start) < min(self.end, other.end)

    def bed_line(self, label: str = ".", score: float = 0) -> str:
        """The six columns of BED without a line end: name, start, end, label, score and strand."""
        return f"{self.name}\t{self.start}\t{self.end}\t{label}\t{score:g}\t{self.strand}"
