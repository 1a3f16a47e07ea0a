"""A measure against a size: curves with error bars, and named horizontal lines for what has no such size.

Flow: values -> plotly data, and the places of the lines' names at the right, which must not cover each other. Must not
know what is measured.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vqdna.reports.charts.figures import axis, color, short
from vqdna.reports.content import Figure, Plotly
from vqdna.stage_results import MeanAndSd

HEIGHT, TOP, BOTTOM, RIGHT, NARROW_RIGHT = 380, 34, 48, 122, 16
LABEL_PIXELS = 14
CROWDED = 1.9
"""Two sizes of less than this ratio are named on two rows."""

PADDING = 0.07
"""Free room above and below the values, as a share of their range."""

REACH = 1.0
"""A line farther from the curves than this many of their ranges is named at the edge only: it would flatten them."""


@dataclass(frozen=True)
class Sweep:
    """One curve: a mean for each size, with the standard deviation where there is one."""

    name: str
    sizes: Sequence[int]
    means: Sequence[float]
    deviations: Sequence[float | None]
    color: int
    faint: bool = False

    @classmethod
    def of(
        cls,
        name: str,
        scores: Mapping[int, MeanAndSd],
        color: int,
        *,
        scale: float = 100.0,
        least: float = -math.inf,
        faint: bool = False,
    ) -> Sweep:
        """Curve over the sizes whose score is known, times `scale`; means below `least` are drawn there."""
        known = {size: score for size, score in scores.items() if score.mean is not None}
        means = [max(least, scale * (score.mean or 0.0)) for score in known.values()]
        deviations = [None if score.sd is None else scale * score.sd for score in known.values()]
        return cls(name, list(known), means, deviations, color, faint)


@dataclass(frozen=True)
class Level:
    """One horizontal line; `strong` sets it off from the others."""

    name: str
    value: float
    strong: bool = False


def sweep_chart(
    title: str,
    sweeps: Sequence[Sweep],
    *,
    x: str,
    y: str,
    caption: str,
    levels: Sequence[Level] = (),
    log_y: bool = False,
    digits: int = 1,
    name_of: Callable[[int], str] = str,
) -> Figure:
    """Curves over sizes that double, beside horizontal lines; `log_y` is for curves without such lines.

    `name_of` is how a size reads below the picture.
    """
    sizes = sorted({size for sweep in sweeps for size in sweep.sizes})
    layout: Plotly = {
        "height": HEIGHT,
        "showlegend": True,
        "hovermode": "closest",
        "xaxis": axis(x, type="log", tickvals=sizes, ticktext=_tick_names(sizes, name_of), tickangle=0),
        "yaxis": axis(y, **({"type": "log"} if log_y else {})),
    }
    if levels:
        low, high = _range(sweeps, levels)
        layout["yaxis"] |= {"range": [short(low), short(high)]}
        layout["margin"] = {"l": 56, "r": RIGHT if len(levels) > 1 else NARROW_RIGHT, "t": TOP, "b": BOTTOM}
        layout["shapes"] = [
            {
                "type": "line", "xref": "paper", "layer": "below",
                "line": {
                    "color": "var(--ink)" if level.strong else "var(--middle)", "width": 1.8 if level.strong else 1.2,
                    "dash": "dash" if level.strong else "dot",
                },
                "x0": 0, "x1": 1, "y0": short(level.value), "y1": short(level.value),
            }
            for level in levels
            if low <= level.value <= high
        ]  # fmt: skip
        layout["annotations"] = _names(levels, low, high, digits)
    words = [
        sweep.name + " " + ", ".join(f"{mean:.{digits}f} at {size}" for size, mean in zip(sweep.sizes, sweep.means))
        for sweep in sweeps
    ]
    words += [f"{level.name} {level.value:.{digits}f}" for level in levels]
    alt = f"{title}. Line chart of {y} against {x}: {'; '.join(words)}."
    traces = [_trace(sweep, digits) for sweep in sweeps]
    return Figure(title, alt, caption, {"data": traces, "layout": layout})


def spread(values: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Places near ascending `values`, at least `least` apart and, as far as there is room, from `low` to `high`."""
    # Upwards each is pushed off the one below; then downwards, from the ceiling, off the one above.
    places: list[float] = []
    for value in values:
        places.append(max(value, places[-1] + least) if places else max(value, low))
    ceiling = high
    for index in reversed(range(len(places))):
        places[index] = min(places[index], ceiling)
        ceiling = places[index] - least
    return places


