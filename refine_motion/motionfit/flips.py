"""Clips of optical flow seen in a mirror."""

from __future__ import annotations

import torch
from torch import Tensor


def flip_flow(clips: Tensor) -> Tensor:
    """Optical flow of the mirrored video, from that of the video itself.

    What moved to the right moves to the left: the places are exchanged, and u changes its sign.

    Args:
        clips: ``(..., 2, T, H, W)`` in pixels, u first.

    Returns:
        The same shape.

    Raises:
        ValueError: there are not two channels.
    """
    if clips.ndim < 4 or clips.shape[-4] != 2:
        raise ValueError(f"clips of flow must be (..., 2, T, H, W), got {tuple(clips.shape)}")
    u, v = clips.flip(-1).unbind(dim=-4)
    return torch.stack((-u, v), dim=-4)
