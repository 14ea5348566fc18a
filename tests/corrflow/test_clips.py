from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.corrflow.clips import HeldOutClips, TrainingClips
from refine_motion.video.clips import whole_windows
from refine_motion.video.index import build_index
from refine_motion.video.info import VideoInfo


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    """40 frames at 24 a second."""
    folder = tmp_path_factory.mktemp("clips")
    write_clip(folder, seed=1, frames=40, size=(64, 80), max_speed=3.0, pairs=0)
    return build_index(folder / "videos", progress=False).videos[0]


def clips(video: VideoInfo, seed: int = 0, kept: frozenset[int] = frozenset()) -> TrainingClips:
    return TrainingClips(whole_windows(video, 3, 1 / 6), (32, 48), 1 / 6, seed, kept)


def test_frames_are_those_of_their_times_at_the_size_asked_for(video: VideoInfo) -> None:
    held_out = HeldOutClips(whole_windows(video, 3, 1 / 6), (32, 48))
    assert [window.frames for window in held_out.windows] == [(0, 4, 8), (12, 16, 20), (24, 28, 32)]
    frames = held_out[1]["frames"]
    assert (frames.shape, frames.dtype) == ((3, 3, 32, 48), torch.uint8)
    whole = HeldOutClips(held_out.windows, (64, 80))[1]["frames"]
    smaller = torch.nn.functional.interpolate(whole.float(), (32, 48), mode="bilinear", antialias=True)
    assert (frames.float() - smaller).abs().max() <= 0.5
    assert len(held_out) == 3


def test_every_window_comes_once_around_and_begins_elsewhere(video: VideoInfo) -> None:
    made = clips(video)
    starts = {0: set(range(12)), 1: set(range(12, 24)), 2: set(range(24, 32))}
    seen: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    orders = set()
    for around in range(40):
        windows = [made.window(3 * around + n) for n in range(3)]
        places = [next(k for k, of in starts.items() if window.frames[0] in of) for window in windows]
        assert sorted(places) == [0, 1, 2]
        orders.add(tuple(places))
        for place, window in zip(places, windows, strict=True):
            assert all(b - a == 4 for a, b in zip(window.frames, window.frames[1:], strict=False))
            assert window.frames[-1] < video.frames
            seen[place].add(window.frames[0])
    assert len(orders) > 3
    # The last has room for 8 starts, 24 to 31; the others for 9: up to where their last frame is.
    assert seen[0] == set(range(9))
    assert seen[2] == set(range(24, 32))


def test_samples_depend_on_seed_and_number_alone(video: VideoInfo) -> None:
    forwards = [clips(video).window(n).frames for n in range(12)]
    made = clips(video)
    assert [made.window(n).frames for n in reversed(range(12))] == forwards[::-1]
    assert [clips(video, seed=1).window(n).frames for n in range(12)] != forwards
    assert torch.equal(clips(video)[5]["frames"], made[5]["frames"])


def test_a_window_before_what_is_held_out_stays(video: VideoInfo) -> None:
    made = clips(video, kept=frozenset([1]))
    found = {window.frames for window in map(made.window, range(60)) if 12 <= window.frames[0] < 24}
    assert found == {(12, 16, 20)}


def test_a_missing_file_is_named(video: VideoInfo, tmp_path: Path) -> None:
    from dataclasses import replace

    from refine_motion.errors import VideoError

    gone = replace(video, path=tmp_path / "gone.mp4")
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        HeldOutClips(whole_windows(gone, 3, 1 / 6), (32, 48))[0]
