from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError
from refine_motion.motionfit.timeline import Footage, timeline
from refine_motion.video.info import VideoInfo


def video(times: list[float], fps: float) -> VideoInfo:
    return VideoInfo(Path("v.mp4"), "0" * 32, len(times), 64, 48, fps, tuple(times), (0,), (), "pyav", ())


def regular(frames: int, fps: float) -> VideoInfo:
    return video([i / fps for i in range(frames)], fps)


@st.composite
def some_video(draw: st.DrawFn) -> VideoInfo:
    """Frames at uneven times, the first one at any."""
    gaps = draw(st.lists(st.floats(0.01, 0.5, allow_subnormal=False), min_size=1, max_size=40))
    times = list(accumulate(gaps, initial=draw(st.floats(-2, 2, allow_subnormal=False))))
    return video(times, len(gaps) / (times[-1] - times[0]))


def test_all_frames() -> None:
    assert timeline(regular(5, 25.0), None) == [0, 1, 2, 3, 4]
    for fps in (25.0, 30.0):
        assert timeline(regular(5, 25.0), fps) == [0, 1, 2, 3, 4]


def test_by_hand() -> None:
    assert timeline(regular(10, 30.0), 10.0) == [0, 3, 6, 9]
    # At 25 frames a second, 8 a second are at 0, 3.125, 6.25 and 9.375 frames.
    assert timeline(regular(10, 25.0), 8.0) == [0, 3, 6, 9]
    # Counted from the first frame and by time: multiples of half a second are nearest to 7.0, 7.6, 7.9 and 8.6.
    assert timeline(video([7.0, 7.1, 7.2, 7.6, 7.7, 7.9, 8.2, 8.3, 8.6], 5.0), 2.0) == [0, 3, 5, 8]
    assert timeline(regular(1, 25.0), 5.0) == [0]


@given(some_video(), st.floats(0.5, 50, allow_subnormal=False))
def test_the_frames_nearest_to_the_grid(info: VideoInfo, fps: float) -> None:
    numbers = timeline(info, fps)
    assert numbers[0] == 0
    assert all(a < b for a, b in pairwise(numbers))
    assert numbers[-1] < info.frames
    if info.fps <= fps:
        assert numbers == list(range(info.frames))
        return
    times = np.array(info.timestamps) - info.timestamps[0]
    # Up to one tick after the end, to which the last frame may be the nearest.
    ticks = np.arange(int(times[-1] * fps) + 2) / fps
    away = np.abs(ticks[:, None] - times)
    nearest = away <= away.min(axis=1, keepdims=True) + 1e-9
    # Every tick within the video has its frame, and every frame its tick.
    assert nearest[:-1, numbers].any(axis=1).all()
    assert nearest[:, numbers].any(axis=0).all()


@given(st.integers(1, 60), st.integers(1, 6))
def test_whole_ratios_are_strides(frames: int, ratio: int) -> None:
    assert timeline(regular(frames, 24.0), 24.0 / ratio) == list(range(0, frames, ratio))


def test_what_is_refused() -> None:
    for size in ((0, 10), (10,), (4, 5, 6)):
        with pytest.raises(ConfigError, match=r"footage\.size must be a height and a width of at least 1 pixel, got"):
            Footage(size)
    for fps in (0.0, -1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"footage\.fps must be more than 0 frames a second, or none for all"):
            Footage(fps=fps)
