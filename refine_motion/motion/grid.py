"""Coordinates, sampling and warping: the only module that resamples images.

Coordinates are ``(x, y)`` in pixels with integers at pixel centres, so that ``0`` and ``W - 1`` are the centres of the
first and last pixel of a row (the convention often called ``align_corners=True``).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Frames of 16:9 are brought to the paper's 768x1280, as published.
_RATIO = 1.1


def pixel_grid(
    height: int, width: int, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Coordinates of every pixel centre.

    Returns:
        ``(2, H, W)``, channel 0 = x in ``0..W-1``, channel 1 = y in ``0..H-1``.
    """
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=dtype), torch.arange(width, device=device, dtype=dtype), indexing="ij"
    )
    return torch.stack((x, y))


def sample(image: Tensor, xy: Tensor, padding_mode: str = "zeros") -> Tensor:
    """Bilinear values of ``image`` at pixel coordinates ``xy``.

    Args:
        image: ``(B, C, H, W)`` float.
        xy: ``(B, 2, h, w)`` pixel coordinates (x, y), in the dtype of the image.
        padding_mode: outside the image ``"zeros"`` or ``"border"`` (nearest edge pixel).

    Returns:
        ``(B, C, h, w)``.
    """
    height, width = image.shape[-2:]
    x, y = xy[:, 0], xy[:, 1]
    if min(height, width) > 1:
        normalised = torch.stack((2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1), dim=-1)
        return F.grid_sample(image, normalised, mode="bilinear", padding_mode=padding_mode, align_corners=True)
    # The corner form divides by zero where a side is one pixel long; the edge form samples the same points.
    normalised = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    return F.grid_sample(image, normalised, mode="bilinear", padding_mode=padding_mode, align_corners=False)


def resize_frames(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames at another size, in pixel-edge geometry, averaged where they shrink.

    Args:
        frames: ``(T, 3, H, W)`` uint8.
        size: ``(h, w)`` wanted.

    Returns:
        ``(T, 3, h, w)`` uint8.
    """
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    smaller = size[0] < frames.shape[-2] or size[1] < frames.shape[-1]
    found = F.interpolate(frames.float(), size, mode="bilinear", align_corners=False, antialias=smaller)
    return found.round().clamp(0, 255).to(torch.uint8)


def brought_to(native: tuple[int, int], size: tuple[int, int], enlarge: bool = True) -> tuple[int, int]:
    """The size that frames ``(H, W)`` have after they were brought to another.

    Args:
        native: as they are.
        size: ``(h, w)`` wanted. Where the ratio of the sides differs from it by more than a tenth, it is kept, and the
            frames get as many pixels.
        enlarge: whether frames with fewer pixels become larger too.
    """
    pixels, wanted = math.prod(native), math.prod(size)
    if not enlarge and pixels <= wanted:
        return native
    change = native[0] * size[1] / (native[1] * size[0])
    if 1 / _RATIO <= change <= _RATIO:
        return size
    height, width = (max(1, round(side * math.sqrt(wanted / pixels))) for side in native)
    return height, width


def resize_places(xy: Tensor, size: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Places ``(..., 2)`` in pixels of frames ``(H, W)`` in those of the frames at another size, by pixel edges."""
    ratio = torch.tensor([new[1] / size[1], new[0] / size[0]], dtype=xy.dtype, device=xy.device)
    return (xy + 0.5) * ratio - 0.5


def warp(image: Tensor, flow: Tensor, padding_mode: str = "zeros") -> Tensor:
    """``image`` sampled at ``x + flow(x)``: the second image brought onto the first.

    Args:
        image: ``(B, C, H, W)`` float.
        flow: ``(B, 2, H, W)`` displacement in pixels.
        padding_mode: see :func:`sample`.

    Returns:
        ``(B, C, H, W)``.
    """
    height, width = flow.shape[-2:]
    grid = pixel_grid(height, width, device=flow.device, dtype=flow.dtype)
    return sample(image, grid + flow, padding_mode)


def length(vectors: Tensor) -> Tensor:
    """Euclidean length of two-component maps.

    Args:
        vectors: ``(B, 2, H, W)``.

    Returns:
        ``(B, H, W)``. Its gradient at zero is undefined.
    """
    # torch.linalg.vector_norm over this axis was measured at 90 times the time of hypot on a CPU.
    return torch.hypot(vectors[:, 0], vectors[:, 1])


def in_bounds(flow: Tensor) -> Tensor:
    """Where ``x + flow(x)`` lies on the image, edge pixel centres included.

    Args:
        flow: ``(B, 2, H, W)`` displacement in pixels.

    Returns:
        ``(B, H, W)`` bool.
    """
    height, width = flow.shape[-2:]
    target = pixel_grid(height, width, device=flow.device, dtype=flow.dtype) + flow
    x, y = target[:, 0], target[:, 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
