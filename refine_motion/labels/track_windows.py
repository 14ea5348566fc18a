"""Which windows of which videos get pseudo-tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refine_motion.errors import ConfigError
from refine_motion.labels.track_store import ClipKey
from refine_motion.video.clips import Clip, windows_of
from refine_motion.video.info import VideoInfo


@dataclass(frozen=True)
class TrackWindow:
    """Frames through which tracks lead.

    Attributes:
        clip: the frames, in order of time.
        backward: tracks begin in the last of them and go back in time.
    """

    clip: Clip
    backward: bool = False

    @property
    def key(self) -> ClipKey:
        """The name of its tracks in a label store."""
        return ClipKey(self.clip.video.key, self.clip.frames[::-1] if self.backward else self.clip.frames)

    def label_keys(self) -> list[ClipKey]:
        """The one name, in a list, as of windows of pairs."""
        return [self.key]

    def only(self, wanted: set[ClipKey]) -> TrackWindow | None:
        """The same window where its tracks are wanted."""
        return self if self.key in wanted else None


def plan_track_windows(
    videos: Sequence[VideoInfo],
    length: int,
    frame_steps: Sequence[int],
    stride: int,
    backward: bool,
    seconds_per_step: float | None = None,
) -> list[TrackWindow]:
    """Windows over all videos, each of just so many frames of one shot.

    Args:
        videos: where to take them from.
        length: frames of a window.
        frame_steps: frames from one frame of a window to the next, each giving windows of its own.
        stride: such steps from the start of one window to the next.
        backward: each window a second time, back in time.
        seconds_per_step: thin the videos out by time first, in place of ``frame_steps``.

    Raises:
        VideoError: no video has two frames of a shot.
        ConfigError: a number is not positive, or both steps are given.
    """
    if seconds_per_step is not None and list(frame_steps) != [1]:
        raise ConfigError("data: frame_steps and seconds_per_step exclude each other for tracks; set one of them")
    planned = []
    for step in frame_steps:
        clips = windows_of(videos, length, step=step, stride=stride, step_seconds=seconds_per_step)
        for clip in clips:
            if len(clip.frames) == length:
                planned += [TrackWindow(clip)] + [TrackWindow(clip, backward=True)] * backward
    order = {video.path: number for number, video in enumerate(videos)}
    # Video by video in order of time, so that what is held out is spread over both.
    return sorted(planned, key=lambda window: (order[window.clip.video.path], window.clip.frames[0]))
