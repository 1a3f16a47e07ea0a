"""Horizontal bars, one system a row: scores with the spread over seeds, and means with intervals.

Flow: bars with their numbers -> plotly data, names of the rows shortened where they are long. Must not know which
score is drawn, nor how an interval was found.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import axis, color, markers, short
from vqdna.reports.charts.short_names import short_names
from vqdna.reports.content import Figure, Plotly

ROW_HEIGHT, FRAME = 23, 72
MAX_NAME, MAX_NAME_BESIDE_SCORE, MAX_PUBLISHED = 34, 22, 30
ROOM = 0.04
"""Free room at an end of the axis, as a share of its range."""


@dataclass(frozen=True)
class SeedBar:
    """Mean and standard deviation over seeds (None for a single value), with the values behind it."""

    name: str
    kind: str
    mean: float
    deviation: float | None
    values: Sequence[float]


@dataclass(frozen=True)
class Bar:
    """One system: its mean, the ends of its interval where known, and a word of warning behind its name."""

    name: str
    mean: float
    low: float | None = None
    high: float | None = None
    warning: str = ""


def score_chart(title: str, bars: Sequence[SeedBar], *, x: str, caption: str) -> Figure:
    """Bars in the order given from the top, with the standard deviation and a dot for each single value.

    Bars of one kind share a color and an entry in the legend.
    """
    labels = short_names((bar.name for bar in bars), MAX_NAME)
    traces = []
    for index, kind in enumerate(dict.fromkeys(bar.kind for bar in bars)):
        own = [(row, bar) for row, bar in enumerate(bars) if bar.kind == kind]
        trace = _bars([row for row, _ in own], [bar.mean for _, bar in own], [bar.name for _, bar in own])
        trace |= {"name": html.escape(kind), "width": 0.65, "marker": {"color": color(index)}}
        traces.append(trace | {"hovertemplate": "%{text}: %{x:.2f}<extra></extra>"})
    repeated = [(row, bar) for row, bar in enumerate(bars) if len(bar.values) > 1]
    if repeated:
        # A trace of their own: as part of a bar trace, a bar without one would get a stump.
        deviations = [short(bar.deviation or 0.0) for _, bar in repeated]
        whiskers = markers(
            [bar.mean for _, bar in repeated],
            [row for row, _ in repeated],
            marker={"opacity": 0},
            error_x={"type": "data", "array": deviations, "color": "var(--ink)", "thickness": 1.5, "width": 6},
            hoverinfo="skip",
            showlegend=False,
        )
        singles = [(value, row, bar.name) for row, bar in repeated for value in bar.values]
        dots = markers(
            [value for value, _, _ in singles],
            [row for _, row, _ in singles],
            name="single runs",
            text=[html.escape(name) for _, _, name in singles],
            marker={"color": "var(--card)", "size": 7, "line": {"color": "var(--ink)", "width": 1.2}},
            hovertemplate="%{text}: %{x:.2f}<extra></extra>",
        )
        traces += [whiskers, dots]
    layout = {
        "height": 118 + 38 * len(bars) + (26 if len(traces) > 1 else 0),
        "xaxis": axis(x, zeroline=True),
        "yaxis": _rows_axis([html.escape(labels[bar.name]) for bar in bars], standoff=6),
        "barmode": "overlay",
        "bargap": 0.35,
        "showlegend": len(traces) > 1,
    }
    words = "; ".join(
        f"{bar.name} {bar.mean:.2f}" + (f" ± {bar.deviation:.2f}" if bar.deviation is not None else "") for bar in bars
    )
    return Figure(title, f"{title}. Bar chart of {x}: {words}.", caption, {"data": traces, "layout": layout})


def interval_chart(
    title: str, bars: Sequence[Bar], *, x: str, caption: str, published: tuple[str, float] | None = None
) -> Figure:
    """Bars by falling mean with an interval on each; `published` is the name and score of a dotted line."""
    ordered = sorted(bars, key=lambda bar: -bar.mean)
    labels = short_names((bar.name for bar in bars), MAX_NAME_BESIDE_SCORE)
    trace = _bars(range(len(ordered)), [bar.mean for bar in ordered], [_in_words(bar) for bar in ordered])
    trace |= {
        "width": 0.68,
        "marker": {"color": [color(5 if bar.warning else 0) for bar in ordered]},
        "error_x": {
            "type": "data", "symmetric": False, "color": "var(--ink)", "thickness": 1.4, "width": 4,
            "array": [short(bar.high - bar.mean) if bar.high is not None else 0 for bar in ordered],
            "arrayminus": [short(bar.mean - bar.low) if bar.low is not None else 0 for bar in ordered],
        },
        "hovertemplate": "%{text}<extra></extra>",
    }  # fmt: skip
    warnings = [f" <i>({html.escape(bar.warning)})</i>" if bar.warning else "" for bar in ordered]
    names = [
        f"{html.escape(labels[bar.name])}{warning}  <b>{bar.mean:.1f}</b>"
        for bar, warning in zip(ordered, warnings, strict=True)
    ]
    layout: Plotly = {
        "height": FRAME + ROW_HEIGHT * len(ordered) + (16 if published else 0),
        "margin": {"l": 60, "r": 14, "t": 26 if published else 10, "b": 44},
        "xaxis": axis(x, zeroline=True, range=_range(ordered, published)),
        "yaxis": _rows_axis(names, standoff=4),
        "showlegend": False,
    }
    words = "; ".join(_in_words(bar) for bar in ordered)
    if published is not None:
        name, score = published
        line = {"color": "var(--series-1)", "width": 1.8, "dash": "dot"}
        place = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": short(score), "x1": short(score)}
        label = {
            "text": html.escape(f"published: {short_names([name], MAX_PUBLISHED)[name]} {score:.1f}"),
            "xref": "paper", "x": 1, "xanchor": "right", "yref": "paper", "y": 1, "yanchor": "bottom",
            "showarrow": False, "font": {"size": 11, "color": "var(--series-1)"},
        }  # fmt: skip
        layout |= {"shapes": [place | {"line": line}], "annotations": [label]}
        words += f"; published: {name} {score:.1f}"
    return Figure(title, f"{title}. Bar chart of {x}: {words}.", caption, {"data": [trace], "layout": layout})


def _rows_axis(labels: Sequence[str], *, standoff: int) -> Plotly:
    """Axis of numbered rows, row 0 on top, with their names in plotly's HTML."""
    return {
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "range": [len(labels) - 0.5, -0.5],
        "showgrid": False,
        "ticklabelstandoff": standoff,
    }


def _bars(rows: Sequence[int], means: Sequence[float], texts: Sequence[str]) -> Plotly:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [short(mean) for mean in means],
        "y": list(rows),
        "text": [html.escape(text) for text in texts],
        "textposition": "none",
    }


def _range(bars: Sequence[Bar], published: tuple[str, float] | None) -> list[float]:
    """Ends of the axis: 0, all means, the published score, and the intervals of bars without a warning."""
    values = [0.0, *(bar.mean for bar in bars), *([published[1]] if published else [])]
    values += [end for bar in bars if not bar.warning for end in (bar.low, bar.high) if end is not None]
    room = ROOM * (max(values) - min(values)) or 1.0
    return [short(min(values) - (room if min(values) < 0 else 0)), short(max(values) + room)]


def _in_words(bar: Bar) -> str:
    interval = "" if bar.low is None or bar.high is None else f" ({bar.low:.1f} to {bar.high:.1f})"
    return f"{bar.name} {bar.mean:.1f}{interval}" + (f", {bar.warning}" if bar.warning else "")
