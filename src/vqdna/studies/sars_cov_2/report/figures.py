"""The pictures of the study: points on a plane, tracks along the genome, trees, scores with intervals.

Plain plotly data and layout, each with its alternative text. A lineage keeps its color and its symbol in every picture.
Must not know how anything was measured.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import NUM_COLORS, axis, color, markers, short
from vqdna.reports.content import Figure, Plotly
from vqdna.studies.sars_cov_2.knowledge import Gene
from vqdna.studies.sars_cov_2.results import LineageTrack, PlaneUnit, ScoreInterval
from vqdna.studies.sars_cov_2.summary import KnowledgeUsed

SYMBOLS = ("circle", "diamond", "cross", "triangle-up")
PLANE_HEIGHT, ROW_HEIGHT, TRACK_MARGIN, LEAF_HEIGHT = 430, 34, 150, 30
GENE_TINTS = ("var(--tint)", "var(--grid)")
NAMED_GENE_SHARE = 0.04
"""Genes shorter than this share of the genome are named on hover alone."""

HIDDEN: Plotly = {"showticklabels": False, "showgrid": False}


def plane_chart(title: str, unit: PlaneUnit, levels: str, names: Sequence[str], caption: str) -> Figure:
    points = unit.views[levels].points
    traces = []
    for number, name in enumerate(names):
        held = [point for point, label in zip(points, unit.labels) if label == number]
        if held:
            marker = {"color": color(number), "symbol": symbol(number), "size": 7, "opacity": 0.8}
            x, y = zip(*held)
            label = html.escape(name)
            traces.append(markers(x, y, name=label, marker=marker, hovertemplate=f"{label}<extra></extra>"))
    legend = {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.04, "yanchor": "top"}
    layout = {"height": PLANE_HEIGHT, "xaxis": axis("", **HIDDEN), "yaxis": axis("", **HIDDEN), "hovermode": "closest",
              "showlegend": True, "legend": legend}  # fmt: skip
    alt = f"{title}. Scatter plot of {len(points)} points of {len(traces)} lineages on a plane."
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


def symbol(number: int) -> str:
    """Marker symbol of a lineage: it changes where the colors begin again."""
    return SYMBOLS[number // NUM_COLORS % len(SYMBOLS)]


def _rows(names: Sequence[str], *, top: float) -> Plotly:
    """Axis of named rows, row 0 on top."""
    labels = [html.escape(name) for name in names]
    return axis("", tickvals=list(range(len(names))), ticktext=labels, range=[len(names) - 0.4, top])


def track_chart(title: str, tracks: Sequence[LineageTrack], known: KnowledgeUsed, caption: str) -> Figure:
    """A row for each lineage: where its codes differ, known mutations told or missed, genes below."""
    traces = [_change_trace(track, row) for row, track in enumerate(tracks)]
    traces += [trace for told in (True, False) if (trace := _mutation_trace(tracks, told=told))["x"]]
    shapes, notes = _gene_strip(known.genes, known.num_bases, len(tracks))
    rows = [*(track.lineage for track in tracks), "genes"]
    layout = {
        "height": TRACK_MARGIN + ROW_HEIGHT * len(rows),
        "xaxis": axis("place on the reference, bases", range=[0, known.num_bases], showgrid=False),
        "yaxis": _rows(rows, top=-0.7) | {"zeroline": False},
        "shapes": shapes,
        "annotations": notes,
        "hovermode": "closest",
        "showlegend": True,
    }
    words = "; ".join(
        f"{track.lineage}: {len(track.start)} places, {sum(m.is_told for m in track.mutations)} of "
        f"{len(track.mutations)} known substitutions told"
        for track in tracks
    )
    alt = f"{title}. A row for each lineage along the genome: {words}."
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


def _change_trace(track: LineageTrack, row: int) -> Plotly:
    """Ticks where the lineage's codes differ, the fainter the fewer genomes."""
    shares = [max(levels) for levels in track.share]
    marker = {"symbol": "line-ns-open", "size": 13, "color": color(0), "line": {"width": 1.4},
              "opacity": [short(0.25 + 0.75 * share) for share in shares]}  # fmt: skip
    hover = f"{html.escape(track.lineage)}, base %{{x}}<br>%{{customdata:.3g}} % of genomes<extra>changed code</extra>"
    return markers(
        track.start, [row] * len(shares), name="changed code", showlegend=False, marker=marker, hovertemplate=hover,
        customdata=[short(100 * share) for share in shares],
    )  # fmt: skip


def _mutation_trace(tracks: Sequence[LineageTrack], *, told: bool) -> Plotly:
    """Known substitutions whose base the codes tell in most genomes that carry it, or not."""
    held = [(row, track.lineage, m) for row, track in enumerate(tracks) for m in track.mutations if m.is_told == told]
    texts = [
        f"{lineage}: {m.mutation}{' ' + m.change if m.change else ''}, carried by {100 * m.carried:.0f} %"
        for _, lineage, m in held
    ]
    return markers(
        [m.position for _, _, m in held],
        [row - 0.33 for row, _, _ in held],
        name="known substitution, told by the codes" if told else "known substitution, not told",
        marker={"symbol": "triangle-down" if told else "x", "size": 7, "color": color(2 if told else 1)},
        text=[html.escape(text) for text in texts],
        hovertemplate="%{text}<extra></extra>",
    )


