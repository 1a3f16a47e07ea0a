"""Training curves of a run: metrics.jsonl -> pictures over steps, drawn only for what the run recorded.

Must not know a stage: the sections say which metrics they want and in which words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import Line, line_chart
from vqdna.reports.content import Figure
from vqdna.reports.runs import Run


@dataclass(frozen=True)
class Curves:
    """What one picture of curves shows: `metrics` maps keys of the metrics to the names of their lines."""

    title: str
    y: str
    caption: str
    metrics: Mapping[str, str]
    percent: bool = False
    reference: tuple[float, str] | None = None


@dataclass(frozen=True)
class LevelCurves:
    """What one picture with a line per level shows: the metrics named `prefix` and the level."""

    title: str
    y: str
    caption: str
    prefix: str
    percent: bool = False


def curve_figures(run: Run, wanted: Sequence[Curves | LevelCurves]) -> list[Figure]:
    """Pictures over the steps of a run, without those for which it recorded nothing."""
    figures = []
    for curves in wanted:
        lines = _level_lines(run, curves.prefix) if isinstance(curves, LevelCurves) else _lines(run, curves.metrics)
        reference = curves.reference if isinstance(curves, Curves) else None
        if lines:
            caption, y = curves.caption, curves.y
            figure = line_chart(
                curves.title, lines, x="step", y=y, caption=caption, percent=curves.percent, reference=reference
            )
            figures.append(figure)
    return figures


def _lines(run: Run, names: Mapping[str, str]) -> list[Line]:
    """A line per metric that the run recorded; a metric keeps its color whether or not the others are there."""
    lines = [Line(name, *run.series(key), color=index) for index, (key, name) in enumerate(names.items())]
    return [line for line in lines if line.x]


def _level_lines(run: Run, prefix: str) -> list[Line]:
    """A line per level, level 0 first."""
    keys = {key for record in run.metrics for key in record if key.startswith(prefix)}
    levels = sorted(int(level) for key in keys if (level := key.removeprefix(prefix)).isdigit())
    lines = [Line(f"level {level}", *run.series(f"{prefix}{level}"), color=level) for level in levels]
    return [line for line in lines if line.x]
