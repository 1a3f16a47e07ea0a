"""Sequence logos of codes: a matrix of base frequencies to a small picture inside the page.

Flow: frequencies [place][base] and background -> letter heights in bits -> logomaker -> PNG as a data address. Drawn
without a display, with a transparent ground for light and dark pages. Must not know which code it draws.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

BASES = "ACGT"
MAX_BITS = 2.0
SIZE_IN_INCHES = (2.6, 0.62)
DOTS_PER_INCH = 120
SMALLEST_BITS = 0.03  # a pixel; drawing letters below it takes most of the time and shows nothing
NUM_COLORS = 32  # of the picture's palette; a third of the bytes at no visible loss
# Readable on a white and on a dark page.
COLORS = {"A": "#2a9d5c", "C": "#3b82d0", "G": "#e09b1a", "T": "#d6493f"}
BASELINE = "#8a94a0"


class LogoDrawer:
    """Draws logos one after another on one canvas, which is ten times as fast as a new one for each."""

    def __init__(self) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=SIZE_IN_INCHES, dpi=DOTS_PER_INCH)
        FigureCanvasAgg(self._figure)
        self._axes = self._figure.add_axes((0.0, 0.1, 1.0, 0.88))

    def draw(self, matrix: Sequence[Sequence[float]], background: Sequence[float]) -> str:
        """Address of the picture, `data:image/png;base64,...`."""
        import logomaker
        import pandas
        from PIL import Image

        heights = pandas.DataFrame(letter_heights(matrix, background), columns=list(BASES))
        self._axes.clear()
        self._axes.set_axis_off()
        self._axes.axhline(0, color=BASELINE, linewidth=0.8, clip_on=False)
        self._axes.set_xlim(-0.5, len(heights) - 0.5)
        if heights.to_numpy().any():
            logomaker.Logo(heights, ax=self._axes, color_scheme=COLORS, show_spines=False)
        self._axes.set_ylim(0, MAX_BITS)
        whole, small = io.BytesIO(), io.BytesIO()
        self._figure.savefig(whole, format="png", transparent=True)
        image: Any = Image.open(whole).convert("RGBA")
        image.quantize(NUM_COLORS, method=Image.Quantize.FASTOCTREE).save(small, format="png", optimize=True)
        return f"data:image/png;base64,{base64.b64encode(small.getvalue()).decode()}"


def letter_heights(matrix: Sequence[Sequence[float]], background: Sequence[float]) -> list[list[float]]:
    """Height of each letter in bits: its frequency times the information of its place against the background.

    Letters too low to be seen have no height.
    """
    heights = []
    for place in matrix:
        bits = sum(share * math.log2(share / ground) for share, ground in zip(place, background) if share > 0)
        letters = [share * max(bits, 0.0) for share in place]
        heights.append([height if height >= SMALLEST_BITS else 0.0 for height in letters])
    return heights
