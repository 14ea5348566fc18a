"""Masks drawn over frames: objects in DAVIS's colours, with a white line around each."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.video.palette import colour

_OPACITY = 0.5


def draw_mask(frame: Tensor, ids: Tensor) -> Tensor:
    """One frame with its objects.

    Args:
        frame: ``(3, H, W)`` uint8 RGB.
        ids: ``(H, W)`` uint8 numbers of the objects, 0 for the background.

    Returns:
        ``(3, H, W)`` uint8: objects are half as their colour, and their outermost pixels white; the background stays.
    """
    colours = torch.tensor([colour(number) for number in range(256)], dtype=torch.float32)
    tinted = (1 - _OPACITY) * frame.float() + _OPACITY * colours[ids.long()].permute(2, 0, 1)
    drawn = torch.where(ids > 0, tinted.round(), frame.float())
    return torch.where(_contour(ids), 255.0, drawn).to(torch.uint8)


def _contour(ids: Tensor) -> Tensor:
    """``(H, W)`` bool: pixels of an object with another number above, below, left or right of them."""
    edge = torch.zeros_like(ids, dtype=torch.bool)
    for axis in (0, 1):
        differ = ids.diff(dim=axis) != 0
        size = ids.shape[axis]
        edge.narrow(axis, 0, size - 1).logical_or_(differ)
        edge.narrow(axis, 1, size - 1).logical_or_(differ)
    return edge & (ids > 0)
