from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_motion.errors import ConfigError, VideoError
from refine_motion.labels.track_store import ClipKey
from refine_motion.labels.track_windows import TrackWindow, plan_track_windows, windows_of_points
from tests.labels.test_windows import video


@given(
    frames=st.integers(2, 60),
    cut=st.integers(1, 59),
    length=st.integers(2, 9),
    steps=st.sets(st.integers(1, 4), min_size=1),
    stride=st.integers(1, 9),
    backward=st.booleans(),
)
def test_windows_are_of_one_length_and_one_shot_and_all_there_are(
    frames: int, cut: int, length: int, steps: set[int], stride: int, backward: bool
) -> None:
    info = video("a", frames, (cut,) if cut < frames else ())
    expected = set()
    for step in steps:
        for start, stop in info.shots:
            kept = range(start, stop, step)
            firsts = [*range(0, len(kept) - length + 1, stride)]
            if firsts:
                firsts.append(len(kept) - length)
            expected |= {tuple(kept[first : first + length]) for first in firsts}
    if max(stop - start for start, stop in info.shots) <= min(steps):
        with pytest.raises(VideoError):
            plan_track_windows([info], length, sorted(steps), stride, backward)
        return
    planned = plan_track_windows([info], length, sorted(steps), stride, backward)
    assert sorted(w.clip.frames for w in planned if not w.backward) == sorted(expected)
    assert len(planned) == len(expected) * (1 + backward)
    keys = [window.key for window in planned]
    assert len(set(keys)) == len(keys)
    assert [w.clip.frames[0] for w in planned] == sorted(w.clip.frames[0] for w in planned)


def test_by_hand_with_two_shots_two_steps_and_backward() -> None:
    planned = plan_track_windows([video("a", 14, (5,))], 4, [1, 2], 3, True)
    assert [window.key.frames for window in planned] == [
        (0, 1, 2, 3),
        (3, 2, 1, 0),
        (1, 2, 3, 4),
        (4, 3, 2, 1),
        (5, 6, 7, 8),
        (8, 7, 6, 5),
        (5, 7, 9, 11),
        (11, 9, 7, 5),
        (7, 9, 11, 13),
        (13, 11, 9, 7),
        (8, 9, 10, 11),
        (11, 10, 9, 8),
        (10, 11, 12, 13),
        (13, 12, 11, 10),
    ]
    assert all(window.key.video == "a" for window in planned)
    assert [window.backward for window in planned] == [False, True] * 7
    # Frames are read in order of time.
    assert planned[1].clip.frames == (0, 1, 2, 3)


def test_video_by_video_and_too_short_ones_give_none() -> None:
    videos = [video("b", 12), video("short", 3), video("a", 12)]
    planned = plan_track_windows(videos, 6, [2, 1], 6, False)
    assert [(w.clip.video.key, w.clip.frames[0], w.clip.frames[-1]) for w in planned] == [
        ("b", 0, 10),
        ("b", 0, 5),
        ("b", 6, 11),
        ("a", 0, 10),
        ("a", 0, 5),
        ("a", 6, 11),
    ]


def test_by_time() -> None:
    # Ten frames a second, one every fifth of one.
    planned = plan_track_windows([video("a", 12)], 4, [1], 2, False, seconds_per_step=0.2)
    assert [w.clip.frames for w in planned] == [(0, 2, 4, 6), (4, 6, 8, 10)]
    with pytest.raises(ConfigError, match="exclude each other"):
        plan_track_windows([video("a", 12)], 4, [2], 2, False, seconds_per_step=0.2)


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(VideoError, match="no shot"):
        plan_track_windows([video("a", 1)], 4, [1], 2, False)
    with pytest.raises(ConfigError, match="stride"):
        plan_track_windows([video("a", 12)], 4, [1], 0, False)
    assert plan_track_windows([video("a", 7)], 8, [1], 4, True) == []


def test_only_the_wanted() -> None:
    there, back = plan_track_windows([video("a", 8)], 8, [1], 4, True)
    assert there.label_keys() == [ClipKey("a", tuple(range(8)))]
    assert back.label_keys() == [ClipKey("a", tuple(range(7, -1, -1)))]
    assert there.only({there.key}) is there
    assert there.only({back.key}) is None
    assert isinstance(back, TrackWindow)


def test_windows_around_points_of_the_users_own() -> None:
    info = video("a", 30, (12,))
    asked = torch.tensor([[4.0, 10.0, 5.0], [4.0, 20.0, 6.0], [20.0, 3.0, 4.0]])
    found = windows_of_points(info, asked, 8, (1,))
    # Frame 4 has no eight frames before it; frame 20 has eight on either side in its shot.
    assert [(w.clip.frames[0], w.clip.frames[-1], w.backward) for w in found] == [
        (4, 11, False),
        (20, 27, False),
        (13, 20, True),
    ]
    assert found[0].queries == ((10.0, 5.0), (20.0, 6.0))
    assert found[1].queries == found[2].queries == ((3.0, 4.0),)
    # Labels of chosen points are others than those of points that were named.
    assert found[0].key.digest != TrackWindow(found[0].clip).key.digest
    other = windows_of_points(info, asked[:1], 8, (1,))[0]
    assert other.key.frames == found[0].key.frames
    assert other.key.digest != found[0].key.digest
    # A point that is named twice is one.
    assert windows_of_points(info, asked[[0, 0, 1, 2, 1]], 8, (1,)) == found


@pytest.mark.parametrize("point", [[31.0, 5.0, 5.0], [3.0, -1.0, 5.0], [3.0, 5.0, 4000.0]])
def test_points_outside_the_video(point: list[float]) -> None:
    with pytest.raises(ConfigError, match="is not in the video"):
        windows_of_points(video("a", 30), torch.tensor([point]), 8, (1,))


def test_points_around_which_no_window_fits() -> None:
    with pytest.raises(ConfigError, match="no window of 8 frames"):
        windows_of_points(video("a", 10), torch.tensor([[5.0, 3.0, 3.0]]), 8, (1,))
