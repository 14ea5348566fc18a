"""Frames of small videos are decoded once, those of others each time; what is read is the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from refine_motion.errors import VideoError
from refine_motion.motion.grid import resize_frames
from refine_motion.motionfit import kept_frames
from refine_motion.motionfit.kept_frames import KeptFrames
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames
from tests.motionfit.test_readers import FRAMES, SIZE, write

ONE = FRAMES.numel()
KEPT = FRAMES.shape[0] * 3 * SIZE[0] * SIZE[1]


@pytest.fixture
def video(tmp_path: Path) -> VideoInfo:
    return write(tmp_path / "v", FRAMES)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many frames were decoded, by call."""
    counts: list[int] = []

    def counting(video: VideoInfo, frames: list[int]) -> torch.Tensor:
        counts.append(len(frames))
        return read_frames(video, frames)

    monkeypatch.setattr(kept_frames, "read_frames", counting)
    return counts


def test_a_small_video_is_decoded_once(video: VideoInfo, asked: list[int]) -> None:
    reader = KeptFrames(SIZE)
    for frames in ([4, 2, 2], range(9), [8]):
        assert torch.equal(reader.read(video, frames), resize_frames(FRAMES[list(frames)], SIZE))
    assert asked == [9]


@pytest.mark.parametrize(("decoded", "kept"), [(ONE - 1, KEPT), (ONE, KEPT - 1)])
def test_others_are_decoded_each_time(
    monkeypatch: pytest.MonkeyPatch, decoded: int, kept: int, video: VideoInfo, asked: list[int]
) -> None:
    """What is too large, and what no room is left for."""
    monkeypatch.setattr(kept_frames, "MOST_DECODED", decoded)
    monkeypatch.setattr(kept_frames, "MOST_KEPT", kept)
    reader = KeptFrames(SIZE)
    for frames in ([4, 2, 2], [8]):
        assert torch.equal(reader.read(video, frames), resize_frames(FRAMES[frames], SIZE))
    assert asked == [3, 1]


def test_as_many_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, video: VideoInfo, asked: list[int]
) -> None:
    monkeypatch.setattr(kept_frames, "MOST_KEPT", 2 * KEPT - 1)
    reader, other = KeptFrames(SIZE), write(tmp_path / "other", 255 - FRAMES)
    for _ in range(2):
        assert torch.equal(reader.read(video, [1]), resize_frames(FRAMES[1:2], SIZE))
        assert torch.equal(reader.read(other, [1]), resize_frames(255 - FRAMES[1:2], SIZE))
    assert asked == [9, 1, 1]


def test_what_is_read_is_the_readers_own(video: VideoInfo) -> None:
    """Writing into it changes nothing that is read later."""
    reader = KeptFrames(SIZE)
    reader.read(video, range(9)).zero_()
    assert torch.equal(reader.read(video, [3]), resize_frames(FRAMES[3:4], SIZE))


def test_a_missing_video(video: VideoInfo) -> None:
    shutil.rmtree(video.path)
    with pytest.raises(VideoError, match="cannot be read"):
        KeptFrames(SIZE).read(video, [0])
