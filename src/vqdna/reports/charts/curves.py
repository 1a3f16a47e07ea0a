"""Training curves of a run: metrics.jsonl -> pictures over steps, drawn only for what the run recorded.

Must not know a stage: the sections say which metrics they want and in which words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import Figure
from vqdna.reports.runs import Run

GUESSING = (math.log(4), f"guessing, ln 4 = {math.log(4):.3f}")
"""A uniform guess among four bases, as the reference of a picture in nats per base."""


@dataclass(frozen=True)
class Curves:
    """What one picture of curves shows.

    Attributes:
        metrics: keys of the metrics and the names of their lines.
        per_level: beginning of keys that end in a level, each of which gets a line.
    """

    title: str
    y: str
    caption: str
    metrics: Mapping[str, str] = field(default_factory=dict)
    per_level: str = ""
    percent: bool = False
    reference: tuple[float, str] | None = None


def curve_figures(run: Run, wanted: Sequence[Curves]) -> list[Figure]:
    """Pictures over the steps of a run, without those for which it recorded nothing."""
    figures = []
    for curves in wanted:
        named = {**curves.metrics, **_levels(run, curves.per_level)}
        # A metric keeps its color whether or not the others are there.
        lines = [Line(name, *run.series(key), color=index) for index, (key, name) in enumerate(named.items())]
        lines = [line for line in lines if line.x]
        if lines:
            words = {"x": "step", "y": curves.y, "caption": curves.caption}
            figures.append(line_chart(curves.title, lines, **words, percent=curves.percent, reference=curves.reference))
    return figures


def _levels(run: Run, prefix: str) -> dict[str, str]:
    """Keys of the metrics that are `prefix` and a level, level 0 first, with the names of their lines."""
    keys = {key for record in run.metrics for key in record if prefix and key.startswith(prefix)}
    levels = sorted(int(end) for key in keys if (end := key.removeprefix(prefix)).isdigit())
    return {f"{prefix}{level}": f"level {level}" for level in levels}
