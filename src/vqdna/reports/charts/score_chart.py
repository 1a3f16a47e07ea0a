"""Bars of scores with their spread: one picture per dataset of the comparison.

Owns means, standard deviations and single values -> plotly data. Must not know which score it draws.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vqdna.reports.charts.figures import color, short
from vqdna.reports.charts.short_names import short_names
from vqdna.reports.content import Figure

MAX_NAME = 34


@dataclass(frozen=True)
class Bar:
    """One bar: mean and standard deviation (None for a single value), with the values behind it."""

    name: str
    kind: str
    mean: float
    deviation: float | None
    values: Sequence[float]


def score_chart(title: str, bars: Sequence[Bar], *, x: str, caption: str) -> Figure:
    """Horizontal bars in the order given from the top, with the standard deviation and a dot for each single value."""
    kinds = list(dict.fromkeys(bar.kind for bar in bars))
    placed = list(enumerate(bars))
    labels = short_names((bar.name for bar in bars), MAX_NAME)
    traces = [_bars(kind, color(n), [pair for pair in placed if pair[1].kind == kind]) for n, kind in enumerate(kinds)]
    repeated = [(place, bar) for place, bar in placed if len(bar.values) > 1]
    traces += [_whiskers(repeated), _dots(repeated)] if repeated else []
    layout = {
        "height": 118 + 38 * len(bars) + (26 if len(traces) > 1 else 0),
        "xaxis": {"title": {"text": x}, "zeroline": True},
        "yaxis": {
            "tickvals": [place for place, _ in placed],
            "ticktext": [html.escape(labels[bar.name]) for bar in bars],
            "range": [len(bars) - 0.5, -0.5],
            "showgrid": False,
            "ticklabelstandoff": 6,
        },
        "barmode": "overlay",
        "bargap": 0.35,
        "showlegend": len(traces) > 1,
    }
    words = "; ".join(f"{bar.name} {_mean_and_spread(bar)}" for bar in bars)
    return Figure(title, f"{title}. Bar chart of {x}: {words}.", caption, {"data": traces, "layout": layout})


def _mean_and_spread(bar: Bar) -> str:
    """Mean ± standard deviation in words."""
    return f"{bar.mean:.2f}" + (f" ± {bar.deviation:.2f}" if bar.deviation is not None else "")


def _bars(kind: str, fill: str, placed: Sequence[tuple[int, Bar]]) -> dict[str, Any]:
    """Bars of one kind, which share a color and an entry in the legend."""
    return {
        "type": "bar",
        "orientation": "h",
        "name": html.escape(kind),
        "x": [short(bar.mean) for _, bar in placed],
        "y": [place for place, _ in placed],
        "width": 0.65,
        "text": [html.escape(bar.name) for _, bar in placed],
        "textposition": "none",
        "marker": {"color": fill},
        "hovertemplate": "%{text}: %{x:.2f}<extra></extra>",
    }


def _whiskers(placed: Sequence[tuple[int, Bar]]) -> dict[str, Any]:
    """One standard deviation to either side; as part of a bar trace, a bar without one would get a stump."""
    deviations = [short(bar.deviation or 0.0) for _, bar in placed]
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [short(bar.mean) for _, bar in placed],
        "y": [place for place, _ in placed],
        "marker": {"opacity": 0},
        "error_x": {"type": "data", "array": deviations, "color": "var(--ink)", "thickness": 1.5, "width": 6},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _dots(placed: Sequence[tuple[int, Bar]]) -> dict[str, Any]:
    """Single values on top of the bars."""
    values = [(value, place, bar) for place, bar in placed for value in bar.values]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "single runs",
        "x": [short(value) for value, _, _ in values],
        "y": [place for _, place, _ in values],
        "text": [html.escape(bar.name) for _, _, bar in values],
        "marker": {"color": "var(--card)", "size": 7, "line": {"color": "var(--ink)", "width": 1.2}},
        "hovertemplate": "%{text}: %{x:.2f}<extra></extra>",
    }
