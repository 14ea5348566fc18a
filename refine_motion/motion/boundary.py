"""Motion boundaries: where the flow changes much from one pixel to the next."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Published values (Sundaram, Brox and Keutzer, ECCV 2010): share of the squared speed, and squared pixels per pixel.
_ALPHA, _BETA = 0.01, 0.002


def motion_boundary(flow: Tensor) -> Tensor:
    """Where ``|grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002`` (Sundaram et al., ECCV 2010), by central differences.

    Args:
        flow: ``(B, 2, H, W)`` displacement in pixels; both sides at least 2.

    Returns:
        ``(B, H, W)`` bool.
    """
    dy, dx = torch.gradient(flow, dim=(2, 3))
    change = (dx.square() + dy.square()).sum(dim=1)
    return change > _ALPHA * flow.square().sum(dim=1) + _BETA


def near_boundary(flow: Tensor, reach: int = 4) -> Tensor:
    """Where a motion boundary is at most ``reach`` pixels away in x and in y.

    Args:
        flow: ``(B, 2, H, W)`` displacement in pixels; both sides at least 2.
        reach: pixels.

    Returns:
        ``(B, H, W)`` bool.
    """
    return F.max_pool2d(motion_boundary(flow).float(), 2 * reach + 1, stride=1, padding=reach) > 0
