"""Places of joints from maps over a coarse grid, as ajabri/videowalk reads them; pure functions.

What they score is :func:`refine_motion.metrics.functional.tracks.correct_keypoints`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def read_out(maps: Tensor, top: int = 3) -> Tensor:
    """The mean place of the strongest cells of each map, weighted by their values (``process_pose`` of videowalk).

    Args:
        maps: ``(J, H, W)``, 0 or more: how much each cell is the joint. A background has no part in it.
        top: how many cells of a map.

    Returns:
        ``(J, 2)`` x, y in cells, 0 at the first; (-1, -1) where a map is all zero: there is no estimate.

    >>> maps = torch.zeros(2, 2, 3)
    >>> maps[0, 1, 1], maps[0, 1, 2] = 1.0, 3.0
    >>> read_out(maps)
    tensor([[ 1.7500,  1.0000],
            [-1.0000, -1.0000]])
    """
    width = maps.shape[-1]
    values, cells = maps.flatten(1).topk(min(top, maps[0].numel()), dim=1)
    total = values.sum(dim=1, keepdim=True)
    places = torch.stack((cells % width, cells // width), dim=-1).to(values)
    return torch.where(total > 0, (places * (values / total)[..., None]).sum(dim=1), -1.0)


def cells_to_pixels(cells: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Places in cells as places in pixels, by videowalk's rule ``cell / cells * pixels``.

    A cell stands for its upper left corner and not for its middle, which puts every joint up to half a cell too far up
    and left. Published figures have this error, so scores that are to be compared with them need it as well.

    Args:
        cells: ``(..., 2)`` x, y as of :func:`read_out`.
        grid: ``(rows, columns)``.
        size: ``(H, W)`` in pixels.

    Returns:
        ``(..., 2)`` x, y in pixels; (-1, -1) where there is no estimate.

    >>> cells_to_pixels(torch.tensor([[20.0, 10.0], [-1.0, -1.0]]), (40, 40), (240, 320))
    tensor([[160.,  60.],
            [ -1.,  -1.]])
    """
    scale = cells.new_tensor([size[1] / grid[1], size[0] / grid[0]])
    return torch.where(cells[..., :1] < 0, -1.0, cells * scale)
