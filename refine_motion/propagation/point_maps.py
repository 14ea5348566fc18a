"""Points as maps over the cells of an encoder, and back: the protocol of JHMDB (ajabri/videowalk ``data/jhmdb.py``)."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.metrics.functional.keypoints import cells_to_pixels, read_out

# Standard deviation of a point's bell in cells, and the side of the square of cells that it is cut off to.
_SIGMA, _PATCH = 0.5, 4


def points_to_maps(xy: Tensor, size: tuple[int, int], stride: int, exact: bool = True) -> Tensor:
    """A map for the background, and one for each point: a bell over 4 x 4 cells.

    Args:
        xy: ``(N, 2)`` x, y in pixels, integers at pixel centres.
        size: ``(h, w)`` of the maps in cells.
        stride: pixels of a cell.
        exact: the bell stands where the point is. Otherwise, as published, on the whole cell next to ``xy / stride``,
            over 2 cells before it and 1 after it, which is off by up to a cell.

    Returns:
        ``(N + 1, h, w)`` in 0..1: first the background, 1 where there is no point and 0 elsewhere. A point whose square
        lies outside has a map of zeros.
    """
    place = (xy + 0.5) / stride - 0.5 if exact else (xy / stride).round()
    start = place.floor() - _PATCH // 2 + (1 if exact else 0)
    bells = []
    for axis, side in ((1, size[0]), (0, size[1])):
        cell = torch.arange(side, device=xy.device, dtype=xy.dtype)
        bell = torch.exp(-((cell - place[:, axis, None]) ** 2) / (2 * _SIGMA**2))
        within = (cell >= start[:, axis, None]) & (cell < start[:, axis, None] + _PATCH)
        bells.append(torch.where(within, bell, 0.0))
    maps = bells[0][:, :, None] * bells[1][:, None, :]
    background = (maps.sum(dim=0, keepdim=True) == 0).to(maps)
    return torch.cat((background, maps))


def maps_to_points(maps: Tensor, stride: int, exact: bool = True) -> Tensor:
    """Where points are: the weighted mean of the three strongest cells.

    Args:
        maps: ``(N, h, w)`` of the points, without the background.
        stride: pixels of a cell.
        exact: a cell stands for its middle; otherwise, as published, for its upper left corner.

    Returns:
        ``(N, 2)`` x, y in pixels; not a number where a map is all zero.
    """
    cells = read_out(maps)
    if exact:
        pixels = (cells + 0.5) * stride - 0.5
    else:
        height, width = maps.shape[-2:]
        pixels = cells_to_pixels(cells, (height, width), (height * stride, width * stride))
    return torch.where(cells < 0, torch.nan, pixels)