def _gene_strip(genes: Sequence[Gene], num_bases: int, row: int) -> tuple[list[Plotly], list[Plotly]]:
    """Boxes in the row below the tracks with the names of the genes that are wide enough."""
    place = {"xref": "x", "yref": "y"}
    shapes = [
        {**place, "type": "rect", "x0": gene.start, "x1": gene.end, "y0": row - 0.3, "y1": row + 0.3,
         "fillcolor": GENE_TINTS[number % 2], "line": {"color": "var(--line)", "width": 1}}
        for number, gene in enumerate(genes)
    ]  # fmt: skip
    notes = [
        {**place, "x": (gene.start + gene.end) / 2, "y": row, "showarrow": False, "text": html.escape(gene.name),
         "font": {"size": 10, "color": "var(--ink)"}}
        for gene in genes
        if gene.end - gene.start >= NAMED_GENE_SHARE * num_bases
    ]  # fmt: skip
    return shapes, notes


def interval_chart(
    title: str, groups: Mapping[str, Mapping[str, ScoreInterval]], *, x: str, caption: str, percent: bool
) -> Figure:
    scale, unit = (100, " %") if percent else (1, "")
    names = list(dict.fromkeys(name for scores in groups.values() for name in scores))
    traces = []
    for number, (group, scores) in enumerate(groups.items()):
        shift = (number - (len(groups) - 1) / 2) * 0.6 / max(len(groups), 1)
        whiskers = {
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 3,
            "array": [short(max(0.0, scale * (score.high - score.value))) for score in scores.values()],
            "arrayminus": [short(max(0.0, scale * (score.value - score.low))) for score in scores.values()],
        }  # fmt: skip
        trace = markers(
            [scale * score.value for score in scores.values()],
            [names.index(name) + shift for name in scores],
            name=html.escape(group),
            error_x=whiskers,
            marker={"color": color(number), "size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)]},
            hovertemplate=f"%{{x:.4~g}}{unit}<extra>{html.escape(group)}</extra>",
        )
        traces.append(trace)
    layout = {
        "height": 110 + 40 * len(names),
        "xaxis": axis(x, **({"ticksuffix": unit} if unit else {})),
        "yaxis": _rows(names, top=-0.6),
        "showlegend": len(groups) > 1,
        "hovermode": "closest",
    }
    words = "; ".join(f"{g}, {n}: {scale * s.value:.3g}" for g, scores in groups.items() for n, s in scores.items())
    alt = f"{title}. Points with intervals of {x}: {words}."
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


# Trees ---------------------------------------------------------------------------------------------------------------


@dataclass
class Branch:
    """Node of a tree that was read from Newick text; `row` and `end` are its place in the picture."""

    name: str
    length: float
    children: list[Branch]
    row: float = 0.0
    end: float = 0.0


def tree_chart(title: str, newick: str, order: Sequence[str], caption: str) -> Figure:
    """A tree from left to right, branches as long as the distances; leaves in the colors of their lineages."""
    lines: list[tuple[float | None, float | None]] = []
    leaves: list[Branch] = []
    _draw(read_newick(newick), 0.0, lines, leaves)
    numbers = [order.index(leaf.name) if leaf.name in order else 0 for leaf in leaves]
    xs, ys = zip(*lines)
    branches = {"type": "scatter", "mode": "lines", "x": xs, "y": ys, "line": {"color": "var(--soft)", "width": 1.5},
                "hoverinfo": "skip", "showlegend": False}  # fmt: skip
    marker = {"color": [color(n) for n in numbers], "symbol": [symbol(n) for n in numbers], "size": 9}
    names = markers(
        [leaf.end for leaf in leaves], range(len(leaves)), marker=marker, textposition="middle right",
        text=[f" {html.escape(leaf.name)}" for leaf in leaves], cliponaxis=False, showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    widest = max((leaf.end for leaf in leaves), default=0.0) or 1.0
    layout = {
        "height": 70 + LEAF_HEIGHT * len(leaves),
        "xaxis": axis("", **HIDDEN, showline=False, range=[-0.02 * widest, 1.35 * widest]),
        "yaxis": axis("", **HIDDEN, showline=False, range=[len(leaves) - 0.4, -0.6]),
        "showlegend": False,
    }
    data = [branches, names | {"mode": "markers+text"}]
    return Figure(title, f"{title}. Tree, in brackets: {newick}", caption, {"data": data, "layout": layout})


def read_newick(text: str) -> Branch:
    """Tree of Newick text as this project writes it: names, lengths, no quotes.

    Raises:
        ValueError: the brackets do not match.
    """
    tokens = iter(re.findall(r"[(),;]|[^(),;]+", text))
    (root,) = _branches(tokens)
    if next(tokens, None) is not None:
        raise ValueError(f"brackets do not match in {text!r}")
    return root


def _branches(tokens: Iterator[str]) -> list[Branch]:
    """Branches up to the bracket or the semicolon that ends them; a name or length belongs to what stands before it."""
    found: list[Branch] = []
    for token in tokens:
        if token == "(":
            found.append(Branch("", 0.0, _branches(tokens)))
        elif token in ");":
            return found
        elif token != ",":
            name, _, length = token.partition(":")
            if name:
                found.append(Branch(name, 0.0, []))
            found[-1].length = float(length or 0)
    raise ValueError("brackets do not match: the tree does not end")


def _draw(branch: Branch, start: float, lines: list[tuple[float | None, float | None]], leaves: list[Branch]) -> None:
    """Lines of a branch and what hangs on it; leaves take the next free row, other nodes the middle of theirs."""
    branch.end = start + branch.length
    for child in branch.children:
        _draw(child, branch.end, lines, leaves)
    own, nothing = short(branch.end), (None, None)
    if branch.children:
        first, last = branch.children[0].row, branch.children[-1].row
        branch.row = (first + last) / 2
        lines += [(own, first), (own, last), nothing]
    else:
        branch.row = float(len(leaves))
        leaves.append(branch)
    lines += [(short(start), branch.row), (own, branch.row), nothing]
