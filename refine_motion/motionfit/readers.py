"""Clips of videos, of their frames or of their flow: what a network sees is told by its reader."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.motionfit.flow_cache import FlowCache
from refine_motion.motionfit.kept_frames import KeptFrames
from refine_motion.motionfit.timeline import Footage, timeline
from refine_motion.video.info import VideoInfo


class ClipReader(ABC):
    """Reads clips, in data loader workers too.

    A clip is ``length`` frames of the timeline, every ``stride``-th from ``start``, whatever is read of them.

    Args:
        footage: which frames of a video count, and the size they are brought to.

    Attributes:
        channels: of what is read.
    """

    channels: int

    def __init__(self, footage: Footage):
        self.footage = footage

    @abstractmethod
    def read(self, video: VideoInfo, start: int, stride: int, length: int) -> Tensor:
        """One clip.

        Args:
            video: the video.
            start: the first frame, counted on the timeline.
            stride: frames of the timeline from one frame of the clip to the next.
            length: of the clip, in frames.

        Returns:
            ``(C, T, H, W)``.

        Raises:
            ValueError: the clip is not within the video.
        """

    @abstractmethod
    def step(self, stride: int) -> int:
        """Clips of a stride may start at the multiples of this number of frames."""

    @abstractmethod
    def settings(self) -> dict[str, object]:
        """All that clips depend on besides the video, as JSON can hold it."""

    @abstractmethod
    def prepare(self, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device) -> None:
        """Make what :meth:`read` needs of some videos, before workers are started.

        Args:
            videos: of which clips will be read.
            strides: of the clips.
            device: to compute with.
        """

    def _places(self, video: VideoInfo, start: int, stride: int, length: int) -> list[int]:
        """Numbers of the clip's frames in the video."""
        numbers = timeline(video, self.footage.fps)
        if start < 0 or stride < 1 or length < 1 or start + (length - 1) * stride >= len(numbers):
            raise ValueError(
                f"{video.path}: {length} frames from {start}, every {stride}., are not within its {len(numbers)}"
            )
        return numbers[start : start + length * stride : stride]


class RgbReader(ClipReader):
    """Frames as they look: ``(3, length, H, W)`` uint8 RGB."""

    channels = 3

    def __init__(self, footage: Footage):
        super().__init__(footage)
        self._frames = KeptFrames(footage.size)

    def read(self, video: VideoInfo, start: int, stride: int, length: int) -> Tensor:
        """See :class:`ClipReader`.

        Raises:
            VideoError: the video cannot be read.
        """
        frames = self._frames.read(video, self._places(video, start, stride, length))
        return frames.transpose(0, 1).contiguous()

    def step(self, stride: int) -> int:
        """1."""
        return 1

    def settings(self) -> dict[str, object]:
        """See :class:`ClipReader`."""
        return {"kind": "rgb", "size": list(self.footage.size), "fps": self.footage.fps}

    def prepare(self, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device) -> None:
        """Nothing is needed."""


class FlowReader(ClipReader):
    """The flow between the frames of a clip: ``(2, length - 1, H, W)`` int8, see :func:`.flow_cache.pixels`.

    Args:
        cache: that holds it; its footage is the reader's.
    """

    channels = 2

    def __init__(self, cache: FlowCache):
        super().__init__(cache.footage)
        self.cache = cache

    def read(self, video: VideoInfo, start: int, stride: int, length: int) -> Tensor:
        """See :class:`ClipReader`; a clip starts at a multiple of its stride and has at least 2 frames.

        Raises:
            LabelError: the flow is missing or damaged.
        """
        self._places(video, start, stride, length)
        return self.cache.read(video, stride, start, length - 1)

    def step(self, stride: int) -> int:
        """The stride: flow is kept for every ``stride``-th frame alone."""
        return stride

    def settings(self) -> dict[str, object]:
        """See :class:`ClipReader`; the first call may load the flow model."""
        return {
            "kind": "flow",
            "size": list(self.footage.size),
            "fps": self.footage.fps,
            "flow": self.cache.key,
        }

    def prepare(self, videos: Sequence[VideoInfo], strides: Sequence[int], device: torch.device) -> None:
        """See :meth:`.flow_cache.FlowCache.fill`."""
        self.cache.fill(videos, strides, device)
