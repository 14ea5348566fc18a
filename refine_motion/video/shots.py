"""Hard cuts between shots, found from small thumbnails of successive frames."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

THUMBNAIL_SIZE = (64, 36)
"""Width and height of the thumbnails, in pixels, whatever the shape of the video."""

_GRID = 4  # thumbnail pixels per cell of the layout signature: small motion moves little between cells this large
_BINS = 8  # colour histogram bins per channel
_REACH = 3  # a flash of up to _REACH - 1 frames is not a cut
_NEIGHBOURS = 8  # frames on either side that say how much change is usual here
_MOST_HISTOGRAM = 2.0  # times the layout change: flicker moves flat colours over the borders of bins
_LEAST_CHANGE = 0.2
_TIMES_USUAL = 2.0


class ShotDetector:
    """Finds hard cuts in a stream of thumbnails, remembering three frames and three numbers per frame.

    The change between two frames is the mean difference of their 16 x 9 colour layouts (0 to 1) plus half the L1
    distance of their smoothed colour histograms (0 to 1, but at most twice the former): motion changes the layout
    but hardly the histogram, flicker the histogram but hardly the layout, and a cut both. A frame starts a shot when

    * every frame shortly before differs from every frame shortly after (so a flash is no cut), and
    * the change exceeds 0.2 plus twice the median change of its neighbourhood (so sustained fast motion is no cut).

    Fades and dissolves are not found.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[NDArray[np.float32], NDArray[np.float32]]] = deque(maxlen=_REACH)
        self._changes: list[list[float]] = [[] for _ in range(_REACH)]  # [lag - 1][first frame]
        self._frames = 0

    def add(self, thumbnail: NDArray[np.uint8]) -> None:
        """Take the next frame.

        Args:
            thumbnail: ``(36, 64, 3)`` uint8 RGB, the whole frame squeezed into :data:`THUMBNAIL_SIZE`.
        """
        signature = (_layout(thumbnail), _histogram(thumbnail))
        for lag, earlier in enumerate(reversed(self._recent), start=1):
            self._changes[lag - 1].append(_change(earlier, signature))
        self._recent.append(signature)
        self._frames += 1

    def cuts(self) -> tuple[int, ...]:
        """Index of the first frame of each new shot, in order (frame 0 not among them)."""
        usual = np.asarray(self._changes[0])
        return tuple(i for i in range(1, self._frames) if self._lasting_change(i) > _threshold(usual, i - 1))

    def _lasting_change(self, start: int) -> float:
        """Smallest change from one of the frames just before ``start`` to one of those from ``start`` on."""
        return min(
            self._changes[lag - 1][first]
            for lag in range(1, _REACH + 1)
            for first in range(max(0, start - lag), min(start, self._frames - lag))
        )


def _threshold(usual: NDArray[np.float64], position: int) -> float:
    before = usual[max(0, position - _NEIGHBOURS) : position]
    after = usual[position + 1 : position + 1 + _NEIGHBOURS]
    around = np.concatenate([before, after])
    return _LEAST_CHANGE + (_TIMES_USUAL * float(np.median(around)) if around.size else 0.0)


def _change(a: tuple[NDArray[np.float32], ...], b: tuple[NDArray[np.float32], ...]) -> float:
    layout = float(np.abs(a[0] - b[0]).mean())
    return layout + min(0.5 * float(np.abs(a[1] - b[1]).sum()), _MOST_HISTOGRAM * layout)


def _layout(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean colour, 0 to 1, of each cell of a coarse grid."""
    height, width, channels = thumbnail.shape
    cells = thumbnail.reshape(height // _GRID, _GRID, width // _GRID, _GRID, channels)
    return cells.mean(axis=(1, 3), dtype=np.float32) / np.float32(255)


def _histogram(thumbnail: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Joint colour histogram that sums to 1, smoothed so that a small change of light moves little of it."""
    r, g, b = np.moveaxis(thumbnail.astype(np.intp) * _BINS // 256, -1, 0)
    counts = np.bincount(((r * _BINS + g) * _BINS + b).ravel(), minlength=_BINS**3)
    smooth = (counts / counts.sum()).astype(np.float32).reshape(_BINS, _BINS, _BINS)
    for axis in range(3):
        line = np.moveaxis(smooth, axis, 0)
        padded = np.concatenate([line[:1], line, line[-1:]])
        smooth = np.moveaxis(0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:], 0, axis)
    return smooth
