"""The pictures that several sections share, as plain plotly data and layout: curves and ranked bars.

Every picture writes its own alternative text from its numbers. Colors are names of CSS variables (`var(--series-0)`),
which the page resolves when it draws, so one picture serves light and dark. Text from files is escaped here, since
plotly reads a little HTML in names and labels. Must not know runs or stages.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from vqdna.reports.content import Figure, Plotly

NUM_COLORS = 6
MAX_POINTS_PER_LINE = 400
MAX_MARKERS_PER_LINE = 40
MAX_LINES_IN_HOVER = 6
HEIGHT_BESIDE_A_MAP = 400


@dataclass(frozen=True)
class Line:
    """One curve; curves of the same `group` share a color and one entry in the legend."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: int = 0
    group: str = ""
    sizes: Sequence[float] | None = None


def color(index: int) -> str:
    return f"var(--series-{index % NUM_COLORS})"


def short(value: float) -> float:
    """Value with six significant digits: more cannot be seen and only makes the page heavy."""
    return float(f"{value:.6g}")


def axis(title: str, **settings: object) -> Plotly:
    return {"title": {"text": title}, **settings}


def markers(x: Sequence[float], y: Sequence[float], **settings: object) -> Plotly:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [short(value) for value in x],
        "y": [short(value) for value in y],
        **settings,
    }


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    caption: str,
    percent: bool = False,
    reference: tuple[float, str] | None = None,
) -> Figure:
    """Curves over a shared axis; `percent` shows fractions as percentages, `reference` a dotted level and its name."""
    groups = [line.group or line.name for line in lines]
    traces = [
        _line_trace(line, percent, groups.index(group) == at) for at, (line, group) in enumerate(zip(lines, groups))
    ]
    layout = {
        "xaxis": axis(x),
        "yaxis": axis(y, **({"ticksuffix": " %"} if percent else {})),
        "showlegend": True,
        "hovermode": "x unified" if len(lines) <= MAX_LINES_IN_HOVER else "closest",
    }
    if reference is not None:
        layout |= _reference_line(reference[0] * (100 if percent else 1), reference[1], below=True)
    scale, unit = (100, " %") if percent else (1, "")
    ends = [f"from {line.y[0] * scale:.4g}{unit} to {line.y[-1] * scale:.4g}{unit}" if line.y else "" for line in lines]
    words = "; ".join(f"{line.name} {end}".rstrip() for line, end in zip(lines, ends, strict=True))
    alt = f"{title}. Line chart of {y} against {x}: {words}."
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


def rank_chart(title: str, counts: Sequence[float], *, color_index: int, caption: str) -> Figure:
    """Codes sorted by how often they are used, as share of all positions, logarithmic; unused codes stay empty."""
    total = sum(counts)
    shares = [100 * count / total for count in sorted(counts, reverse=True) if count > 0]
    bars = {
        "type": "bar",
        "x": list(range(1, len(shares) + 1)),
        "y": [short(share) for share in shares],
        "marker": {"color": color(color_index), "line": {"width": 0}},
        "hovertemplate": "rank %{x}<br>%{y:.3g} % of positions<extra></extra>",
    }
    layout = {
        "height": HEIGHT_BESIDE_A_MAP,
        "bargap": 0 if len(counts) > 100 else 0.15,
        "xaxis": axis("code, most used first", range=[0.5, len(counts) + 0.5]),
        "yaxis": axis("share of positions", type="log", ticksuffix=" %", dtick=1),
        "showlegend": False,
        **_reference_line(100 / len(counts), "all codes alike", below=False),
    }
    alt = (
        f"{title}. Bar chart: of {len(counts)} codes {len(shares)} are used; "
        f"the most used takes {shares[0]:.2f} % of positions, the least used of them {shares[-1]:.2g} %."
    )
    return Figure(title, alt, caption, {"data": [bars], "layout": layout})


def thinned(x: Sequence[float], y: Sequence[float]) -> tuple[list[float], list[float]]:
    """At most `MAX_POINTS_PER_LINE` of the points, evenly spread, first and last among them."""
    if len(x) <= MAX_POINTS_PER_LINE:
        return list(x), list(y)
    kept = [round(i * (len(x) - 1) / (MAX_POINTS_PER_LINE - 1)) for i in range(MAX_POINTS_PER_LINE)]
    return [x[i] for i in kept], [y[i] for i in kept]


def _line_trace(line: Line, percent: bool, is_first: bool) -> Plotly:
    """Scatter trace of a line; only the first of a group stands in the legend."""
    x, y = thinned(line.x, line.y)
    trace: Plotly = {
        "type": "scatter",
        "mode": "lines+markers" if len(x) <= MAX_MARKERS_PER_LINE else "lines",
        "name": html.escape(line.name),
        "x": [short(value) for value in x],
        "y": [short(value * (100 if percent else 1)) for value in y],
        "line": {"color": color(line.color), "width": 2},
        "marker": {"size": 6 if line.sizes is None else list(line.sizes)},
        "hovertemplate": "%{y:.4~g}" + (" %" if percent else ""),
    }
    if line.group:
        group = html.escape(line.group)
        trace |= {"name": group, "text": html.escape(line.name), "legendgroup": group, "showlegend": is_first}
        trace |= {"opacity": 0.8, "hovertemplate": "%{text}: %{y:.4~g}<extra></extra>"}
    return trace


def _reference_line(level: float, name: str, *, below: bool) -> Plotly:
    """Layout of a dotted horizontal line with its name above or below its right end."""
    label = {
        "text": html.escape(name), "textposition": "end", "yanchor": "top" if below else "bottom",
        "font": {"color": "var(--soft)", "size": 11},
    }  # fmt: skip
    line = {"color": "var(--ink)", "width": 1.5, "dash": "dot"}
    place = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": level, "y1": level}
    return {"shapes": [{**place, "line": line, "label": label}]}
