"""Reading frames of a probed video as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import torch
from torch import Tensor

from refine_motion.errors import VideoError
from refine_motion.video.decoding import read_decord, read_pyav
from refine_motion.video.images import read_image
from refine_motion.video.info import VideoInfo
from refine_motion.video.sources import list_images


def read_frames(info: VideoInfo, frames: Sequence[int]) -> Tensor:
    """Read frames, equal bit by bit to what decoding the file from its start with PyAV gives.

    Nothing stays open between calls, so that it works alike in data loader workers, forked or spawned. One call for
    a run of frames costs far less than one call each: reaching the first one may mean decoding from a keyframe far
    before it.

    Args:
        info: the probed video; its ``reader`` says what decodes it.
        frames: frame numbers, 0 to ``info.frames - 1``, in any order, repeats allowed.

    Returns:
        ``(T, 3, H, W)`` uint8 RGB, contiguous, one frame per number in the order given.

    Raises:
        VideoError: if a frame does not exist or cannot be read, or the file has changed since it was probed.
    """
    wanted = [int(frame) for frame in frames]
    for frame in wanted:
        if not 0 <= frame < info.frames:
            raise VideoError(f"{info.path}: there is no frame {frame}: it has frames 0 to {info.frames - 1}")
    if not wanted:
        return torch.empty((0, 3, info.height, info.width), dtype=torch.uint8)
    try:
        pictures = torch.from_numpy(_read(info, wanted))
    except (av.FFmpegError, OSError, SyntaxError, ValueError, IndexError, RuntimeError) as error:
        raise VideoError(_cannot_read(info, wanted, str(error))) from error
    if pictures.shape[1:] != (info.height, info.width, 3):
        raise VideoError(_cannot_read(info, wanted, f"it is now {pictures.shape[2]}x{pictures.shape[1]}"))
    return pictures.permute(0, 3, 1, 2).contiguous()


def _read(info: VideoInfo, frames: list[int]) -> np.ndarray:
    if info.reader == "decord":
        return read_decord(info.path, frames)
    if info.reader == "pyav":
        by_number = read_pyav(info.path, frames, info.timestamps, info.keyframes)
        return np.stack([by_number[frame] for frame in frames])
    images = list_images(info.path)
    return np.stack([read_image(images[frame]) for frame in frames])


def _cannot_read(info: VideoInfo, frames: list[int], reason: str) -> str:
    span = f"frame {frames[0]}" if len(frames) == 1 else f"frames {min(frames)} to {max(frames)}"
    first_line = (reason.strip().splitlines() or ["no reason given"])[0]
    advice = "the file is damaged or has changed since it was indexed: index it again"
    return f"{info.path}: {span} cannot be read ({first_line}); {advice}"
