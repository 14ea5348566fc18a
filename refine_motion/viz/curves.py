"""Line charts as SVG inside a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from refine_motion.viz.axes import Axis, linear_axis, log_axis, number
from refine_motion.viz.markup import figure

# The style sheet has a colour and a dash for each.
_MOST_SERIES = 6
# Of more points, marks would hide the line.
_MOST_MARKS = 24
# A chart is set once for wide screens and once for phones: scaled down, its letters could not be read.
_SIZES = {"for-wide": (704, 340), "for-phone": (344, 270)}
_TOP, _BOTTOM, _LINE = 34, 48, 18
# Width of a digit, and of a letter in bold, of 13 px in a wide typeface.
_DIGIT, _LETTER = 8.3, 8.6
# Of the width, the largest part that names may take beside the lines.
_NAMES_SHARE = 0.3

_Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis, told apart by colour, dash and name.

    Attributes:
        series: by name, points ``(x, y)`` from left to right. A line is broken where a value is not finite, or not
            positive on a logarithmic axis.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis, written above it.
        caption: prose below it.
        log_y: whether the vertical axis is logarithmic.

    Raises:
        ValueError: there is no series or more than six, or not one point to draw.
    """

    series: Mapping[str, _Points]
    x_label: str
    y_label: str
    caption: str = ""
    log_y: bool = False

    def __post_init__(self) -> None:
        if not 1 <= len(self.series) <= _MOST_SERIES:
            raise ValueError(f"a chart shows 1 to {_MOST_SERIES} series, not {len(self.series)}")
        if not any(self._drawn(points) for points in self.series.values()):
            raise ValueError("no point of the series can be drawn")

    def html(self) -> str:
        """Markup of the chart in both of its sizes, of which a screen shows one."""
        charts = "".join(self._chart(name, *size) for name, size in _SIZES.items())
        return figure(charts, self.caption, "narrow curves")

    def _drawn(self, points: _Points) -> list[tuple[float, float]]:
        return [point for point in points if self._can_be_drawn(*point)]

    def _can_be_drawn(self, x: float, y: float) -> bool:
        return math.isfinite(x) and math.isfinite(y) and (y > 0 or not self.log_y)

    def _chart(self, name: str, width: int, height: int) -> str:
        names_width = max(map(len, self.series)) * _LETTER + 12
        beside = names_width <= _NAMES_SHARE * width
        drawn = [point for points in self.series.values() for point in self._drawn(points)]
        ys = [y for _, y in drawn]
        frame = _Frame(
            linear_axis([x for x, _ in drawn], most_ticks=width // 80, to_ticks=False),
            log_axis(ys) if self.log_y else linear_axis(ys, most_ticks=height // 45, to_ticks=True),
            right=width - (names_width if beside else 12),
            bottom=height - _BOTTOM,
        )
        lines = "".join(self._line(index, points, frame) for index, points in enumerate(self.series.values()))
        svg = (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self._summary())}">'
            f'<text x="0" y="14">{escape(self.y_label)}</text>{frame.svg()}{lines}'
            f'<text class="middle" x="{(frame.left + frame.right) / 2:.1f}" y="{height - 6}">{escape(self.x_label)}'
            f"</text>{self._names(frame) if beside else ''}</svg>"
        )
        return f'<div class="{name}">{"" if beside else self._legend()}{svg}</div>'

    def _line(self, index: int, points: _Points, frame: _Frame) -> str:
        path, marks, pen = "", "", "M"
        for x, y in points:
            if not self._can_be_drawn(x, y):
                pen = "M"
                continue
            left, top = frame.place(x, y)
            path += f"{pen}{left:.1f} {top:.1f}"
            marks += f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3"><title>{number(y)} at {number(x)}</title></circle>'
            pen = "L"
        if len(points) > _MOST_MARKS:
            marks = ""
        return f'<g class="series-{index}"><path d="{path}"/>{marks}</g>'

    def _names(self, frame: _Frame) -> str:
        """Each name where its line ends, moved apart where they would overlap."""
        ends = []
        for index, (name, points) in enumerate(self.series.items()):
            if drawn := self._drawn(points):
                _, top = frame.place(*drawn[-1])
                ends.append((top, index, name))
        ends.sort()
        tops = spread([top for top, _, _ in ends], _LINE, _TOP, frame.bottom)
        return "".join(
            f'<text class="series-{index}" x="{frame.right + 9:.1f}" y="{top + 4.5:.1f}">{escape(name)}</text>'
            for top, (_, index, name) in zip(tops, ends, strict=True)
        )

    def _legend(self) -> str:
        items = "".join(
            f'<li><svg viewBox="0 0 28 8" aria-hidden="true"><g class="series-{index}"><path d="M0 4L28 4"/></g></svg>'
            f"{escape(name)}</li>"
            for index, name in enumerate(self.series)
        )
        return f'<ul class="series-names">{items}</ul>'

    def _summary(self) -> str:
        told = []
        for name, points in self.series.items():
            if drawn := self._drawn(points):
                told.append(f"{name} from {number(drawn[0][1])} to {number(drawn[-1][1])}")
        return f"Line chart of {self.y_label} against {self.x_label}: {'; '.join(told)}."


@dataclass(frozen=True)
class _Frame:
    """Where the axes stand in the picture, in its units."""

    x: Axis
    y: Axis
    right: float
    bottom: float

    @property
    def left(self) -> float:
        return max(map(len, self.y.labels)) * _DIGIT + 10

    def place(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.left + self.x.place(x) * (self.right - self.left),
            self.bottom - self.y.place(y) * (self.bottom - _TOP),
        )

    def svg(self) -> str:
        """Grid lines across, ticks below, and their numbers."""
        parts = []
        for tick, label in zip(self.y.ticks, self.y.labels, strict=True):
            _, top = self.place(self.x.low, tick)
            parts.append(f'<path class="grid" d="M{self.left:.1f} {top:.1f}H{self.right:.1f}"/>')
            parts.append(f'<text class="end" x="{self.left - 8:.1f}" y="{top + 4.5:.1f}">{label}</text>')
        parts.append(f'<path class="axis" d="M{self.left:.1f} {self.bottom}H{self.right:.1f}"/>')
        for tick, label in zip(self.x.ticks, self.x.labels, strict=True):
            left, _ = self.place(tick, self.y.low)
            parts.append(f'<path class="axis" d="M{left:.1f} {self.bottom}v5"/>')
            parts.append(f'<text class="middle" x="{left:.1f}" y="{self.bottom + 19}">{label}</text>')
        return "".join(parts)


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Rising places pushed down, then up, until neighbours are a gap apart.

    None is after ``high``; the first are before ``low`` only where there is no room.

    >>> spread([10, 12, 50], gap=10, low=0, high=52)
    [10, 20, 50]
    >>> spread([48, 50], gap=10, low=0, high=50)
    [40, 50]
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap if found else low))
    for index in reversed(range(len(found))):
        found[index] = min(found[index], high)
        high = found[index] - gap
    return found
