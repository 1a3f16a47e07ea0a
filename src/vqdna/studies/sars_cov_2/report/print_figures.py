"""The two pictures of the study as SVG, for print: the planes, and the tracks along the genome.

Flow: Summary -> {file name: SVG bytes}. The same numbers as in the page's pictures; the same results give the same
bytes.
"""

from __future__ import annotations

import io
from typing import Any

from vqdna.studies.sars_cov_2.report.rows import LEVEL_WORDS, answers
from vqdna.studies.sars_cov_2.results import Plane, Tracks
from vqdna.studies.sars_cov_2.summary import KnowledgeUsed, Summary

COLORS = ("#0072b2", "#d55e00", "#00875f", "#a8478d", "#8a6d00", "#5b6470")
MARKERS = ("o", "D", "P", "^")


def static_figures(summary: Summary) -> dict[str, bytes]:
    """Planes and tracks of the main system; without the ones that the results have not."""
    pictures = {}
    if (plane := answers(summary.steps.plane).get(summary.shown)) is not None:
        pictures["plane.svg"] = _plane(plane)
    if (tracks := answers(summary.steps.tracks).get(summary.shown)) is not None:
        pictures["tracks.svg"] = _tracks(tracks, summary.knowledge)
    return pictures


def _plane(found: Plane) -> bytes:
    unit, names = found.genomes, found.lineages
    figure, axes = _subplots(len(unit.views), (4.2 * len(unit.views), 4.4))
    for axis, (levels, view) in zip(axes, unit.views.items()):
        for number, name in enumerate(names):
            held = [point for point, label in zip(view.points, unit.labels) if label == number]
            style = {"c": COLORS[number % len(COLORS)], "marker": MARKERS[number // len(COLORS) % len(MARKERS)]}
            axis.scatter([x for x, _ in held], [y for _, y in held], s=14, alpha=0.8, label=name, **style)
        axis.set(title=f"{LEVEL_WORDS[levels]} ({view.method})", xticks=[], yticks=[])
    handles, titles = axes[0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="lower center", ncol=len(names), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return _svg(figure)


def _tracks(found: Tracks, known: KnowledgeUsed) -> bytes:
    base = len(found.lineages)
    figure, (axis,) = _subplots(1, (11, 1.6 + 0.34 * base))
    for row, track in enumerate(found.lineages):
        axis.vlines(track.start, row - 0.28, row + 0.28, colors=COLORS[0], linewidth=0.7)
        for told, marker, tint in ((True, "v", COLORS[2]), (False, "x", COLORS[1])):
            places = [mutation.position for mutation in track.mutations if mutation.is_told == told]
            axis.scatter(places, [row - 0.38] * len(places), s=12, marker=marker, c=tint)
    for number, gene in enumerate(known.genes):
        size, tint = gene.end - gene.start, ("#e4f1f6", "#e6ebf0")[number % 2]
        axis.barh(base, size, left=gene.start, height=0.6, color=tint)
        if size > 0.02 * known.num_bases:
            axis.text((gene.start + gene.end) / 2, base, gene.name, ha="center", va="center", fontsize=7)
    axis.set(xlim=(0, known.num_bases), ylim=(base + 0.5, -0.7), xlabel="place on the reference, bases")
    axis.set_yticks(range(base), [track.lineage for track in found.lineages])
    figure.tight_layout()
    return _svg(figure)


def _subplots(columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Figure and its axes, drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False).ravel()


def _svg(figure: Any) -> bytes:
    from matplotlib import rc_context

    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "vqdna"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
