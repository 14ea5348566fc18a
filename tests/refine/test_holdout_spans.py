from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_motion.labels.opened import evenly
from refine_motion.labels.track_windows import TrackWindow, plan_track_windows, windows_of_points
from refine_motion.refine.holdout import LEAST_WINDOWS, PARTS, Blocks, HeldOut
from refine_motion.refine.holdout_spans import hold_out_spans, moments
from refine_motion.video.clips import Clip
from refine_motion.video.info import VideoInfo


def planned(*lengths: int, steps: tuple[int, ...] = (1,), stride: int = 4, backward: bool = False) -> list[TrackWindow]:
    """Windows of 8 frames of videos of so many frames each."""
    videos = [
        VideoInfo(
            Path(f"v{n}"), f"v{n}", frames, 96, 72, 10.0, tuple(t / 10 for t in range(frames)), (0,), (), "decord", ()
        )
        for n, frames in enumerate(lengths)
    ]
    return plan_track_windows(videos, 8, steps, stride, backward)


def frames(windows: list[TrackWindow]) -> set[tuple[str, int]]:
    """All that happens in some windows, between their first frames and their last."""
    return {
        (str(window.clip.video.path), time)
        for window in windows
        for time in range(window.clip.frames[0], window.clip.frames[-1] + 1)
    }


def firsts(windows: list[TrackWindow]) -> list[tuple[str, int]]:
    return [(str(window.clip.video.path), window.clip.frames[0]) for window in windows]


def test_of_short_clips_the_ends_are_held_out() -> None:
    found = hold_out_spans(planned(20, 20, 20, 20, 20, 20), 0.4, 0)
    assert firsts(found.part("choose")) == [("v0", 12), ("v2", 12), ("v4", 12)]
    assert firsts(found.part("decide")) == [("v1", 12), ("v3", 12), ("v5", 12)]
    assert firsts(found.training) == [(f"v{n}", first) for n in range(6) for first in (0, 4)]


def test_in_a_long_video_spans_are_spread_and_the_last_one_ends_it() -> None:
    found = hold_out_spans(planned(320), 0.1, 0)
    # Four spans of 8 frames in 320: they would end every 80 frames.
    assert firsts(found.part("choose")) == [("v0", 72), ("v0", 232)]
    assert firsts(found.part("decide")) == [("v0", 152), ("v0", 312)]
    # Of 79 windows the ones before and after each span are lost, and the last has none after it.
    assert len(found.training) == 79 - 4 - 7


def test_both_directions_lie_on_the_same_side() -> None:
    found = hold_out_spans(planned(60, 60, backward=True), 0.2, 0)
    for part in (found.training, *found.halves):
        ways = [{w.backward for w in part if w.clip.frames == window.clip.frames} for window in part]
        assert all(way == {False, True} for way in ways)


def test_windows_of_small_steps_inside_a_span_are_judged_by_too() -> None:
    found = hold_out_spans(planned(200, 200, steps=(1, 3)), 0.25, 0)
    steps = {window.clip.frames[1] - window.clip.frames[0] for window in found.windows}
    assert steps == {1, 3}


@pytest.mark.parametrize(("lengths", "judged"), [((400,), 16), ((60,) * 6, 14), ((120,) * 6, 28)], ids=str)
def test_a_large_share_gives_way_to_training(lengths: tuple[int, ...], judged: int) -> None:
    windows = planned(*lengths)
    found = hold_out_spans(windows, 0.4, 0)
    assert found.blocks is None
    assert 2 * len(found.training) >= len(windows)
    assert len(found.windows) >= judged


def test_windows_that_were_thinned_out_are_parted_too() -> None:
    windows = evenly(planned(*(120,) * 6), 120)
    found = hold_out_spans(windows, 0.4, 0)
    assert found.blocks is None
    assert len(found.windows) >= 20
    assert not frames(found.training) & frames(found.windows)


def test_a_short_piece_is_held_out_as_a_whole() -> None:
    # The windows before and after a moment share its frame alone.
    (video,) = {window.clip.video for window in planned(800)}
    points = torch.tensor([[50.0 + 60 * n, 5.0, 5.0] for n in range(12)])
    windows = windows_of_points(video, points, 8, [1])
    found = hold_out_spans(windows, 0.4, 0)
    assert [len(part) for part in (found.training, *found.halves)] == [12, 6, 6]
    assert not frames(found.training) & frames(found.windows)


def test_moments_are_pieces_of_video() -> None:
    windows = planned(20, 8, backward=True)
    first, second = windows[0].clip.video.path, windows[9].clip.video.path
    assert first != second
    assert moments(windows) == [f"{first} from 0"] * 8 + [f"{second} from 0"] * 2
    assert moments([windows[9], windows[0], windows[7], windows[1]]) == [
        f"{second} from 0", f"{first} from 0", f"{first} from 12", f"{first} from 0"
    ]  # fmt: skip


def test_windows_of_varying_length_give_spans() -> None:
    # Every second to third frame: windows take 15 to 22 frames.
    (video,) = {window.clip.video for window in planned(600)}
    taken = [0]
    while taken[-1] < 590:
        taken.append(taken[-1] + 2 + (len(taken) * 7 % 10 == 0))
    windows = [TrackWindow(Clip(video, tuple(taken[n : n + 8]))) for n in range(0, len(taken) - 8, 4)]
    found = hold_out_spans(windows, 0.15, 0)
    assert found.blocks is None
    assert len(found.windows) >= 4


@pytest.mark.parametrize("lengths", [(8,), (20, 8), (36,), (60,), (20, 20, 20)], ids=str)
def test_where_too_little_would_be_left_blocks_are_held_out(lengths: tuple[int, ...]) -> None:
    windows = planned(*lengths)
    found = hold_out_spans(windows, 0.15, 3)
    assert found.training == found.windows == found.part("choose") == found.part("decide") == windows
    assert found.blocks == Blocks(0.3, 3)


def test_nothing_is_held_out_when_nothing_is_asked_for() -> None:
    windows = planned(100)
    assert hold_out_spans(windows, 0, 0) == HeldOut(windows, ([], []))


@settings(max_examples=150, deadline=None)
@given(
    lengths=st.lists(st.integers(8, 90), min_size=1, max_size=8),
    steps=st.sampled_from([(1,), (2,), (1, 2, 3)]),
    stride=st.integers(1, 9),
    backward=st.booleans(),
    share=st.floats(0.02, 0.5, allow_subnormal=False),
)
def test_no_frame_is_shared(
    lengths: list[int], steps: tuple[int, ...], stride: int, backward: bool, share: float
) -> None:
    windows = planned(max(lengths), *lengths, steps=steps, stride=stride, backward=backward)
    found = hold_out_spans(windows, share, 0)
    if found.blocks:
        assert found.training == windows
        return
    assert len(windows) >= LEAST_WINDOWS
    assert 2 * len(found.training) >= len(windows)
    assert len(set(moments(found.windows))) >= 4
    parts = [frames(found.training), *(frames(found.part(part)) for part in PARTS)]
    assert all(parts)
    for number, part in enumerate(parts):
        assert not any(part & other for other in parts[number + 1 :])
