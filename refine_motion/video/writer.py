"""Writing frames as an mp4 that every player shows and every reader reads exactly."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor
from torch.nn import functional

from refine_motion.errors import ConfigError, VideoError
from refine_motion.files import replacing

_GROUP = 12  # frames from one keyframe to the next: a frame is never more than that many away from a seek


def write_video(path: str | Path, frames: Iterable[Tensor], fps: float, crf: int = 12) -> None:
    """Write frames as H.264 in yuv420p, with a keyframe every 12 frames, no B-frames and no open GOP.

    yuv420p holds even sizes only: an odd width or height gets one more column or row, a copy of the last one.
    The file appears under its name once it is complete.

    Args:
        path: the ``.mp4`` file to write; missing folders are made, an older file is replaced.
        frames: ``(3, H, W)`` uint8 RGB tensors one after the other, or one ``(T, 3, H, W)`` tensor.
        fps: frames per second.
        crf: constant rate factor, 0 (largest file) to 51; 12 is next to invisible.

    Raises:
        VideoError: if there is no frame, a frame is no RGB picture of the size of the first, or the file cannot be
            written.
        ConfigError: if ``fps`` or ``crf`` is out of range.
    """
    path = Path(path)
    if not 0 < fps <= 1000:
        raise ConfigError(f"fps is {fps:g}: it must be more than 0 and at most 1000")
    if not 0 <= crf <= 51:
        raise ConfigError(f"crf is {crf}: it must be 0 to 51")
    try:
        with replacing(path) as aside:
            _encode(path, aside, frames, fps, crf)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: cannot be written: {error.strerror}") from error


def _encode(path: Path, aside: Path, frames: Iterable[Tensor], fps: float, crf: int) -> None:
    stream: VideoStream | None = None
    shape = None
    with av.open(str(aside), "w", format="mp4") as container:
        for number, frame in enumerate(frames):
            if frame.ndim != 3 or frame.shape[0] != 3 or frame.dtype != torch.uint8:
                raise VideoError(f"{path}: frame {number} is {tuple(frame.shape)} {frame.dtype}, not (3, H, W) uint8")
            if shape is None:
                shape = frame.shape
            if frame.shape != shape:
                raise VideoError(f"{path}: frame {number} is {tuple(frame.shape)}, the first one {tuple(shape)}")
            picture = _even(frame)
            if stream is None:
                stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.options = {
                    "crf": str(crf),
                    "x264-params": f"keyint={_GROUP}:min-keyint={_GROUP}:scenecut=0:bframes=0:open-gop=0",
                }
            # Converted here, by one thread: left to the encoder, PyAV starts threads that do not survive a later fork.
            rgb = VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", threads=1)))
        if stream is None:
            raise VideoError(f"{path}: there is no frame to write")
        container.mux(stream.encode(None))


def _even(frame: Tensor) -> np.ndarray:
    """``(H, W, 3)`` with even H and W, the last row and column repeated where needed."""
    height, width = frame.shape[1:]
    # Replicate padding is defined for floating point only; uint8 values pass through it unchanged.
    padded = functional.pad(frame[None].float(), (0, width % 2, 0, height % 2), mode="replicate")[0].to(frame.dtype)
    return padded.permute(1, 2, 0).contiguous().cpu().numpy()
