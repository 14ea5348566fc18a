"""Which windows of which videos get pseudo-tracks."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.labels.track_store import ClipKey
from refine_motion.video.clips import Clip, windows_of
from refine_motion.video.info import VideoInfo


@dataclass(frozen=True)
class TrackWindow:
    """Frames through which tracks lead.

    Attributes:
        clip: the frames, in order of time.
        backward: tracks begin in the last of them and go back in time.
        queries: ``(x, y)`` in the first frame of the tracks, where a user named them.
    """

    clip: Clip
    backward: bool = False
    queries: tuple[tuple[float, float], ...] = ()

    @property
    def key(self) -> ClipKey:
        """The name of its tracks in a label store."""
        frames = self.clip.frames[::-1] if self.backward else self.clip.frames
        # Labels of another kind, which took the motion of the points for the camera's, have another name.
        about = repr(("camera", self.queries))
        asked = hashlib.sha256(about.encode()).hexdigest()[:16] if self.queries else ""
        return ClipKey(self.clip.video.key, frames, asked)

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

    The last window of a shot ends with it, so that none of its last frames is left out.

    Args:
        videos: where to take them from.
        length: frames of a window.
        frame_steps: frames from one frame of a window to the next, each giving windows of its own.
        stride: such steps from the start of one window to the next.
        backward: each window a second time, back in time.
        seconds_per_step: thin the videos out by time first, in place of ``frame_steps``.

    Raises:
        VideoError: no video has two frames of a shot that are one of the steps apart.
        ConfigError: a number is not positive, or both steps are given.
    """
    if seconds_per_step is not None and list(frame_steps) != [1]:
        raise ConfigError("data: frame_steps and seconds_per_step exclude each other for tracks; set one of them")
    if length < 2 or stride < 1:
        raise ConfigError(f"data: frames must be at least 2 and stride at least 1, got {length} and {stride}")
    clips, too_long = list[Clip](), list[VideoError]()
    for step in frame_steps:
        try:
            shots = windows_of(videos, sys.maxsize, step=step, step_seconds=seconds_per_step)
        except VideoError as error:
            too_long.append(error)
        else:
            clips += [clip for shot in shots for clip in _cut(shot, length, stride)]
    if len(too_long) == len(frame_steps):
        raise too_long[0]
    planned = [TrackWindow(clip, way) for clip in clips for way in ((False, True) if backward else (False,))]
    order = {video.path: number for number, video in enumerate(videos)}
    # Video by video in order of time, so that what is held out is spread over both.
    return sorted(planned, key=lambda window: (order[window.clip.video.path], window.clip.frames[0]))


def _cut(shot: Clip, length: int, stride: int) -> list[Clip]:
    count = len(shot.frames)
    firsts = {*range(0, count - length, stride), count - length} if count >= length else set()
    return [Clip(shot.video, shot.frames[first : first + length]) for first in sorted(firsts)]


def windows_of_points(video: VideoInfo, queries: Tensor, length: int, frame_steps: Sequence[int]) -> list[TrackWindow]:
    """Windows that begin where a user's points are, forward and back in time as far as their shot goes.

    Args:
        video: the one that they are in.
        queries: ``(N, 3)`` frame, x, y.
        length: frames of a window.
        frame_steps: frames from one frame of a window to the next, each giving windows of its own.

    Raises:
        ConfigError: a point lies outside the video, or no window fits around any.
    """
    found = []
    for frame in sorted({int(number) for number in queries[:, 0]}):
        shot = next(((start, stop) for start, stop in video.shots if start <= frame < stop), None)
        places = queries[queries[:, 0] == frame][:, 1:]
        inside = (places[:, 0] <= video.width - 1) & (places[:, 1] <= video.height - 1) & (places >= 0).all(dim=1)
        if shot is None or not inside.all():
            raise ConfigError(
                f"{video.path}: a point in frame {frame} is not in the video ({video.frames} frames of "
                f"{video.width}x{video.height})"
            )
        # A point that is named twice is one.
        asked = tuple(dict.fromkeys((x, y) for x, y in places.tolist()))
        for step in frame_steps:
            reach = step * (length - 1)
            if frame + reach < shot[1]:
                found.append(TrackWindow(Clip(video, tuple(range(frame, frame + reach + 1, step))), queries=asked))
            if frame - reach >= shot[0]:
                clip = Clip(video, tuple(range(frame - reach, frame + 1, step)))
                found.append(TrackWindow(clip, backward=True, queries=asked))
    if not found:
        raise ConfigError(f"{video.path}: no window of {length} frames fits around any of the points in their shots")
    return found
