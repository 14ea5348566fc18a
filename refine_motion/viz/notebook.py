"""Figures for notebooks, and the two colours of a verdict."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's blue and orange, told apart by colour-blind readers too.
KEPT, DROPPED = "#0072B2", "#E69F00"
_DPI = 110


class NotebookFigure(Figure):
    """A figure that a notebook shows when it is the last value of a cell, whatever back end is set up.

    Args:
        width: inches.
        height: inches.
    """

    def __init__(self, width: float, height: float):
        super().__init__(figsize=(width, height), dpi=_DPI, layout="constrained", facecolor="white")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png")
        return stream.getvalue()
