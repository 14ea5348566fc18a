from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.errors import VideoError
from refine_motion.video.index import build_index
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames
from refine_motion.video.stream import stream_frames


@pytest.fixture
def clip(clip_folder: Path, tmp_path: Path) -> VideoInfo:
    return build_index(clip_folder / "videos", cache_dir=tmp_path, progress=False).videos[0]


def test_the_frames_are_those_that_are_read(clip: VideoInfo) -> None:
    frames = list(stream_frames(clip))
    assert torch.equal(torch.stack(frames), read_frames(clip, range(clip.frames)))


def test_frame_folders(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    for number in range(3):
        Image.fromarray(np.full((70, 80, 3), 40 * number, np.uint8)).save(tmp_path / "v" / f"{number}.png")
    info = build_index(tmp_path / "v", cache_dir=tmp_path / "index", progress=False).videos[0]
    assert [frame[0, 0, 0].item() for frame in stream_frames(info)] == [0, 40, 80]


def test_hard_files(real_data: Path, tmp_path: Path) -> None:
    videos = build_index(real_data / "hard_videos", cache_dir=tmp_path, progress=False).videos
    assert len(videos) >= 5
    for info in videos:
        frames = list(stream_frames(info))
        assert len(frames) == info.frames
        last = info.frames - 1
        assert torch.equal(torch.stack([frames[0], frames[last]]), read_frames(info, [0, last])), info.path


def test_files_that_have_changed(clip: VideoInfo, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="ends after 9 of 12 frames"):
        list(stream_frames(replace(clip, frames=12)))
    with pytest.raises(VideoError, match="frame 0 is 96x72"):
        list(stream_frames(replace(clip, width=90)))
    with pytest.raises(VideoError, match="frame 0 cannot be read"):
        list(stream_frames(replace(clip, path=tmp_path / "gone.mp4")))
