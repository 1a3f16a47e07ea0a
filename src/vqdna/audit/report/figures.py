"""The pictures of an audit: rank-frequency curves, grouped bars, and a heat map of information.

Plain plotly data and layout like those of `figures`, each with its alternative text. Must not know an audit's records.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from vqdna.reports.charts.figures import Line, axis, color, line_chart, short
from vqdna.reports.content import Figure, Plotly

HEAT_ROW = 34
HEAT_MARGIN = 150


def rank_curves(title: str, lines: Sequence[Line], *, caption: str) -> Figure:
    """Share of positions against rank of the code, both axes logarithmic, a curve per level."""
    figure = line_chart(title, lines, x="code, most used first", y="share of positions", caption=caption)
    layout = figure.spec["layout"]
    layout["xaxis"] |= {"type": "log", "dtick": 1}
    layout["yaxis"] |= {"type": "log", "dtick": 1, "exponentformat": "power"}
    layout["hovermode"] = "closest"
    for trace in figure.spec["data"]:
        trace["mode"] = "lines"
    return figure


def grouped_bars(
    title: str,
    groups: Mapping[str, Mapping[str, float | None]],
    *,
    y: str,
    caption: str,
    percent: bool = False,
    stacked: bool = False,
) -> Figure:
    """Bars side by side or stacked: one place per name, one color per group; a gap where a group lacks a name."""
    names = dict.fromkeys(name for values in groups.values() for name in values)
    scale = 100 if percent else 1
    unit = " %" if percent else ""
    traces = [
        {
            "type": "bar",
            "name": html.escape(group),
            "x": [html.escape(name) for name in names],
            "y": [None if (value := values.get(name)) is None else short(scale * value) for name in names],
            "marker": {"color": color(index)},
            "hovertemplate": "%{x}: %{y:.4~g}" + unit + "<extra>" + html.escape(group) + "</extra>",
        }
        for index, (group, values) in enumerate(groups.items())
    ]
    layout: Plotly = {
        "barmode": "stack" if stacked else "group",
        "bargap": 0.25,
        "showlegend": len(groups) > 1,
        "xaxis": axis("", showgrid=False, type="category"),
        "yaxis": axis(y, rangemode="tozero", **({"ticksuffix": " %"} if percent else {})),
    }
    words = "; ".join(
        f"{group}, {name}: {scale * value:.4g}{unit}"
        for group, values in groups.items()
        for name, value in values.items()
        if value is not None
    )
    return Figure(title, f"{title}. Bar chart of {y}: {words}.", caption, {"data": traces, "layout": layout})


def heat_map(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    shares: Sequence[Sequence[float | None]],
    texts: Sequence[Sequence[str]],
    *,
    caption: str,
) -> Figure:
    """Shares from 0 to 1 as colors, first row on top, with a text in each cell."""
    trace = {
        "type": "heatmap",
        "x": [html.escape(name) for name in columns],
        "y": [html.escape(name) for name in rows],
        "z": [[None if share is None else short(100 * share) for share in row] for row in shares],
        "text": [[html.escape(text) for text in row] for row in texts],
        "texttemplate": "%{text}",
        "zmin": 0,
        "zmax": 100,
        "xgap": 2,
        "ygap": 2,
        "colorscale": [[0, "var(--page)"], [1, "var(--series-0)"]],
        "colorbar": {"ticksuffix": " %", "thickness": 12, "outlinewidth": 0, "nticks": 5},
        "hovertemplate": "%{y}, %{x}: %{text}, %{z:.3g} %<extra></extra>",
    }
    layout = {
        "height": HEAT_MARGIN + HEAT_ROW * len(rows),
        "xaxis": axis("", showgrid=False, side="top", type="category"),
        "yaxis": axis("", showgrid=False, autorange="reversed", type="category"),
        "showlegend": False,
    }
    words = "; ".join(
        f"{row} by {column}: {text}" for row, line in zip(rows, texts) for column, text in zip(columns, line)
    )
    return Figure(title, f"{title}. Heat map of bits: {words}.", caption, {"data": [trace], "layout": layout})
