"""Every real and every hard video: frames equal to plain sequential decoding, or a reason in one line."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from refine_motion.video.index import VideoIndex, VideoInfo, build_index
from refine_motion.video.reader import read_frames

Decode = Callable[..., tuple[int, dict[int, NDArray[np.uint8]]]]

REFUSED = {"empty.mp4", "not_a_video.mp4", "truncated_no_index.mp4"}
READ_BY_PYAV = {
    "av1.mp4", "bit_flips.mp4", "edit_list.mp4", "hevc_10bit.mp4", "open_gop.mp4", "truncated_faststart.mp4",
    "nasa.mp4",
}  # fmt: skip
CUTS = {"bikes_with_cuts.mp4": (30, 76, 137, 187, 242), "nasa.mp4": (202,)}
FRAMES = {"edit_list.mp4": 102, "nasa.mp4": 325, "pancake.mkv": 310, "camel.mp4": 372, "bag.avi": 196}


def files() -> list[str]:
    shared = os.environ.get("REFINE_MOTION_SHARED")
    if not shared:
        return ["hard_videos/*"]  # one case, which the fixture skips with the reason
    data = Path(shared) / "data"
    return sorted(str(p.relative_to(data)) for folder in ("hard_videos", "videos") for p in (data / folder).iterdir())


@pytest.fixture(scope="module")
def index(real_data: Path) -> VideoIndex:
    sources = [real_data / "hard_videos", real_data / "videos"]
    frames = [real_data / "davis" / name / "frames" for name in ("bear", "blackswan")]
    return build_index([*sources, *frames], None, progress=False)


def indices(info: VideoInfo) -> list[int]:
    draw = random.Random(info.frames)
    near = [k + d for k in draw.sample(info.keyframes, min(3, len(info.keyframes))) for d in (-1, 0, 1)]
    return sorted({i for i in near if 0 <= i < info.frames} | {draw.randrange(info.frames) for _ in range(6)})


@pytest.mark.parametrize("name", files())
def test_equal_to_sequential_decoding_or_refused(
    index: VideoIndex, real_data: Path, decode_plainly: Decode, name: str
) -> None:
    path = real_data / name
    if path.name in REFUSED:
        (reason,) = [reason for rejected, reason in index.rejected if rejected == path]
        assert reason
        assert "\n" not in reason
        return
    (info,) = [info for info in index.videos if info.path == path]
    single = indices(info)
    window = range(info.frames // 2, min(info.frames // 2 + 6, info.frames))
    count, plain = decode_plainly(path, {*single, *window})
    assert count == info.frames == FRAMES.get(path.name, info.frames)
    assert info.cuts == CUTS.get(path.name, ())
    assert info.reader == ("pyav" if path.name in READ_BY_PYAV else "decord")
    assert bool(info.faults) == (info.reader == "pyav")
    for frame in single:
        assert np.array_equal(read_frames(info, [frame])[0].permute(1, 2, 0).numpy(), plain[frame]), frame
    together = read_frames(info, window).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(together, np.stack([plain[frame] for frame in window]))


def test_timestamps_of_a_variable_frame_rate(index: VideoIndex) -> None:
    (info,) = [info for info in index.videos if info.path.name == "variable_frame_rate.mp4"]
    gaps = np.diff(info.timestamps)
    assert gaps.min() > 0
    assert gaps.max() > 2 * gaps.min()


@pytest.mark.parametrize("name", ["bear", "blackswan"])
def test_davis_frames(index: VideoIndex, real_data: Path, name: str) -> None:
    folder = real_data / "davis" / name / "frames"
    (info,) = [info for info in index.videos if info.path == folder]
    assert (info.frames, info.width, info.height) == ({"bear": 82, "blackswan": 50}[name], 854, 480)
    assert (info.cuts, info.reader) == ((), "images")
    picture = np.asarray(Image.open(folder / "00007.jpg"))
    assert np.array_equal(read_frames(info, [7])[0].permute(1, 2, 0).numpy(), picture)
