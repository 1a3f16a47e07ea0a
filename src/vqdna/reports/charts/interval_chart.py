"""Bars with intervals: every system on one dataset, best first, its score beside its name.

Owns means with the ends of their intervals -> plotly data; a dotted line marks what was published. Must not know
which score it draws, nor how an interval was found.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vqdna.reports.charts.figures import color, short
from vqdna.reports.charts.short_names import short_names
from vqdna.reports.content import Figure

ROW_HEIGHT, FRAME = 23, 72
MAX_NAME, MAX_PUBLISHED = 22, 30
ROOM = 0.04
"""Free room at an end of the axis, as a share of its range."""


@dataclass(frozen=True)
class Bar:
    """One system: its mean, the ends of its interval where known, and a word of warning behind its name."""

    name: str
    mean: float
    low: float | None = None
    high: float | None = None
    warning: str = ""


def interval_chart(
    title: str, bars: Sequence[Bar], *, x: str, caption: str, published: tuple[str, float] | None = None
) -> Figure:
    """Horizontal bars by falling mean with an interval on each; `published` is the name and score of a dotted line."""
    ordered = sorted(bars, key=lambda bar: -bar.mean)
    labels = short_names((bar.name for bar in bars), MAX_NAME)
    layout: dict[str, Any] = {
        "height": FRAME + ROW_HEIGHT * len(ordered) + (16 if published else 0),
        "margin": {"l": 60, "r": 14, "t": 26 if published else 10, "b": 44},
        "xaxis": {"title": {"text": x}, "zeroline": True, "range": _range(ordered, published)},
        "yaxis": {
            "tickvals": list(range(len(ordered))),
            "ticktext": [_label(bar, labels[bar.name]) for bar in ordered],
            "range": [len(ordered) - 0.5, -0.5],
            "showgrid": False,
            "ticklabelstandoff": 4,
        },
        "showlegend": False,
    }
    if published is not None:
        layout |= _published(*published)
    words = "; ".join(_in_words(bar) for bar in ordered)
    words += f"; published: {published[0]} {published[1]:.1f}" if published else ""
    return Figure(title, f"{title}. Bar chart of {x}: {words}.", caption, {"data": [_trace(ordered)], "layout": layout})


def _range(bars: Sequence[Bar], published: tuple[str, float] | None) -> list[float]:
    """Ends of the axis: 0, all means, the published score, and the intervals of bars without a warning."""
    values = [0.0, *(bar.mean for bar in bars), *([published[1]] if published else [])]
    values += [end for bar in bars if not bar.warning for end in (bar.low, bar.high) if end is not None]
    room = ROOM * (max(values) - min(values)) or 1.0
    return [short(min(values) - (room if min(values) < 0 else 0)), short(max(values) + room)]


def _label(bar: Bar, name: str) -> str:
    """Short name, warning and score as plotly's axis shows them."""
    warning = f" <i>({html.escape(bar.warning)})</i>" if bar.warning else ""
    return f"{html.escape(name)}{warning}  <b>{bar.mean:.1f}</b>"


def _trace(bars: Sequence[Bar]) -> dict[str, Any]:
    above = [short(bar.high - bar.mean) if bar.high is not None else 0 for bar in bars]
    below = [short(bar.mean - bar.low) if bar.low is not None else 0 for bar in bars]
    return {
        "type": "bar",
        "orientation": "h",
        "x": [short(bar.mean) for bar in bars],
        "y": list(range(len(bars))),
        "width": 0.68,
        "text": [html.escape(_in_words(bar)) for bar in bars],
        "textposition": "none",
        "marker": {"color": [color(5 if bar.warning else 0) for bar in bars]},
        "error_x": {
            "type": "data", "symmetric": False, "array": above, "arrayminus": below,
            "color": "var(--ink)", "thickness": 1.4, "width": 4,
        },
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip


def _published(name: str, score: float) -> dict[str, Any]:
    """Layout of the dotted line, its name above it."""
    line = {"color": "var(--series-1)", "width": 1.8, "dash": "dot"}
    shape = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": short(score), "x1": short(score), "line": line}
    words = {
        "text": html.escape(f"published: {short_names([name], MAX_PUBLISHED)[name]} {score:.1f}"),
        "xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 1, "yanchor": "bottom",
        "showarrow": False, "font": {"size": 11, "color": "var(--series-1)"},
    }  # fmt: skip
    return {"shapes": [shape], "annotations": [words]}


def _in_words(bar: Bar) -> str:
    interval = "" if bar.low is None or bar.high is None else f" ({bar.low:.1f} to {bar.high:.1f})"
    return f"{bar.name} {bar.mean:.1f}{interval}" + (f", {bar.warning}" if bar.warning else "")
