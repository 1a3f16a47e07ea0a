"""The map of code vectors: one point per code, its area by use, its color by the bases it stands for.

Owns projected code vectors with counts and k-mers -> plotly data. Must not know how the projection was made.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vqdna.reports.charts.figures import HEIGHT_BESIDE_A_MAP, short
from vqdna.reports.content import Figure

MAX_CODES_PER_MAP = 3000


@dataclass(frozen=True)
class CodePoint:
    """One code vector on the map."""

    code: int
    x: float
    y: float
    count: float
    kmer: str


def map_chart(title: str, points: Sequence[CodePoint], *, caption: str) -> Figure:
    """Code vectors on a plane: point area grows with the count, color is the G+C share of the code's top k-mer."""
    points = sorted(points, key=lambda point: point.count, reverse=True)[:MAX_CODES_PER_MAP]
    used, dead = [p for p in points if p.count > 0], [p for p in points if p.count <= 0]
    most = max((point.count for point in used), default=1.0)
    traces = [_dead_trace(dead)] if dead else []
    traces.append(_used_trace(used, most))
    axis = {"showticklabels": False, "showgrid": False, "showline": False, "title": {"text": ""}}
    layout = {
        "height": HEIGHT_BESIDE_A_MAP,
        "xaxis": axis,
        "yaxis": {**axis, "scaleanchor": "x", "scaleratio": 1},
        "hovermode": "closest",
        "showlegend": bool(dead),
    }
    alt = f"{title}. Scatter plot of {len(points)} code vectors"
    alt += f", {len(dead)} of them unused" if dead else ""
    if used:
        top = used[0]
        alt += f"; the most used is code {top.code}, {top.count:,.0f} positions, top k-mer {top.kmer or 'unknown'}"
    return Figure(title, alt + ".", caption, {"data": traces, "layout": layout})


def gc_fraction(kmer: str) -> float | None:
    """Share of G and C among the A, C, G and T of a k-mer, or None where it has none of them."""
    bases = [base for base in kmer.upper() if base in "ACGT"]
    return sum(base in "GC" for base in bases) / len(bases) if bases else None


def _dead_trace(points: Sequence[CodePoint]) -> dict[str, Any]:
    """Unused codes: small hollow points."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "unused code",
        "x": [short(p.x) for p in points],
        "y": [short(p.y) for p in points],
        "customdata": [p.code for p in points],
        "marker": {
            "symbol": "x-thin-open",
            "size": 6,
            "color": "var(--soft)",
            "line": {"width": 1.2, "color": "var(--soft)"},
        },
        "hovertemplate": "code %{customdata}<br>unused<extra></extra>",
    }


def _used_trace(points: Sequence[CodePoint], most: float) -> dict[str, Any]:
    """Used codes; a code without a top k-mer is drawn at half G+C and says so."""
    shares = [gc_fraction(point.kmer) for point in points]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "used code",
        "showlegend": False,
        "x": [short(p.x) for p in points],
        "y": [short(p.y) for p in points],
        "customdata": [[p.code, p.count, html.escape(p.kmer) or "unknown"] for p in points],
        "marker": {
            "size": [short(5 + 21 * (p.count / most) ** 0.5) for p in points],
            "opacity": 0.8,
            "color": [short(50.0 if share is None else 100 * share) for share in shares],
            "cmin": 0,
            "cmax": 100,
            "colorscale": [[0, "var(--series-0)"], [0.5, "var(--middle)"], [1, "var(--series-1)"]],
            "line": {"width": 0.8, "color": "var(--card)"},
            "colorbar": {
                "title": {"text": "G+C of top k-mer", "side": "top"},
                "orientation": "h",
                "thickness": 10,
                "len": 0.7,
                "y": -0.02,
                "yanchor": "top",
                "ticksuffix": " %",
                "nticks": 5,
                "outlinewidth": 0,
            },
        },
        "hovertemplate": "code %{customdata[0]}<br>%{customdata[1]:,} positions<br>top k-mer %{customdata[2]}"
        "<extra></extra>",
    }
