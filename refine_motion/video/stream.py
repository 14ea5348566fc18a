"""All frames of a video one after the other, each decoded once."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.errors import VideoError
from refine_motion.video.decoding import open_video, to_rgb
from refine_motion.video.images import read_image
from refine_motion.video.info import VideoInfo
from refine_motion.video.sources import list_images


def stream_frames(info: VideoInfo) -> Iterator[Tensor]:
    """Frames of a probed video in order; one is held at a time, and the file is closed at the end.

    PyAV decodes whatever ``info.reader`` says: it goes through a file once, where a decoder that is opened for every
    few frames would begin at a keyframe each time. The frames are those of
    :func:`refine_motion.video.reader.read_frames`, bit by bit.

    Args:
        info: the probed video.

    Yields:
        ``(3, H, W)`` uint8 RGB, ``info.frames`` of them.

    Raises:
        VideoError: the file cannot be read to its end.
    """
    count = 0
    try:
        for image in _decoded(info):
            if image.shape != (info.height, info.width, 3):
                raise VideoError(f"{info.path}: frame {count} is {image.shape[1]}x{image.shape[0]}; it has changed")
            # Pictures from files may be read-only, which torch warns of.
            yield torch.from_numpy(np.require(image, requirements="W")).permute(2, 0, 1).contiguous()
            count += 1
            if count == info.frames:
                return
    except (av.FFmpegError, OSError, SyntaxError, ValueError) as error:
        raise VideoError(f"{info.path}: frame {count} cannot be read ({error})") from error
    raise VideoError(f"{info.path}: it ends after {count} of {info.frames} frames; it has changed since it was probed")


def _decoded(info: VideoInfo) -> Iterator[NDArray[np.uint8]]:
    if info.reader == "images":
        yield from map(read_image, list_images(info.path))
        return
    container, stream = open_video(info.path)
    with container:
        yield from map(to_rgb, container.decode(stream))
