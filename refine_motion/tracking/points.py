"""Which points are tracked, where no file says so: a grid or corners."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.points_file import Points
from refine_motion.motion.keypoints import corners, grid


def grid_points(size: tuple[int, int], count: int, frame: int = 0) -> Points:
    """Points spread evenly over a frame; see :func:`refine_motion.motion.keypoints.grid`.

    Args:
        size: ``(H, W)`` of the frames.
        count: about how many, at least 1.
        frame: in which they are.

    Raises:
        ConfigError: there is to be none.
    """
    _check_count(count)
    return _numbered(grid(size, count), frame)


def corner_points(image: Tensor, count: int, frame: int = 0) -> Points:
    """The strongest corners of a frame; see :func:`refine_motion.motion.keypoints.corners`.

    Args:
        image: ``(3, H, W)`` uint8 RGB.
        count: how many at most, at least 1.
        frame: its number.

    Raises:
        ConfigError: there is to be none, or the frame is plain.
    """
    _check_count(count)
    found = corners(image, count)
    if not len(found):
        raise ConfigError(f"frame {frame} has no corner to track; try --points grid")
    return _numbered(found, frame)


def _numbered(xy: Tensor, frame: int) -> Points:
    queries = torch.cat((torch.full((len(xy), 1), float(frame)), xy), dim=1)
    return Points(queries, [str(number) for number in range(len(xy))])


def _check_count(count: int) -> None:
    if count < 1:
        raise ConfigError(f"--count {count}: at least 1 point is needed")
