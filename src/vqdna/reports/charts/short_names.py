"""Names that fit beside a mark: long ones lose their middle, and no two of a picture become the same words.

Owns names -> labels for every chart. Must not know which names they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations, zip_longest

ELLIPSIS = "…"
CLEAR = 4
"""Characters in which two labels differ for a reader to see it at once."""


def short_names(names: Iterable[str], most: int) -> dict[str, str]:
    """Label of at most `most` characters for each name; where cutting would make two alike, they stay whole.

    The cut is as near to the middle of a label as tells all of them apart: averages of systems share their beginning,
    sizes of a model their end.
    """
    wanted = list(dict.fromkeys(names))
    heads = sorted(range(1, most - 1), key=lambda length: abs(length - most // 2))
    cuts = [[_cut(name, head, most) for name in wanted] for head in heads]
    best = max(cuts, key=lambda labels: min(_difference(wanted, labels), CLEAR))
    return dict(zip(wanted, best if len(set(best)) == len(wanted) else wanted, strict=True))


def _cut(name: str, head: int, most: int) -> str:
    """Start and end of a name around an ellipsis, or the name where it is short enough."""
    return name if len(name) <= most else f"{name[:head]}{ELLIPSIS}{name[head + 1 - most :]}"


def _difference(names: Sequence[str], labels: Sequence[str]) -> int:
    """In how many places the two labels differ that are most alike, of those that had to be cut."""
    cut = [label for name, label in zip(names, labels, strict=True) if label != name]
    pairs = combinations(cut, 2)
    return min((sum(a != b for a, b in zip_longest(*pair)) for pair in pairs), default=CLEAR)
