"""Where pseudo-tracks begin: places chosen without ground truth, and dense windows around those that were verified.

The published code takes every pixel of a square around each labelled head or joint; here the squares are around points
that the cycle check has verified (the paper's densification), which need no labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.keypoints import corners, grid, moving_corners

KINDS = ("grid", "corners", "moving")


def seed_queries(frames: Tensor, kinds: Sequence[str], count: int) -> Tensor:
    """Places in the first frame, as many of each kind.

    Args:
        frames: ``(T, 3, H, W)`` uint8.
        kinds: of :data:`KINDS`: an even grid, corners, corners around which the picture changes.
        count: about how many in all.

    Returns:
        ``(N, 2)`` (x, y), whole pixels, none twice, in the order of the picture.

    Raises:
        ConfigError: there is no such kind.
    """
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ConfigError(f"label.queries must be some of {', '.join(KINDS)}, got {list(kinds)}")
    each = max(1, count // len(kinds))
    size = (frames.shape[-2], frames.shape[-1])
    found = []
    for kind in kinds:
        if kind == "grid":
            found.append(grid(size, each))
        else:
            found.append(corners(frames[0], each) if kind == "corners" else moving_corners(frames, each))
    return unique_places(torch.cat([places.float() for places in found]), size)


def dense_queries(around: Tensor, side: int, count: int, size: tuple[int, int], taken: Tensor, seed: int) -> Tensor:
    """Places in squares around some points, drawn at random.

    Args:
        around: ``(M, 2)`` the points.
        side: of the squares in pixels.
        count: at most so many.
        size: ``(H, W)`` of the frame; nothing lies outside.
        taken: ``(K, 2)`` places that are asked for already.
        seed: of the draw.

    Returns:
        ``(N, 2)`` whole pixels, none twice and none taken.
    """
    if not len(around) or count < 1 or side < 1:
        return torch.zeros(0, 2)
    reach = torch.arange(side, dtype=torch.float32) - (side - 1) // 2
    offsets = torch.cartesian_prod(reach, reach)
    places = unique_places((around.round()[:, None] + offsets).flatten(0, 1), size)
    index, used = _index(places, size), _index(taken.round(), size)
    places = places[~torch.isin(index, used)]
    generator = torch.Generator().manual_seed(seed)
    return places[torch.randperm(len(places), generator=generator)[:count].sort().values]


def unique_places(places: Tensor, size: tuple[int, int]) -> Tensor:
    """Places ``(N, 2)`` rounded to whole pixels of a frame ``(H, W)``, each once, in the order of the picture."""
    places = places.round()
    height, width = size
    x, y = places.unbind(dim=1)
    index = _index(places[(x >= 0) & (x < width) & (y >= 0) & (y < height)], size).unique()
    return torch.stack((index % width, torch.div(index, width, rounding_mode="floor")), dim=1).float()


def _index(places: Tensor, size: tuple[int, int]) -> Tensor:
    # Whole numbers first: beyond 2^24 pixels float32 has steps of more than one.
    x, y = places.long().unbind(dim=1)
    return y * size[1] + x
