"""The map of code vectors: one point per code, its area by use, its color by the bases it stands for.

Flow: projected code vectors with counts and k-mers -> plotly data. Must not know how the projection was made.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from vqdna.reports.charts.figures import HEIGHT_BESIDE_A_MAP, axis, markers, short
from vqdna.reports.content import Figure, Plotly
from vqdna.stage_results import CodeOnMap

MAX_CODES_PER_MAP = 3000


def map_chart(title: str, points: Sequence[CodeOnMap], *, caption: str) -> Figure:
    """Code vectors on a plane: point area grows with the count, color is the G+C share of the code's top k-mer.

    Every point has its place and its code.
    """
    points = sorted(points, key=lambda point: point.count or 0, reverse=True)[:MAX_CODES_PER_MAP]
    used, dead = [p for p in points if (p.count or 0) > 0], [p for p in points if (p.count or 0) <= 0]
    bare = axis("", showticklabels=False, showgrid=False, showline=False)
    layout = {
        "height": HEIGHT_BESIDE_A_MAP,
        "xaxis": bare,
        "yaxis": {**bare, "scaleanchor": "x", "scaleratio": 1},
        "hovermode": "closest",
        "showlegend": bool(dead),
    }
    alt = f"{title}. Scatter plot of {len(points)} code vectors"
    alt += f", {len(dead)} of them unused" if dead else ""
    if used:
        top = used[0]
        alt += f"; the most used is code {top.code}, {top.count:,.0f} positions, top k-mer {top.top_kmer or 'unknown'}"
    unused = markers(
        [p.x or 0.0 for p in dead],
        [p.y or 0.0 for p in dead],
        name="unused code",
        customdata=[p.code for p in dead],
        marker={
            "symbol": "x-thin-open", "size": 6, "color": "var(--soft)", "line": {"width": 1.2, "color": "var(--soft)"},
        },
        hovertemplate="code %{customdata}<br>unused<extra></extra>",
    )  # fmt: skip
    traces = [*([unused] if dead else []), _used_trace(used)]
    return Figure(title, alt + ".", caption, {"data": traces, "layout": layout})


def _used_trace(points: Sequence[CodeOnMap]) -> Plotly:
    """Used codes; a code without a top k-mer is drawn at half G+C and says so."""
    most = max((point.count or 0.0 for point in points), default=1.0)
    bar = {
        "title": {"text": "G+C of top k-mer", "side": "top"}, "orientation": "h", "thickness": 10, "len": 0.7,
        "y": -0.02, "yanchor": "top", "ticksuffix": " %", "nticks": 5, "outlinewidth": 0,
    }  # fmt: skip
    marker = {
        # The area of a point, not its width, is what the eye compares: so its size follows the root of the count.
        "size": [short(5 + 21 * ((p.count or 0.0) / most) ** 0.5) for p in points],
        "opacity": 0.8,
        "color": [short(_gc_percent(p.top_kmer)) for p in points],
        "cmin": 0,
        "cmax": 100,
        "colorscale": [[0, "var(--series-0)"], [0.5, "var(--middle)"], [1, "var(--series-1)"]],
        "line": {"width": 0.8, "color": "var(--card)"},
        "colorbar": bar,
    }
    return markers(
        [p.x or 0.0 for p in points],
        [p.y or 0.0 for p in points],
        name="used code",
        showlegend=False,
        customdata=[[p.code, p.count, html.escape(p.top_kmer) or "unknown"] for p in points],
        marker=marker,
        hovertemplate="code %{customdata[0]}<br>%{customdata[1]:,} positions<br>top k-mer %{customdata[2]}"
        "<extra></extra>",
    )


def _gc_percent(kmer: str) -> float:
    """Share of G and C among the A, C, G and T of a k-mer; half where it has none of them."""
    bases = [base for base in kmer.upper() if base in "ACGT"]
    return 100 * sum(base in "GC" for base in bases) / len(bases) if bases else 50.0
