"""The pictures of a study of variants: points on a plane, tracks along the genome, trees, bars with intervals.

Plain plotly data and layout, each with its alternative text. A variant keeps its color and its symbol in every picture.
Must not know how anything was measured.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vqdna.reports.charts.figures import NUM_COLORS, color, short
from vqdna.reports.content import Figure

SYMBOLS = ("circle", "diamond", "cross", "triangle-up")
PLANE_HEIGHT, ROW_HEIGHT, TRACK_MARGIN, LEAF_HEIGHT = 430, 34, 150, 30
GENE_TINTS = ("var(--tint)", "var(--grid)")
NAMED_GENE_SHARE = 0.04
"""Genes shorter than this share of the genome are named on hover alone."""


@dataclass(frozen=True)
class Bar:
    """A value with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Branch:
    """Node of a tree that was read from Newick text."""

    name: str
    length: float
    children: tuple[Branch, ...]


def plane_chart(
    title: str, points: Sequence[Sequence[float]], labels: Sequence[int], names: Sequence[str], caption: str
) -> Figure:
    """Points on a plane, one color and symbol for each variant."""
    traces = []
    for number, name in enumerate(names):
        held = [point for point, label in zip(points, labels) if label == number]
        if held:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": html.escape(name),
                    "x": [short(x) for x, _ in held],
                    "y": [short(y) for _, y in held],
                    "marker": {"color": color(number), "symbol": symbol(number), "size": 7, "opacity": 0.8},
                    "hovertemplate": html.escape(name) + "<extra></extra>",
                }
            )
    axis = {"showticklabels": False, "showgrid": False, "title": {"text": ""}}
    layout = {"height": PLANE_HEIGHT, "xaxis": axis, "yaxis": axis, "hovermode": "closest", "showlegend": True,
              "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.04, "yanchor": "top"}}  # fmt: skip
    alt = f"{title}. Scatter plot of {len(points)} points of {len(traces)} variants on a plane."
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


def symbol(number: int) -> str:
    """Marker symbol of a variant: it changes where the colors begin again."""
    return SYMBOLS[number // NUM_COLORS % len(SYMBOLS)]


def track_chart(
    title: str, tracks: Sequence[Mapping[str, Any]], genes: Sequence[Mapping[str, Any]], num_bases: int, caption: str
) -> Figure:
    """A row for each variant: where its codes differ, known mutations told or missed, genes below."""
    names = [str(track["variant"]) for track in tracks]
    traces = [_change_trace(track) for track in tracks]
    traces += [t for t in (_mutation_trace(tracks, told=True), _mutation_trace(tracks, told=False)) if t["x"]]
    shapes, notes = _gene_strip(genes, num_bases, len(names))
    rows = [*names, "genes"]
    layout = {
        "height": TRACK_MARGIN + ROW_HEIGHT * len(rows),
        "xaxis": {"title": {"text": "place on the reference, bases"}, "range": [0, num_bases], "showgrid": False},
        "yaxis": {
            "title": {"text": ""}, "tickvals": list(range(len(rows))), "ticktext": [html.escape(n) for n in rows],
            "range": [len(rows) - 0.4, -0.7], "zeroline": False,
        },
        "shapes": shapes,
        "annotations": notes,
        "hovermode": "closest",
        "showlegend": True,
    }  # fmt: skip
    words = "; ".join(
        f"{track['variant']}: {len(track['start'])} places, {sum(m['found'] > 0.5 for m in track['mutations'])} of "
        f"{len(track['mutations'])} known substitutions told"
        for track in tracks
    )
    return Figure(title, f"{title}. A row for each variant along the genome: {words}.", caption, _spec(traces, layout))


def interval_bars(
    title: str, groups: Mapping[str, Mapping[str, Bar]], *, x: str, caption: str, percent: bool = False
) -> Figure:
    """Points with intervals, a row for each name, a color for each group."""
    scale = 100 if percent else 1
    names = list(dict.fromkeys(name for bars in groups.values() for name in bars))
    traces = []
    for number, (group, bars) in enumerate(groups.items()):
        shift = (number - (len(groups) - 1) / 2) * 0.6 / max(len(groups), 1)
        held = [(names.index(name) + shift, bar) for name, bar in bars.items()]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": html.escape(group),
                "y": [short(y) for y, _ in held],
                "x": [short(scale * bar.value) for _, bar in held],
                "error_x": {
                    "type": "data",
                    "symmetric": False,
                    "array": [short(max(0.0, scale * (bar.high - bar.value))) for _, bar in held],
                    "arrayminus": [short(max(0.0, scale * (bar.value - bar.low))) for _, bar in held],
                    "thickness": 1.5,
                    "width": 3,
                },
                "marker": {"color": color(number), "size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)]},
                "hovertemplate": "%{x:.4~g}" + (" %" if percent else "") + f"<extra>{html.escape(group)}</extra>",
            }
        )
    layout = {
        "height": 110 + 40 * len(names),
        "xaxis": {"title": {"text": x}, **({"ticksuffix": " %"} if percent else {})},
        "yaxis": {"title": {"text": ""}, "tickvals": list(range(len(names))),
                  "ticktext": [html.escape(name) for name in names], "range": [len(names) - 0.4, -0.6]},
        "showlegend": len(groups) > 1,
        "hovermode": "closest",
    }  # fmt: skip
    words = "; ".join(f"{g}, {n}: {scale * b.value:.3g}" for g, bars in groups.items() for n, b in bars.items())
    return Figure(title, f"{title}. Points with intervals of {x}: {words}.", caption, _spec(traces, layout))


def tree_chart(title: str, newick: str, order: Sequence[str], caption: str) -> Figure:
    """A tree from left to right, branches as long as the distances; leaves in the colors of their variants."""
    root = read_newick(newick)
    leaves = _leaf_names(root)
    xs: list[float | None] = []
    ys: list[float | None] = []
    ends: dict[str, float] = {}
    _draw(root, 0.0, iter(range(len(leaves))), xs, ys, ends)
    numbers = [list(order).index(name) if name in order else 0 for name in leaves]
    traces = [
        {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": {"color": "var(--soft)", "width": 1.5},
         "hoverinfo": "skip", "showlegend": False},
        {"type": "scatter", "mode": "markers+text", "x": [short(ends[name]) for name in leaves],
         "y": list(range(len(leaves))), "text": [f" {html.escape(name)}" for name in leaves],
         "textposition": "middle right", "cliponaxis": False, "showlegend": False, "hoverinfo": "skip",
         "marker": {"color": [color(n) for n in numbers], "symbol": [symbol(n) for n in numbers], "size": 9}},
    ]  # fmt: skip
    widest = max(ends.values(), default=0.0) or 1.0
    hidden = {"showticklabels": False, "showgrid": False, "showline": False, "title": {"text": ""}}
    layout = {
        "height": 70 + LEAF_HEIGHT * len(leaves),
        "xaxis": {**hidden, "range": [-0.02 * widest, 1.35 * widest]},
        "yaxis": {**hidden, "range": [len(leaves) - 0.4, -0.6]},
        "showlegend": False,
    }
    return Figure(title, f"{title}. Tree, in brackets: {newick}", caption, _spec(traces, layout))


def read_newick(text: str) -> Branch:
    """Tree of Newick text as this project writes it: names, lengths, no quotes.

    Raises:
        ValueError: the brackets do not match.
    """
    tokens = re.findall(r"[(),;]|[^(),;]+", text)
    stack: list[list[Branch]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            children = stack.pop()
            if not stack:
                raise ValueError(f"brackets do not match in {text!r}")
            stack[-1].append(Branch("", 0.0, tuple(children)))
        elif token not in ",;":
            name, _, length = token.partition(":")
            if name:
                stack[-1].append(Branch(name, float(length or 0), ()))
            else:
                inner = stack[-1].pop()
                stack[-1].append(Branch(inner.name, float(length or 0), inner.children))
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError(f"brackets do not match in {text!r}")
    return stack[0][0]


def _spec(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> dict[str, Any]:
    return {"data": list(traces), "layout": dict(layout)}


def _change_trace(track: Mapping[str, Any]) -> dict[str, Any]:
    """Ticks where the variant's codes differ, the fainter the fewer genomes."""
    shares = [max(levels) for levels in track["share"]]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "changed code",
        "showlegend": False,
        "x": list(track["start"]),
        "y": [track["row"]] * len(shares),
        "marker": {"symbol": "line-ns-open", "size": 13, "color": "var(--series-0)",
                   "opacity": [short(0.25 + 0.75 * share) for share in shares], "line": {"width": 1.4}},
        "customdata": [short(100 * share) for share in shares],
        "hovertemplate": f"{html.escape(str(track['variant']))}, base %{{x}}<br>%{{customdata:.3g}} % of genomes"
        "<extra>changed code</extra>",
    }  # fmt: skip


def _mutation_trace(tracks: Sequence[Mapping[str, Any]], *, told: bool) -> dict[str, Any]:
    """Known substitutions whose base the codes tell in most genomes that carry it, or not."""
    held = [
        (track, mutation) for track in tracks for mutation in track["mutations"] if (mutation["found"] > 0.5) == told
    ]
    texts = [
        f"{track['variant']}: {m['mutation']}{' ' + m['change'] if m['change'] else ''}, carried by "
        f"{100 * m['carried']:.0f} %"
        for track, m in held
    ]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "known substitution, told by the codes" if told else "known substitution, not told",
        "x": [m["position"] for _, m in held],
        "y": [track["row"] - 0.33 for track, _ in held],
        "marker": {"symbol": "triangle-down" if told else "x", "size": 7, "color": color(2 if told else 1)},
        "text": [html.escape(text) for text in texts],
        "hovertemplate": "%{text}<extra></extra>",
    }


def _gene_strip(genes: Sequence[Mapping[str, Any]], num_bases: int, row: int) -> tuple[list[Any], list[Any]]:
    """Boxes in the row below the tracks with the names of the genes that are wide enough."""
    shapes, notes = [], []
    for number, gene in enumerate(genes):
        shapes.append(
            {"type": "rect", "xref": "x", "yref": "y", "x0": gene["start"], "x1": gene["end"], "y0": row - 0.3,
             "y1": row + 0.3, "fillcolor": GENE_TINTS[number % 2], "line": {"color": "var(--line)", "width": 1}}
        )  # fmt: skip
        if gene["end"] - gene["start"] >= NAMED_GENE_SHARE * num_bases:
            notes.append(
                {"x": (gene["start"] + gene["end"]) / 2, "y": row, "xref": "x", "yref": "y", "showarrow": False,
                 "text": html.escape(str(gene["name"])), "font": {"size": 10, "color": "var(--ink)"}}
            )  # fmt: skip
    return shapes, notes


def _leaf_names(branch: Branch) -> list[str]:
    return [n for child in branch.children for n in _leaf_names(child)] if branch.children else [branch.name]


def _draw(branch: Branch, start: float, rows: Any, xs: list[Any], ys: list[Any], ends: dict[str, float]) -> float:
    """Lines of a branch and what hangs on it; gives its row."""
    end = start + branch.length
    if not branch.children:
        row = float(next(rows))
        ends[branch.name] = end
    else:
        inner = [_draw(child, end, rows, xs, ys, ends) for child in branch.children]
        row = (inner[0] + inner[-1]) / 2
        xs += [short(end), short(end), None]
        ys += [inner[0], inner[-1], None]
    xs += [short(start), short(end), None]
    ys += [row, row, None]
    return row
