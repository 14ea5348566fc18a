"""Small videos made on the spot, and the plain decoding that every reader is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from refine_motion.video.info import VideoInfo
from refine_motion.video.probe import ProbeWorker


@pytest.fixture(scope="module", autouse=True)
def look_each_time(look_into_videos: Callable[[ProbeWorker, Path, str], VideoInfo]) -> Iterator[None]:
    """Here it is tested how videos are looked into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ProbeWorker, "probe", look_into_videos)
        yield


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    """Write a video of moving texture; each scene of ``scenes`` frames has colours of its own."""

    def make(
        path: Path,
        scenes: tuple[int, ...] = (20,),
        size: tuple[int, int] = (64, 48),
        codec: str = "libx264",
        pts: list[int] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        width, height = size
        number = 0
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for scene, frames in enumerate(scenes):
                texture = np.random.default_rng(scene).integers(0, 256, (height // 8, width // 8, 3))
                texture = (texture // 2 + 127 * (scene % 2)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
                for shift in range(frames):
                    frame = av.VideoFrame.from_ndarray(np.roll(texture, shift, axis=1), format="rgb24")
                    frame.pts = pts[number] if pts else number
                    frame.time_base = Fraction(1, 25)
                    container.mux(stream.encode(frame))
                    number += 1
            container.mux(stream.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def decode_plainly() -> Callable[..., tuple[int, dict[int, NDArray[np.uint8]]]]:
    """Number of frames up to the end or the first error, and some (default: all) of them as ``(H, W, 3)`` by number.

    Nothing but PyAV, from the start, rotated as it says.
    """

    def decode(path: Path, keep: set[int] | None = None) -> tuple[int, dict[int, NDArray[np.uint8]]]:
        count, frames = 0, {}
        with av.open(str(path)) as container:
            try:
                for frame in container.decode(video=0):
                    if keep is None or count in keep:
                        frames[count] = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)).copy()
                    count += 1
            except av.FFmpegError:
                pass
        return count, frames

    return decode


@pytest.fixture(scope="session")
def make_info() -> Callable[..., VideoInfo]:
    """A VideoInfo of a file that need not exist."""

    def make(frames: int, cuts: tuple[int, ...] = (), timestamps: tuple[float, ...] | None = None) -> VideoInfo:
        times = timestamps or tuple(i / 25 for i in range(frames))
        return VideoInfo(Path("video.mp4"), "0" * 32, frames, 64, 48, 25.0, times, (0,), cuts, "decord", ())

    return make
