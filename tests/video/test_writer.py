from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.errors import ConfigError, VideoError
from refine_motion.video.index import build_index
from refine_motion.video.reader import read_frames
from refine_motion.video.writer import write_video


def smooth_frames(count: int, height: int, width: int) -> torch.Tensor:
    x = torch.linspace(40, 200, width).expand(count, 3, height, width)
    return (x + torch.arange(count).view(-1, 1, 1, 1)).to(torch.uint8)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.mp4"
    frames = smooth_frames(30, 48, 64)
    write_video(path, iter(frames), fps=29.97)
    info = build_index(path, None, progress=False).videos[0]
    assert (info.frames, info.width, info.height, info.reader, info.faults) == (30, 64, 48, "decord", ())
    assert info.fps == pytest.approx(29.97, abs=1e-3)
    assert info.keyframes == (0, 12, 24)
    assert info.timestamps[0] == 0
    difference = read_frames(info, range(30)).float() - frames.float()
    assert difference.abs().mean() < 1.5
    assert [file.name for file in path.parent.iterdir()] == ["out.mp4"]


def test_odd_sizes_repeat_the_last_row_and_column(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", smooth_frames(3, 33, 47), fps=10)
    info = build_index(tmp_path / "a.mp4", None, progress=False).videos[0]
    assert (info.width, info.height) == (48, 34)
    frames = read_frames(info, [1])[0].float()
    assert (frames[:, -1] - frames[:, -2]).abs().max() <= 4


def test_crf_trades_size_for_quality(tmp_path: Path) -> None:
    noise = torch.randint(0, 256, (5, 3, 48, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    write_video(tmp_path / "good.mp4", noise, fps=10)
    write_video(tmp_path / "small.mp4", noise, fps=10, crf=40)
    assert (tmp_path / "small.mp4").stat().st_size < (tmp_path / "good.mp4").stat().st_size / 2


@pytest.mark.parametrize(
    "frames",
    [[], torch.zeros(2, 3, 8, 8), torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
     [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(3, 8, 10, dtype=torch.uint8)]],
)  # fmt: skip
def test_frames_that_cannot_be_written_leave_nothing(tmp_path: Path, frames: object) -> None:
    with pytest.raises(VideoError, match=r"a\.mp4"):
        write_video(tmp_path / "a.mp4", frames, fps=25)
    assert list(tmp_path.iterdir()) == []


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    frames = smooth_frames(2, 16, 16)
    with pytest.raises(ConfigError, match="fps"):
        write_video(tmp_path / "a.mp4", frames, fps=0)
    with pytest.raises(ConfigError, match="crf"):
        write_video(tmp_path / "a.mp4", frames, fps=5, crf=60)
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="cannot be written"):
        write_video(tmp_path / "file" / "a.mp4", frames, fps=5)
