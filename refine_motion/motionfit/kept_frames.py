"""Frames of short, small videos, decoded once in each process: opening such a file takes longer than what is read."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from refine_motion.motion.grid import resize_frames
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames

# Decoding all of a video must cost about as little as a part of it: 16 frames of 64x64 are 0.2 MiB.
MOST_DECODED = 2**21
# In each process that reads, so that many videos do not fill the memory.
MOST_KEPT = 2**26


class KeptFrames:
    """Reads frames at a size, and keeps those of videos that are small as long as there is room.

    Args:
        size: height and width that frames are brought to, in pixels.
    """

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self._room = MOST_KEPT
        self._videos: dict[str, Tensor] = {}

    def read(self, video: VideoInfo, frames: Sequence[int]) -> Tensor:
        """The frames as :func:`.read_frames` and :func:`.resize_frames` give them, kept or not.

        Args:
            video: the video.
            frames: numbers of frames that it has.

        Returns:
            ``(T, 3, H, W)`` uint8 RGB.

        Raises:
            VideoError: a frame cannot be read.
        """
        kept = self._videos.get(video.key)
        if kept is None:
            pixels = 3 * video.frames
            if pixels * video.height * video.width > MOST_DECODED or pixels * self.size[0] * self.size[1] > self._room:
                return resize_frames(read_frames(video, frames), self.size)
            kept = self._videos[video.key] = resize_frames(read_frames(video, range(video.frames)), self.size)
            self._room -= kept.numel()
        return kept[list(frames)]
