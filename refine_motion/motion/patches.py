"""Does a tracked point still look as where it came from: evidence of tracks that asks no model."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.motion.census import SOFT_SIGN, grey, soft_sign
from refine_motion.motion.grid import sample

_SIDE = 7


def patch_error(frames: Tensor, places: Tensor) -> Tensor:
    """Soft census distance between the square of 7x7 pixels around each point in the first frame and in each frame.

    The counterpart for points of :func:`refine_motion.motion.census.census_error`. Squares do not turn or grow with
    what they show; over a few frames that hardly matters.

    Args:
        frames: ``(T, 3, H, W)``, 0..255.
        places: ``(T, N, 2)`` (x, y) in pixels; outside, the picture is continued by its edge.

    Returns:
        ``(T, N)`` in 0..1, zeros in the first frame; 1 where a place is not a number.
    """
    found = _census(frames, places)
    distance = (found - found[:1]).square()
    # Sampling takes what is not a number for the corner of the picture.
    lost = places.isnan().any(dim=-1)
    return torch.where(lost | lost[:1], 1.0, (distance / (distance + SOFT_SIGN)).mean(dim=-1))


def colour_change(frames: Tensor, places: Tensor) -> Tensor:
    """Mean absolute colour difference of each point from itself in the first frame.

    Args:
        frames: ``(T, 3, H, W)``, 0..255.
        places: ``(T, N, 2)`` (x, y) in pixels; outside, the picture is continued by its edge.

    Returns:
        ``(T, N)`` in grey levels of 255.
    """
    colours = sample(frames.float(), places.transpose(1, 2)[:, :, None], "border")[:, :, 0]
    return (colours - colours[:1]).abs().mean(dim=1)


def _census(frames: Tensor, places: Tensor) -> Tensor:
    """``(T, N, 49)``: each pixel of the square against its centre."""
    reach = torch.arange(_SIDE, device=places.device, dtype=places.dtype) - _SIDE // 2
    around = torch.cartesian_prod(reach, reach).flip(-1)
    # (T, 2, N, 49)
    where = (places[:, :, None] + around).permute(0, 3, 1, 2)
    values = sample(grey(frames.float()).to(places.dtype), where, "border")[:, 0]
    return soft_sign(values - values[..., _SIDE**2 // 2, None])
