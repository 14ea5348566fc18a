"""Frames of benchmarks: read from image files, and brought to the size of a protocol.

Sizes change with pixel edges in the corners (``align_corners=False``), for pictures and places alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.flow_pair import read_picture
from refine_motion.errors import BenchmarkError

Size = tuple[int, int]


def read_images(paths: Sequence[Path], size: Size | None = None) -> Iterator[Tensor]:
    """Image files as the frames of one video.

    Args:
        paths: the files, in order.
        size: ``(H, W)`` to bring them to; their own when ``None``.

    Yields:
        ``(3, H, W)`` uint8 RGB.

    Raises:
        BenchmarkError: one is missing, cannot be read, or has another size than the first.
    """
    own: torch.Size | None = None
    for path in paths:
        picture = read_picture(path)
        own = own or picture.shape
        if picture.shape != own:
            raise BenchmarkError(
                f"{path}: {picture.shape[2]} x {picture.shape[1]} pixels, but {paths[0].name} has {own[2]} x {own[1]}; "
                "the frames of a video must be of one size"
            )
        yield picture if size is None else resized(picture, size)


def resized(picture: Tensor, size: Size) -> Tensor:
    """A picture ``(C, H, W)`` uint8 at another size, bilinear and without smoothing, as PIPs resizes its benchmarks."""
    if tuple(picture.shape[-2:]) == tuple(size):
        return picture
    smooth = F.interpolate(picture[None].float(), size, mode="bilinear", align_corners=False)
    return smooth[0].round().clamp(0, 255).to(torch.uint8)


def scaled(xy: Tensor, old: Size, new: Size) -> Tensor:
    """Places ``(..., 2)`` in pixels of a picture of one size ``(H, W)``, in pixels of the same picture at another.

    >>> scaled(torch.tensor([[-0.5, 9.5]]), (10, 20), (20, 10))
    tensor([[-0.5000, 19.5000]])
    """
    ratio = torch.tensor([new[1] / old[1], new[0] / old[0]], dtype=xy.dtype)
    return (xy + 0.5) * ratio - 0.5
