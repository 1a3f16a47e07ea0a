"""The critical-difference diagram: systems on an axis of average ranks, bars over those that are not told apart.

Flow: ranks -> SVG, which needs no script: axis on top, best at its left, names below it at both sides, each at
the end of a line from its rank. Colors are classes of the page's style. Must not know how ranks are computed.

Reference: Demšar 2006, "Statistical comparisons of classifiers over multiple data sets", JMLR 7, figure 1.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vqdna.reports.charts.short_names import short_names
from vqdna.reports.content import Drawing

WIDTH, GUTTER = 880.0, 250.0
"""Of the picture, and of the room for names at either side of the axis, in SVG's units."""

AXIS_Y, BAR_STEP, NAME_STEP, LINE_STEP = 62.0, 9.0, 21.0, 12.0
MAX_NAME = 26
"""Characters of a line of a name, which has two at most."""

JOINTS = "+:/"
MAX_TICKS = 12
CLEARANCE = 6.0
"""Free room between two bars on one line, and how far a bar reaches beyond the ranks that it joins."""


@dataclass(frozen=True)
class Axis:
    """Axis of ranks 1 to `last`, placed between the gutters."""

    last: int

    @property
    def unit(self) -> float:
        return (WIDTH - 2 * GUTTER) / (self.last - 1)

    def at(self, rank: float) -> float:
        return GUTTER + (rank - 1) * self.unit

    @property
    def ticks(self) -> list[int]:
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (self.last - 1) / step <= MAX_TICKS)
        return list(range(1, self.last + 1, step))


def rank_diagram(
    title: str,
    average: Mapping[str, float],
    difference: float,
    groups: Sequence[Sequence[str]],
    *,
    caption: str,
) -> Drawing:
    """Diagram of two or more systems by average rank, 1 the best; `groups` are joined by bars."""
    ordered = sorted(average, key=lambda name: average[name])
    axis = Axis(len(ordered))
    # From top to bottom: critical difference, axis, bars, names. Each part's height decides where the next begins.
    spans = [(min(average[name] for name in group), max(average[name] for name in group)) for group in groups]
    ends = [(axis.at(low) - CLEARANCE, axis.at(high) + CLEARANCE) for low, high in spans]
    bars = bar_lines(ends)
    first_name = AXIS_Y + BAR_STEP * (max(bars, default=-1) + 1) + 26
    # The better half at the left, best on top; the worse half at the right, worst on top. So no line from the axis to
    # a name crosses another: on either side the outermost rank has the topmost name.
    left, right = ordered[: (len(ordered) + 1) // 2], ordered[(len(ordered) + 1) // 2 :][::-1]
    parts = _axis(axis, difference)
    lines = {name: name_lines(label) for name, label in short_names(ordered, 2 * MAX_NAME).items()}
    step = NAME_STEP + LINE_STEP * (max(map(len, lines.values())) - 1)
    for names, is_left in ((left, True), (right, False)):
        heights = {name: first_name + row * step for row, name in enumerate(names)}
        parts += [_name(axis, name, lines[name], average[name], y, is_left) for name, y in heights.items()]
    for (low, high), line in zip(ends, bars, strict=True):
        y = AXIS_Y + 13 + BAR_STEP * line
        parts.append(_line(low, y, high, y, "group"))
    height = first_name + step * len(left) - NAME_STEP + 12
    svg = f'<svg viewBox="0 0 {WIDTH:g} {height:g}" class="ranks" aria-hidden="true">{"".join(parts)}</svg>'
    ranks = "; ".join(f"{name} {average[name]:.2f}" for name in ordered)
    joined = "; ".join(", ".join(group) for group in groups) or "none"
    alt = f"{title}. Average ranks: {ranks}. Critical difference {difference:.2f}. Not told apart: {joined}."
    return Drawing(title, alt, caption, svg)


def bar_lines(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Line, 0 the topmost, for each span so that no two on a line come closer than the clearance."""
    ends: list[float] = []  # where the last bar of each line ends
    lines = []
    for low, high in spans:
        free = next((line for line, end in enumerate(ends) if low - end >= CLEARANCE), len(ends))
        ends[free:] = [high, *ends[free + 1 :]]
        lines.append(free)
    return lines


def name_lines(name: str) -> list[str]:
    """The name in one line, or in two broken behind a sign that joins its parts where both then fit."""
    if len(name) <= MAX_NAME:
        return [name]
    # Break points that leave neither part too long.
    fitting = range(max(len(name) - MAX_NAME, 1), MAX_NAME + 1)
    end = max((at for at in fitting if name[at - 1] in JOINTS), default=MAX_NAME)
    return [name[:end], name[end:]]


def _axis(axis: Axis, difference: float) -> list[str]:
    """The axis with its ticks, and above it the critical difference to scale."""
    left, right, y = axis.at(1), axis.at(axis.last), 20.0
    parts = [_line(left, AXIS_Y, right, AXIS_Y, "axis")]
    for rank in range(1, axis.last + 1):
        parts.append(_line(axis.at(rank), AXIS_Y - (7 if rank in axis.ticks else 4), axis.at(rank), AXIS_Y, "axis"))
    parts += [_text(axis.at(rank), AXIS_Y - 12, str(rank), "middle", "soft") for rank in axis.ticks]
    end = left + difference * axis.unit
    ends = [_line(x, y - 4, x, y + 4, "axis") for x in (left, end)]
    return [
        *parts,
        _line(left, y, end, y, "axis"),
        *ends,
        _text(left - 8, y + 4, f"CD {difference:.2f}", "end", "soft"),
    ]


def _name(axis: Axis, name: str, lines: Sequence[str], rank: float, y: float, is_left: bool) -> str:
    """Line from the rank on the axis to the name at its side, the rank in figures before or behind it."""
    x, end = axis.at(rank), GUTTER - 22 if is_left else WIDTH - GUTTER + 22
    path = f'<path class="lead" d="M{x:.1f} {AXIS_Y:g}V{y:g}H{end:g}"/>'
    side, away = ("end", -5.0) if is_left else ("start", 5.0)
    first, *rest = map(html.escape, lines)
    number = f'<tspan class="soft">{rank:.2f}</tspan>'
    words = [f"{first} {number}" if is_left else f"{number} {first}", *rest]
    texts = "".join(
        f'<text x="{end + away:g}" y="{y + 4 + row * LINE_STEP:g}" text-anchor="{side}">{line}</text>'
        for row, line in enumerate(words)
    )
    return f"<g><title>{html.escape(name)}: {rank:.2f}</title>{path}{texts}</g>"


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:g}" x2="{x2:.1f}" y2="{y2:g}"/>'


def _text(x: float, y: float, words: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="{anchor}">{html.escape(words)}</text>'
