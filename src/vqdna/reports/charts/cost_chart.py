"""Accuracy against what it costs: a named point for each system over a logarithmic axis, published ones hollow.

Flow: points -> plotly data with fixed margins and ranges, so that labels.js, which knows the width of the screen, can
place the names without overlap. Must not know which cost or score it draws.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import axis, color, markers, short
from vqdna.reports.charts.short_names import short_names
from vqdna.reports.content import Figure, Plotly, magnitude

MAX_NAME = 24
HEIGHT, HEIGHT_OF_A_NAME, FEW_NAMES = 400, 11, 10
ROOM = 0.09
"""Free room at either end of an axis, as a share of its range."""

KINDS = {False: ("run here", "circle", 0), True: ("published", "circle-open", 1)}


@dataclass(frozen=True)
class Point:
    """One system: what it costs, above 0, and what it scores."""

    name: str
    cost: float
    score: float
    published: bool = False


def cost_chart(title: str, points: Sequence[Point], *, x: str, y: str, caption: str) -> Figure:
    """Scores over costs, costs in powers of ten; `points` are in the order of their numbers."""
    labels = short_names((point.name for point in points), MAX_NAME)
    x_range = _range([math.log10(point.cost) for point in points], least=0.5)
    layout = {
        "height": HEIGHT + HEIGHT_OF_A_NAME * max(0, len(points) - FEW_NAMES),
        "margin": {"l": 46, "r": 12, "t": 34, "b": 48},
        "xaxis": axis(x, type="log", range=x_range, automargin=False, **_ticks(x_range)),
        "yaxis": axis(y, range=_range([p.score for p in points], least=2), automargin=False),
        "showlegend": True,
        "hovermode": "closest",
        # What labels.js needs of a name: its place on the axes, the words, and whether it is a faint one.
        "meta": {
            "labels": [
                {
                    "x": short(math.log10(point.cost)),
                    "y": short(point.score),
                    "text": html.escape(labels[point.name]),
                    "faint": point.published,
                }
                for point in points
            ]
        },
    }
    traces = []
    for kind, (name, symbol, index) in KINDS.items():
        own = [point for point in points if point.published is kind]
        marker = {"color": color(index), "size": 9, "symbol": symbol, "line": {"color": color(index), "width": 2}}
        trace = markers([point.cost for point in own], [point.score for point in own], name=name, marker=marker)
        trace |= {"text": [html.escape(_in_words(point)) for point in own], "hovertemplate": "%{text}<extra></extra>"}
        traces.append(trace | {"cliponaxis": False})
    words = "; ".join(_in_words(point) for point in points)
    alt = f"{title}. Scatter chart of {y} against {x}: {words}."
    spec = {"data": [trace for trace in traces if trace["x"]], "layout": layout}
    names = tuple(point.name + (" (published)" if point.published else "") for point in points)
    return Figure(title, alt, caption, spec, names)


def _range(values: Sequence[float], least: float) -> list[float]:
    low, high = min(values), max(values)
    room = max(ROOM * (high - low), (least - (high - low)) / 2, ROOM * least)
    return [short(low - room), short(high + room)]


def _ticks(x_range: Sequence[float]) -> Plotly:
    """Powers of ten in K, M and B; over less than two of them also 2 and 5 times each."""
    first, last = math.floor(x_range[0]), math.ceil(x_range[1])
    steps = (1,) if last - first > 3 else (1, 3)
    values = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    shown = [value for value in values if x_range[0] <= math.log10(value) <= x_range[1]]
    return {"tickvals": shown, "ticktext": [magnitude(value) for value in shown]} if len(shown) > 1 else {}


def _in_words(point: Point) -> str:
    kind = " (published)" if point.published else ""
    return f"{point.name}{kind} {point.score:.1f} at {magnitude(point.cost)}"
