"""One video with true tracks, as every benchmark of tracked points hands it to the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrackVideo:
    """A video, or a clip of one, with what is known about its points.

    Coordinates are x, y in pixels of ``size``, integers at pixel centres.

    Attributes:
        name: for the table; no two videos of a benchmark have the same.
        size: ``(H, W)`` at which it is scored. The frames may be larger or smaller: what a model says is scaled.
        frames: opens the video: its frames in order, ``(3, H', W')`` uint8 RGB, all of one size. Can be called again.
        xy: ``(T, N, 2)`` float32, the true places; meaningless where ``valid`` is False.
        visible: ``(T, N)`` bool, where the point is seen.
        valid: ``(T, N)`` bool, where the truth is known and is to be scored.
        queries: ``(M, 3)`` float32: frame, x and y where a model is told a point.
        points: ``(M,)`` int64: the point (of N) that each query is about; one point may be asked for several times.
        recording: what the clip was cut from; clips of one recording are not independent of one another. The video
            itself when empty.
        backward: the frames before a query count as well, so points are followed both ways from there.
        areas: ``(T,)`` pixels of the animal in each frame (BADJA); ``None`` elsewhere.
        masks: ``(T, H, W)`` uint8, the number of the object of each pixel, 0 where there is none, 255 where nobody says
            (DAVIS); ``None`` elsewhere.

    Raises:
        ValueError: the shapes do not fit together.
    """

    name: str
    size: tuple[int, int]
    frames: Callable[[], Iterable[Tensor]]
    xy: Tensor
    visible: Tensor
    valid: Tensor
    queries: Tensor
    points: Tensor
    recording: str = ""
    backward: bool = False
    areas: Tensor | None = None
    masks: Tensor | None = None

    def __post_init__(self) -> None:
        expected = (*self.xy.shape[:2],)
        if self.xy.ndim != 3 or self.xy.shape[2] != 2 or {self.visible.shape, self.valid.shape} != {expected}:
            raise ValueError(
                f"{self.name}: places {tuple(self.xy.shape)}, visible {tuple(self.visible.shape)} and valid "
                f"{tuple(self.valid.shape)} must be (T, N, 2), (T, N) and (T, N)"
            )
        if self.queries.shape != (len(self.points), 3):
            raise ValueError(f"{self.name}: {tuple(self.queries.shape)} queries of {len(self.points)} points")

    @property
    def unit(self) -> str:
        """The recording, which is what can be drawn independently of others."""
        return self.recording or self.name

    def truth(self) -> tuple[Tensor, Tensor, Tensor]:
        """True places ``(T, M, 2)``, visibility and validity ``(T, M)`` of each query."""
        return self.xy[:, self.points], self.visible[:, self.points], self.valid[:, self.points]


def ask_first(xy: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Each point that is ever seen once, in the first frame in which it is.

    Args:
        xy: ``(T, N, 2)``.
        visible: ``(T, N)`` bool.

    Returns:
        ``(M, 3)`` queries and ``(M,)`` points, as of :class:`TrackVideo`.
    """
    points = torch.nonzero(visible.any(dim=0))[:, 0]
    return ask(visible[:, points].int().argmax(dim=0), points, xy), points


def ask(frames: Tensor, points: Tensor, xy: Tensor) -> Tensor:
    """``(M, 3)`` queries at the true places ``(T, N, 2)`` of points ``(M,)`` in frames ``(M,)``."""
    return torch.cat((frames[:, None].float(), xy[frames, points].float()), dim=1)
