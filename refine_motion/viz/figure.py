"""Grids of labelled pictures, saved as one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from refine_motion.viz.flow import ERROR_COLOURS, flow_key

# Inches.
_CELL_WIDTH = 3.2
_GAP = 0.1
_TITLE = 0.3
_ROW_TITLE = 0.32
_LEGEND = 1.1
_LEGEND_LABEL = 0.34
_BAR = 0.16
_DPI = 130


@dataclass(frozen=True)
class Panel:
    """One picture of a figure.

    Attributes:
        image: ``(3, H, W)`` uint8 RGB.
        title: one line above it.
        is_error: whether it shows an error, so that the colour bar belongs beside its row.
    """

    image: Tensor
    title: str
    is_error: bool = False


def save_panels(
    path: str | Path,
    rows: Sequence[Sequence[Panel]],
    row_titles: Sequence[str] = (),
    max_speed: float | None = None,
    max_error: float | None = None,
) -> None:
    """Put pictures in a grid and save it as a PNG; folders are made.

    Args:
        path: file to write.
        rows: panels from left to right, row by row; a row may be shorter than the others.
        row_titles: one per row, written up its left side.
        max_speed: speed of full saturation in the flow pictures; draws the colour code of flow as a key.
        max_error: error of the brightest colour in the error pictures; draws their colour bar, in pixels.

    Raises:
        ValueError: there are no panels, or the row titles are not one per row.
    """
    if not rows or not all(rows):
        raise ValueError("no panels to draw: each row needs at least one")
    if row_titles and len(row_titles) != len(rows):
        raise ValueError(f"{len(row_titles)} row titles for {len(rows)} rows")
    heights = [max(panel.image.shape[1] / panel.image.shape[2] for panel in row) * _CELL_WIDTH for row in rows]
    left = _GAP + (_ROW_TITLE if row_titles else 0)
    right = left + max(len(row) for row in rows) * (_CELL_WIDTH + _GAP)
    width = right + (_LEGEND if max_speed is not None or max_error is not None else 0)
    height = sum(heights) + len(rows) * (_TITLE + _GAP) + _GAP
    sheet = _Sheet(width, height)

    top = 0.0
    spans = []
    for i, (row, row_height) in enumerate(zip(rows, heights, strict=True)):
        top += _TITLE
        for j, panel in enumerate(row):
            axes = sheet.axes(left + j * (_CELL_WIDTH + _GAP), top, _CELL_WIDTH, row_height)
            axes.imshow(panel.image.permute(1, 2, 0).cpu().numpy(), aspect="equal")
            axes.set_anchor("N")
            axes.set_title(panel.title, fontsize=11, pad=4)
        if row_titles:
            sheet.write_upwards(left - _ROW_TITLE / 2, top + row_height / 2, row_titles[i])
        spans.append((top, top + row_height))
        top += row_height + _GAP

    free_from = 0.0
    if max_speed is not None:
        free_from = sheet.draw_flow_key(right, spans[0][0], max_speed)
    if max_error is not None:
        of_errors = [
            span for row, span in zip(rows, spans, strict=True) if any(panel.is_error for panel in row)
        ] or spans
        start = max(of_errors[0][0], free_from)
        sheet.draw_error_bar(right, start, of_errors[-1][1], max_error)
    sheet.save(Path(path))


class _Sheet:
    """A figure addressed in inches from its upper left corner."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height
        self.figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        # Without pyplot there is no global state to clean up and no display to be absent.
        FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """A place for a picture, without frame or ticks."""
        box = (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_axis_off()
        return axes

    def write_upwards(self, x: float, y: float, text: str) -> None:
        """A title up the side of a row, centred at the point."""
        self.figure.text(
            x / self.width, 1 - y / self.height, text, rotation=90, ha="center", va="center", fontsize=11, weight="bold"
        )

    def draw_flow_key(self, left: float, top: float, max_speed: float) -> float:
        """Draw the key and return where it ends."""
        size = _LEGEND - 2 * _GAP
        self.axes(left + _GAP / 2, top, size, size).imshow(flow_key(256).permute(1, 2, 0).numpy())
        self._write(left + _GAP / 2 + size / 2, top + size + 0.05, f"flow\nrim: {max_speed:.3g} px")
        return top + size + 1.5 * _LEGEND_LABEL

    def draw_error_bar(self, left: float, top: float, bottom: float, max_error: float) -> None:
        """Draw the colour bar of errors with its label above it."""
        top += _LEGEND_LABEL
        axes = self.axes(left + 2 * _GAP, top, _BAR, bottom - top)
        axes.set_axis_on()
        ticks = np.linspace(0, max_error, 5 if bottom - top > 1 else 3)
        bar = self.figure.colorbar(ScalarMappable(Normalize(0, max_error), ERROR_COLOURS), cax=axes, ticks=ticks)
        bar.ax.tick_params(labelsize=9)
        labels = [f"{value:.3g}" for value in ticks]
        bar.ax.set_yticklabels([*labels[:-1], f"≥ {labels[-1]}"])
        self._write(left + (_LEGEND - 2 * _GAP) / 2 + _GAP / 2, top - _LEGEND_LABEL + 0.05, "error, px")

    def save(self, path: Path) -> None:
        """Write the PNG."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(path)

    def _write(self, x: float, top: float, text: str) -> None:
        self.figure.text(x / self.width, 1 - top / self.height, text, ha="center", va="top", fontsize=9)