def _range(sweeps: Sequence[Sweep], levels: Sequence[Level]) -> tuple[float, float]:
    """Lowest and highest value that the picture shows: curves, strong lines, and what is not far from them."""
    values = [level.value for level in levels if level.strong]
    for sweep in sweeps:
        pairs = [(mean, deviation or 0.0) for mean, deviation in zip(sweep.means, sweep.deviations, strict=True)]
        values += [mean + sign * deviation for mean, deviation in pairs for sign in (-1, 1)]
    reach = REACH * (max(values) - min(values)) or 1.0
    lowest, highest = min(values) - reach, max(values) + reach
    values += [level.value for level in levels if lowest <= level.value <= highest]
    room = PADDING * (max(values) - min(values)) or 1.0
    return min(values) - room, max(values) + room


def _names(levels: Sequence[Level], low: float, high: float, digits: int) -> list[Plotly]:
    """Name and value of each line at its right end, moved apart where they would overlap; of a single line above it."""
    if len(levels) == 1 and low <= levels[0].value <= high:
        place = {"x": 0, "xanchor": "left", "xshift": 4, "y": short(levels[0].value), "yanchor": "bottom"}
        return [_name(levels[0], "", digits) | place]
    ordered = sorted(levels, key=lambda level: level.value)
    least = LABEL_PIXELS * (high - low) / (HEIGHT - TOP - BOTTOM)
    places = spread([level.value for level in ordered], least, low, high)
    return [
        _name(level, " ↓" if level.value < low else " ↑" if level.value > high else "", digits)
        | {"x": 1, "xanchor": "left", "xshift": 6, "y": short(place), "yanchor": "middle"}
        for level, place in zip(ordered, places, strict=True)
    ]


def _name(level: Level, beyond: str, digits: int) -> Plotly:
    """Name and value of a line, wherever it stands, and an arrow where the line lies outside the picture."""
    return {
        "xref": "paper",
        "showarrow": False,
        "text": f"{html.escape(level.name)} {level.value:.{digits}f}{beyond}",
        "font": {"size": 11, "color": "var(--ink)" if level.strong else "var(--soft)"},
    }


def _tick_names(sizes: Sequence[int], name_of: Callable[[int], str]) -> list[str]:
    """Names of the sizes below the axis, on a second row where the one before is too near for a narrow screen."""
    names: list[str] = []
    for index, size in enumerate(sizes):
        # Sizes double, as a rule: between two of them a third has no room beside both.
        crowded = index > 0 and size < CROWDED * sizes[index - 1] and not names[-1].startswith("<br>")
        names.append(f"<br>{name_of(size)}" if crowded else name_of(size))
    return names


def _trace(sweep: Sweep, digits: int) -> Plotly:
    stroke = color(sweep.color)
    deviations = [None if deviation is None else short(deviation) for deviation in sweep.deviations]
    trace: Plotly = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": html.escape(sweep.name),
        "x": list(sweep.sizes),
        "y": [short(mean) for mean in sweep.means],
        "line": {"color": stroke, "width": 1.5 if sweep.faint else 2.2, "dash": "dot" if sweep.faint else "solid"},
        "marker": {"size": 6 if sweep.faint else 8, "symbol": "circle-open" if sweep.faint else "circle"},
        "hovertemplate": f"{html.escape(sweep.name)}, %{{x}}: %{{y:.{digits}f}}<extra></extra>",
    }
    if any(deviation is not None for deviation in deviations):
        trace["error_y"] = {"type": "data", "array": deviations, "color": stroke, "thickness": 1.5, "width": 5}
    return trace
