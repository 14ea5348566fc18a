"""The frames at which MotionFit looks at a video, and their size: starts, strides and lengths of clips count these."""

from __future__ import annotations

from dataclasses import dataclass

from refine_motion.errors import ConfigError
from refine_motion.video.clips import by_time
from refine_motion.video.info import VideoInfo


@dataclass(frozen=True)
class Footage:
    """What all videos are brought to, so that clips of different ones fit into a batch.

    Attributes:
        size: height and width in pixels, whatever the shape of the video.
        fps: the most frames a second that are looked at; ``None`` looks at all of them.
    """

    size: tuple[int, int] = (128, 171)
    fps: float | None = None

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: a side is below 1 pixel, or the rate is not positive.
        """
        if len(self.size) != 2 or min(self.size) < 1:
            raise ConfigError(f"footage.size must be a height and a width of at least 1 pixel, got {list(self.size)}")
        if self.fps is not None and not self.fps > 0:
            raise ConfigError(f"footage.fps must be more than 0 frames a second, or none for all, got {self.fps:g}")


def timeline(info: VideoInfo, fps: float | None) -> list[int]:
    """Numbers of the frames at which a video is looked at, by time.

    Args:
        info: the video.
        fps: how many a second, more than 0.

    Returns:
        All frames where ``fps`` is ``None``, or the video has no more than that on average. Else, strictly
        increasing, those nearest to multiples of ``1 / fps`` seconds after its first frame; where it has fewer frames
        than that for a while, the ones it has.
    """
    if fps is None or info.fps <= fps:
        return list(range(info.frames))
    return by_time(info, 0, info.frames, 1 / fps)
