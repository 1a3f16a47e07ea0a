"""How much each run of the species study looks at: presets, lengths, and numbers of windows that a budget pays for.

Flow: preset + length -> numbers of windows; a system's cost + budget -> as many as the budget allows, or a refusal. It
must not know how a system runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vqdna.errors import InputError

LENGTHS = "1k,20k,32k,250k,450k"
QUICK_LENGTHS = "1k,20k,32k"
QUICK_SETS = ("mammals", "klebsiella")

FEWEST_PER_CLASS = {"train": 8, "dev": 3, "test": 5}
"""Windows of each class below which a budget is refused rather than kept."""


@dataclass(frozen=True)
class Preset:
    """How much the study looks at.

    Attributes:
        max_bases: most bases of a species, see `vqdna.studies.species.splits.SpeciesSplit`.
        train_bases: bases of the training windows of a length, by which their number shrinks with it.
        most: training windows of short lengths; `least` of long ones.
        budget: processor seconds that an encoder may take for one run.
    """

    name: str
    max_bases: int
    train_bases: int
    most: int
    least: int
    seeds: int
    budget: float

    def counts(self, length: int) -> dict[str, int]:
        """Windows of each split: half as many for test as for training, a quarter for dev."""
        train = max(self.least, min(self.most, self.train_bases // length))
        return {"train": train, "dev": train // 4, "test": train // 2}


PRESETS = {
    "full": Preset("full", 600_000, 12_000_000, 800, 160, 5, 180.0),
    "quick": Preset("quick", 300_000, 4_000_000, 400, 60, 1, 20.0),
}


def parse_lengths(text: str) -> tuple[int, ...]:
    """Lengths in bases, ascending, of a text such as `1k,20k,450k`; k is a thousand.

    Raises:
        InputError: no such text, or a length below six bases.
    """
    lengths = set()
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(k?)\s*", word, re.IGNORECASE)
        if not match or int(match[1]) * (1000 if match[2] else 1) < 6:
            raise InputError(f"--lengths: got '{word.strip()}', expected lengths of 6 or more such as 1k,20k,450000")
        lengths.add(int(match[1]) * (1000 if match[2] else 1))
    return tuple(sorted(lengths))


def length_name(length: int) -> str:
    """The length as results and folders call it: 1k, 450k, 512."""
    return f"{length // 1000}k" if length % 1000 == 0 else str(length)


def within_budget(
    counts: Mapping[str, int], num_classes: int, seconds: float, budget: float
) -> tuple[dict[str, int], str | None]:
    """Windows that a budget pays for, each taking so many seconds; and why not, where they are too few."""
    total = sum(counts.values())
    share = min(1.0, budget / (seconds * total)) if seconds > 0 else 1.0
    kept = {split: int(share * count) for split, count in counts.items()}
    fewest = {split: min(counts[split], num_classes * least) for split, least in FEWEST_PER_CLASS.items()}
    if all(kept[split] >= least for split, least in fewest.items()):
        return kept, None
    needed = sum(fewest.values())
    return kept, (
        f"the least of {needed} windows takes about {seconds * needed:,.0f} processor seconds, "
        f"budget {budget:,.0f} (--budget)"
    )
