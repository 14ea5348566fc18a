"""Labels by how they move against the dominant motion, which is the camera's as a rule.

Where a camera follows an animal, the animal is slow in the image and fast against the background; so what moves is told
by motion relative to the dominant one, and told apart by its direction.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from refine_motion.labels.label import Label

APART_PIXELS, APART_FRACTION = 3.0, 0.25
# Cluster 0, then the octants in which something moves against it, clockwise as seen, since y points down.
CLUSTERS = ("as the camera", "right", "down right", "down", "down left", "left", "up left", "up", "up right")


def motion_cluster(label: Label, pixels: float = APART_PIXELS, fraction: float = APART_FRACTION) -> Tensor:
    """Number of each label's cluster; see :func:`cluster_of`."""
    return cluster_of(label.flow, label.relative, pixels, fraction)


def cluster_of(
    flow: Tensor, relative: Tensor, pixels: float = APART_PIXELS, fraction: float = APART_FRACTION
) -> Tensor:
    """Number of each motion's cluster in :data:`CLUSTERS`.

    Args:
        flow: ``(N, 2)`` in pixels.
        relative: ``(N, 2)`` flow less the dominant motion at its place.
        pixels: what moves against the dominant motion does so by more than this, and
        fraction: by more than this share of the dominant motion at its place.

    Returns:
        ``(N,)`` int64.
    """
    dominant = flow - relative
    least = (fraction * torch.hypot(dominant[:, 0], dominant[:, 1])).clamp(min=pixels)
    turns = torch.atan2(relative[:, 1], relative[:, 0]) / (2 * math.pi)
    octant = (8 * turns).round().long() % 8
    return torch.where(torch.hypot(relative[:, 0], relative[:, 1]) > least, 1 + octant, 0)
