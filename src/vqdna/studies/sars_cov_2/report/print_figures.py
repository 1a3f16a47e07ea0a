"""The two pictures of a study of variants as SVG, for print: the planes, and the tracks along the genome.

Flow: Study -> {file name: SVG bytes}. The same numbers as in the page's pictures; the same results give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from vqdna.studies.sars_cov_2.report.results import LEVEL_WORDS, Study

COLORS = ("#0072b2", "#d55e00", "#00875f", "#a8478d", "#8a6d00", "#5b6470")
MARKERS = ("o", "D", "P", "^")


def static_figures(study: Study) -> dict[str, bytes]:
    """Planes and tracks of the main system; without the ones that the results have not."""
    pictures = {"plane.svg": _plane(study.result("plane", study.main)), "tracks.svg": _tracks(study)}
    return {name: picture for name, picture in pictures.items() if picture is not None}


def _plane(found: Mapping[str, Any] | None) -> bytes | None:
    if not found:
        return None
    views, names, labels = found["genomes"]["views"], found["variants"], found["genomes"]["labels"]
    figure, axes = _subplots(1, len(views), (4.2 * len(views), 4.4))
    for axis, (levels, view) in zip(axes, views.items()):
        for number, name in enumerate(names):
            held = [point for point, label in zip(view["points"], labels) if label == number]
            style = {"c": COLORS[number % len(COLORS)], "marker": MARKERS[number // len(COLORS) % len(MARKERS)]}
            axis.scatter([x for x, _ in held], [y for _, y in held], s=14, alpha=0.8, label=name, **style)
        axis.set(title=f"{LEVEL_WORDS[levels]} ({view['method']})", xticks=[], yticks=[])
    handles, titles = axes[0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="lower center", ncol=len(names), frameon=False, fontsize=8)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    return _svg(figure)


def _tracks(study: Study) -> bytes | None:
    found = study.result("tracks", study.main)
    if not found:
        return None
    variants, known = found["variants"], study.record["knowledge"]
    figure, (axis,) = _subplots(1, 1, (11, 1.6 + 0.34 * len(variants)))
    for row, track in enumerate(variants):
        axis.vlines(track["start"], row - 0.28, row + 0.28, colors=COLORS[0], linewidth=0.7)
        for told, marker, tint in ((True, "v", COLORS[2]), (False, "x", COLORS[1])):
            places = [m["position"] for m in track["mutations"] if (m["found"] > 0.5) == told]
            axis.scatter(places, [row - 0.38] * len(places), s=12, marker=marker, c=tint)
    base = len(variants)
    for number, gene in enumerate(known["genes"]):
        axis.barh(
            base, gene["end"] - gene["start"], left=gene["start"], height=0.6, color=("#e4f1f6", "#e6ebf0")[number % 2]
        )
        if gene["end"] - gene["start"] > 0.02 * known["num_bases"]:
            axis.text((gene["start"] + gene["end"]) / 2, base, gene["name"], ha="center", va="center", fontsize=7)
    axis.set(xlim=(0, known["num_bases"]), ylim=(base + 0.5, -0.7), xlabel="place on the reference, bases")
    axis.set_yticks(range(base), [track["variant"] for track in variants])
    figure.tight_layout()
    return _svg(figure)


def _subplots(rows: int, columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Figure and its axes, drawn without a screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False).ravel()


def _svg(figure: Any) -> bytes:
    from matplotlib import rc_context

    stream = io.BytesIO()
    with rc_context({"svg.hashsalt": "vqdna"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()
