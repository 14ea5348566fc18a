from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError, VideoError
from refine_motion.video.clips import pairs, windows, windows_of
from refine_motion.video.info import VideoInfo

MakeInfo = Callable[..., VideoInfo]


@st.composite
def videos_and_windows(draw: st.DrawFn) -> tuple[int, tuple[int, ...], int, int, int]:
    frames = draw(st.integers(1, 80))
    cuts = tuple(sorted(draw(st.sets(st.integers(1, max(1, frames - 1)), max_size=4)))) if frames > 1 else ()
    max_pair_step = draw(st.integers(1, 5))
    length = draw(st.integers(max_pair_step + 1, 20))
    return frames, cuts, length, draw(st.integers(1, 4)), max_pair_step


@given(videos_and_windows())
def test_every_pair_comes_exactly_once_and_none_crosses_a_cut(
    make_info: MakeInfo, case: tuple[int, tuple[int, ...], int, int, int]
) -> None:
    frames, cuts, length, step, max_pair_step = case
    info = make_info(frames, cuts)
    steps = range(1, max_pair_step + 1)
    found: Counter[tuple[int, int]] = Counter()
    for clip in windows(info, length, step=step, max_pair_step=max_pair_step):
        assert 2 <= len(clip.frames) <= length
        assert all(b - a == step for a, b in pairwise(clip.frames))
        found.update((clip.frames[a], clip.frames[b]) for a, b in pairs(clip, steps))
    wanted = {
        (a, a + s * step)
        for start, stop in info.shots
        for s in steps
        for a in range(start, stop, step)
        if a + s * step < stop
    }
    assert found == dict.fromkeys(wanted, 1)


@given(frames=st.integers(2, 60), length=st.integers(2, 12), stride=st.integers(1, 15))
def test_any_stride_repeats_no_pair(make_info: MakeInfo, frames: int, length: int, stride: int) -> None:
    clips = windows(make_info(frames), length, stride=stride)
    found = Counter((clip.frames[a], clip.frames[b]) for clip in clips for a, b in pairs(clip, [1]))
    assert set(found.values()) <= {1}
    if stride < length:
        assert len(found) == frames - 1


def test_default_windows_share_one_frame_and_keep_the_rest(make_info: MakeInfo) -> None:
    clips = windows(make_info(12, cuts=(8,)), 4)
    assert [clip.frames for clip in clips] == [(0, 1, 2, 3), (3, 4, 5, 6), (6, 7), (8, 9, 10, 11)]
    assert [clip.shared for clip in clips] == [0, 1, 1, 0]


def test_windows_by_time_follow_the_timestamps(make_info: MakeInfo) -> None:
    info = make_info(8, timestamps=(0.0, 0.04, 0.08, 0.3, 0.34, 0.5, 0.62, 0.8))
    assert [clip.frames for clip in windows(info, 9, step_seconds=0.1)] == [(0, 2, 3, 4, 5, 6, 7)]
    # 0.2 lies between frames 2 (0.08) and 3 (0.3): nearer to 3; 0.4 to 4; 0.6 to 6; 0.8 to 7.
    assert [clip.frames for clip in windows(info, 9, step_seconds=0.2)] == [(0, 3, 4, 6, 7)]


@given(st.lists(st.floats(0.01, 0.5), min_size=1, max_size=40), st.floats(0.001, 1.0), st.data())
def test_windows_by_time_repeat_no_frame(
    make_info: MakeInfo, gaps: list[float], seconds: float, data: st.DataObject
) -> None:
    times = [5.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    cut = data.draw(st.integers(1, len(times) - 1))
    info = make_info(len(times), cuts=(cut,), timestamps=tuple(times))
    for clip in windows(info, 6, step_seconds=seconds):
        assert all(a < b for a, b in pairwise(clip.frames))
        assert clip.frames[-1] < cut or clip.frames[0] >= cut
        assert {cut, 0} & set(clip.frames) or clip.shared == 1
    if seconds < min(gaps) / 2:
        assert sum(len(pairs(clip, [1])) for clip in windows(info, 6, step_seconds=seconds)) == len(times) - 2


def test_a_single_frame_gives_nothing(make_info: MakeInfo) -> None:
    assert windows(make_info(1), 4) == []
    assert windows(make_info(1), 4, step_seconds=0.1) == []
    assert windows(make_info(3, cuts=(1, 2)), 4) == []


def test_windows_of_several_videos_needs_one_pair(make_info: MakeInfo) -> None:
    assert len(windows_of([make_info(1), make_info(5)], 3)) == 2
    with pytest.raises(VideoError, match=r"video\.mp4.*two frames"):
        windows_of([make_info(1), make_info(2, cuts=(1,))], 3)


@pytest.mark.parametrize(
    "options",
    [{"length": 1}, {"length": 4, "step": 0}, {"length": 4, "stride": 0}, {"length": 3, "max_pair_step": 3},
     {"length": 4, "step": 2, "step_seconds": 0.1}, {"length": 4, "step_seconds": -1.0}],
)  # fmt: skip
def test_settings_that_cannot_work(make_info: MakeInfo, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        windows(make_info(10), **options)


def test_pair_steps_must_be_positive(make_info: MakeInfo) -> None:
    with pytest.raises(ConfigError, match="step"):
        pairs(windows(make_info(10), 4)[0], [0])
