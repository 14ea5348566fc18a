"""Windows of frames to read in one go, and the frame pairs inside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refine_motion.errors import ConfigError, VideoError
from refine_motion.video.info import VideoInfo

# Of times, in seconds: far below any frame.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Clip:
    """A window of frames inside one shot of one video.

    Attributes:
        video: where the frames come from.
        frames: frame numbers, increasing.
        shared: how many of the first frames the window before it in the same shot holds too; the pairs among those
            belong to that window.
    """

    video: VideoInfo
    frames: tuple[int, ...]
    shared: int = 0


def windows(
    info: VideoInfo,
    length: int,
    step: int = 1,
    stride: int | None = None,
    step_seconds: float | None = None,
    max_pair_step: int = 1,
) -> list[Clip]:
    """Cut a video into windows that never cross a shot cut.

    Each shot is first thinned out, to every ``step``-th frame from its start or to the frames nearest to multiples of
    ``step_seconds``, and then cut into windows. With the default stride every pair of thinned-out frames up to
    ``max_pair_step`` apart lies in a window, and :func:`pairs` gives it exactly once. The last window of a shot may be
    shorter; one of a single frame is left out.

    Args:
        info: the video.
        length: frames per window.
        step: frame numbers between successive frames of a window.
        stride: thinned-out frames from the start of one window to the next; ``length - max_pair_step`` by default
            (with ``max_pair_step=1`` successive windows share one frame). A larger one leaves pairs out.
        step_seconds: time between successive frames of a window, in place of ``step``. No frame is repeated: where
            the video has fewer frames than that, the ones it has are taken.
        max_pair_step: the largest step that :func:`pairs` will be asked for.

    Returns:
        Windows in order of time; none where no shot has two frames.

    Raises:
        ConfigError: if a number is not positive, both steps are given, or the window is too short for the pairs.
    """
    _check(length=length, step=step, max_pair_step=max_pair_step)
    if stride is not None:
        _check(stride=stride)
    if step_seconds is not None:
        _check(step_seconds=step_seconds)
        if step != 1:
            raise ConfigError(f"step={step} and step_seconds={step_seconds:g} exclude each other: set one of them")
    if length <= max_pair_step:
        raise ConfigError(f"length={length} holds no pair of frames {max_pair_step} apart: it must be larger")
    stride = length - max_pair_step if stride is None else stride
    clips = []
    for start, stop in info.shots:
        frames = range(start, stop, step) if step_seconds is None else by_time(info, start, stop, step_seconds)
        clips += _cut(info, frames, length, stride)
    return clips


def windows_of(videos: Iterable[VideoInfo], length: int, **options: Any) -> list[Clip]:
    """The windows of several videos, see :func:`windows` for the arguments.

    Raises:
        VideoError: if all videos together hold no two frames of one shot.
        ConfigError: as :func:`windows` does.
    """
    videos = list(videos)
    clips = [clip for info in videos for clip in windows(info, length, **options)]
    if not clips:
        shown = ", ".join(str(info.path) for info in videos[:3]) + (", ..." if len(videos) > 3 else "")
        raise VideoError(
            f"{shown or 'no video'}: no shot holds two frames to compare: give longer videos, or a smaller step"
        )
    return clips


def whole_windows(info: VideoInfo, length: int, step_seconds: float) -> list[Clip]:
    """Successive windows by time that share no frame, those with fewer than ``length`` frames left out.

    Args:
        info: the video.
        length: frames per window.
        step_seconds: see :func:`windows`.

    Raises:
        ConfigError: a number is not positive.
    """
    found = windows(info, length, stride=length, step_seconds=step_seconds)
    return [clip for clip in found if len(clip.frames) == length]


def begun_later(window: Clip, share: float, step_seconds: float) -> Clip:
    """A window that begins anywhere between the start of the given one and the end of its span, if its shot allows.

    Args:
        window: of :func:`whole_windows`.
        share: of the way, in [0, 1).
        step_seconds: with which the window was made.

    Returns:
        As many frames of the same shot; the window itself where there is no room.
    """
    info, length = window.video, len(window.frames)
    stop = next(stop for start, stop in info.shots if start <= window.frames[0] < stop)
    times = info.timestamps
    # The last start from which the frames fit into the shot, and one short of where the next window begins.
    latest = min(window.frames[-1], stop - 1)
    while latest > window.frames[0] and times[stop - 1] - times[latest] < (length - 1) * step_seconds - _ROUNDING:
        latest -= 1
    start = window.frames[0] + int(share * (latest - window.frames[0] + 1))
    frames = tuple(by_time(info, start, stop, step_seconds)[:length])
    return Clip(info, frames) if len(frames) == length else window


def pairs(window: Clip, steps: Sequence[int]) -> list[tuple[int, int]]:
    """Positions ``(a, b)`` inside a window of the frame pairs that it contributes, ``b - a`` among ``steps``.

    Over all windows of a shot each pair comes exactly once, if the windows were made with a ``max_pair_step`` no
    smaller than the largest step: a pair that lies in two windows belongs to the earlier one.

    Raises:
        ConfigError: if a step is not positive.
    """
    for step in steps:
        _check(step=step)
    return [
        (a, a + step)
        for step in dict.fromkeys(steps)
        for a in range(len(window.frames) - step)
        if a + step >= window.shared
    ]


def _cut(info: VideoInfo, frames: Sequence[int], length: int, stride: int) -> list[Clip]:
    clips = []
    for start in range(0, len(frames), stride):
        window = tuple(frames[start : start + length])
        shared = min(max(0, length - stride), len(window)) if start else 0
        if len(window) >= 2 and len(window) > shared:
            clips.append(Clip(info, window, shared))
    return clips


def by_time(info: VideoInfo, start: int, stop: int, step_seconds: float) -> list[int]:
    """Frames nearest to the multiples of a time, counted from the first of them.

    Args:
        info: the video.
        start: number of the first frame, which is always taken.
        stop: one more than that of the last.
        step_seconds: the time, more than 0.

    Returns:
        Their numbers, increasing; where two are equally near, rounding decides.
    """
    times = np.asarray(info.timestamps[start:stop]) - info.timestamps[start]
    if times.size < 2:
        return [start]
    # A frame is nearest to the times between the middles of its two gaps. It is chosen if a multiple lies there.
    middles = (times[:-1] + times[1:]) / 2
    end = times[-1] + (times[-1] - times[-2]) / 2
    multiples_before = np.ceil(np.concatenate([[0.0], middles, [end]]) / step_seconds)
    return [start + int(i) for i in np.flatnonzero(np.diff(multiples_before))]


def _check(**values: float) -> None:
    for name, value in values.items():
        if value <= 0:
            raise ConfigError(f"{name} is {value:g}: it must be more than 0")
