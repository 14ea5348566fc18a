"""The contract of a track model: points followed through a video."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.models.base import MotionModel
from refine_motion.types import Tracks


class Following(Protocol):
    """The state of tracks between the frames of a video."""

    def add(self, frame: Tensor) -> None:
        """Take in the next frame ``(3, H, W)``."""
        ...

    def finish(self) -> Tracks:
        """The tracks, after the last frame."""
        ...


class TrackModel(MotionModel):
    """Follows points through a video, frame after frame.

    Frames are ``(3, H, W)``, RGB, uint8 or float in 0..255. No point's track depends on the other points.

    Attributes:
        min_frames: the shortest video that the model can take.
    """

    min_frames: int

    @abstractmethod
    def begin(self, queries: Tensor, confidence: bool = True) -> Following:
        """What takes in the frames of one video, for queries as of :meth:`follow`."""

    @torch.no_grad()
    def follow(self, frames: Iterable[Tensor], queries: Tensor, confidence: bool = True) -> Tracks:
        """Track points through frames that are read once, in order; few of them are held at a time.

        Args:
            frames: ``(3, H, W)`` each, all of one size.
            queries: ``(N, 3)`` frame, x, y in pixels: where each point is known. It is followed to the video's end.
            confidence: whether confidence and cycle error are wanted. Places and visibility are the same without, and
                a model that needs a way back for nothing else is spared it.

        Returns:
            Tracks on the CPU, with confidence and cycle error where they are wanted.

        Raises:
            ConfigError: a point lies outside the frames or the video.
            VideoError: there are fewer frames than ``min_frames``.
            ValueError: the queries are not ``(N, 3)``, or a frame is not as the first.
        """
        check_shape(queries)
        following = self.begin(queries, confidence)
        for number, frame in numbered(frames):
            if number == 0:
                check_queries(queries, (frame.shape[-2], frame.shape[-1]))
            following.add(frame)
        return following.finish()

    def track(self, video: Tensor, queries: Tensor, confidence: bool = True) -> Tracks:
        """Track points through a video in memory.

        Args:
            video: ``(T, 3, H, W)`` uint8, or float in 0..255.
            queries: see :meth:`follow`.
            confidence: see :meth:`follow`.

        Returns:
            See :meth:`follow`.

        Raises:
            ValueError: the video is not ``(T, 3, H, W)``.
            ConfigError: see :meth:`follow`.
            VideoError: see :meth:`follow`.
        """
        if video.ndim != 4 or video.shape[1] != 3:
            raise ValueError(f"a video must be (T, 3, H, W), got {tuple(video.shape)}")
        return self.follow(iter(video), queries, confidence)


class Recorder:
    """Collects tracks frame by frame, without knowing how many frames there will be.

    Args:
        queries: ``(N, 3)`` frame, x, y.
    """

    def __init__(self, queries: Tensor):
        self.queries = queries.detach().float().cpu()
        self._frames: list[dict[str, Tensor]] = []

    def __len__(self) -> int:
        """Frames so far."""
        return len(self._frames)

    def add_frame(self) -> None:
        """Room for one frame more, in which nothing is known yet."""
        count = len(self.queries)
        self._frames.append(
            {
                "xy": torch.full((count, 2), torch.nan),
                "visible": torch.zeros(count, dtype=torch.bool),
                "confidence": torch.zeros(count),
                "cycle_error": torch.zeros(count),
            }
        )

    def note(self, frame: int, points: Tensor, **values: Tensor) -> None:
        """Take down what is known of some points in a frame; a frame beyond the last is passed over.

        Args:
            frame: its number.
            points: ``(K,)`` numbers of the points.
            values: by name of a field of :class:`Tracks`, for these points.
        """
        if frame < len(self._frames):
            for name, value in values.items():
                held = self._frames[frame][name]
                held[points] = value.detach().cpu().to(held.dtype)

    def tracks(self) -> Tracks:
        """Everything collected."""
        return Tracks(**{name: torch.stack([frame[name] for frame in self._frames]) for name in self._frames[0]})


def check_shape(queries: Tensor) -> None:
    """Refuse what is no list of queries.

    Raises:
        ValueError: the queries are not ``(N, 3)``.
    """
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise ValueError(f"queries must be (N, 3) of frame, x, y, got {tuple(queries.shape)}")


def check_queries(queries: Tensor, size: tuple[int, int]) -> None:
    """Refuse points that no frame holds.

    Args:
        queries: ``(N, 3)`` frame, x, y.
        size: ``(H, W)`` of the frames.

    Raises:
        ConfigError: there is none, or one is not a number, lies outside the frame or before the video, or between two
            frames.
    """
    if not len(queries):
        raise ConfigError("there is no point to track")
    frame, x, y = queries.unbind(dim=1)
    inside = (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1) & (frame >= 0)
    if inside.all() and (frame != frame.floor()).any():
        raise ConfigError(
            f"a point is asked for in frame {frame[frame != frame.floor()][0]:g}, which is no whole number"
        )
    if not inside.all():
        number = int(torch.nonzero(~inside)[0, 0])
        raise ConfigError(
            f"point {number} at frame {frame[number]:g}, x {x[number]:g}, y {y[number]:g} lies outside the frames, "
            f"which are {size[1]} x {size[0]} pixels: x 0 to {size[1] - 1}, y 0 to {size[0] - 1}"
        )


def numbered(frames: Iterable[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Frames with their numbers.

    Raises:
        ValueError: a frame is not ``(3, H, W)``, or not of the size of the first.
    """
    shape: torch.Size | None = None
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.ndim != 3 or frame.shape[0] != 3 or frame.shape != shape:
            raise ValueError(f"frame {number} is {tuple(frame.shape)}; it must be (3, H, W), and all of one size")
        yield number, frame
