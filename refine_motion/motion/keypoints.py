"""Places of a picture that are worth following, found without a network."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Of what an even spread would be, the least distance between two places, halved until there are enough of them.
_APART = 0.5
# A response of less than this share of the strongest is that of a plain picture.
_PLAIN, _NOTHING = 1e-6, 1e-12
# Side in pixels of the square over which change is averaged.
_AROUND = 9


def grid(size: tuple[int, int], count: int) -> Tensor:
    """Places spread evenly, in rows and columns, half a step from the edges.

    Args:
        size: ``(H, W)`` in pixels.
        count: about how many, at least 1.

    Returns:
        ``(N, 2)`` (x, y) in pixels.
    """
    height, width = size
    rows = min(height, max(1, round(math.sqrt(count * height / width))))
    columns = min(width, max(1, round(count / rows)))
    x = (torch.arange(columns) + 0.5) * width / columns - 0.5
    y = (torch.arange(rows) + 0.5) * height / rows - 0.5
    return torch.cartesian_prod(y, x).view(-1, 2).flip(-1)


def corners(image: Tensor, count: int) -> Tensor:
    """The strongest corners that are not close together (Shi and Tomasi, CVPR 1994).

    Args:
        image: ``(3, H, W)`` RGB, 0..255.
        count: how many at most, at least 1.

    Returns:
        ``(N, 2)`` (x, y) in pixels, the strongest first; none where the picture is plain.
    """
    return _peaks(_response(image), count)


def moving_corners(frames: Tensor, count: int) -> Tensor:
    """As :func:`corners`, weighted by the square of how much the picture changes around them over time.

    Args:
        frames: ``(T, 3, H, W)`` RGB, 0..255; corners are those of the first.
        count: how many at most, at least 1.

    Returns:
        ``(N, 2)`` (x, y) in pixels of the first frame; none where nothing changes.
    """
    grey = frames.float().mean(dim=1)
    change = (grey[1:] - grey[:1]).abs().mean(dim=0)
    around = F.avg_pool2d(change[None, None], _AROUND, stride=1, padding=_AROUND // 2, count_include_pad=False)[0, 0]
    return _peaks(_response(frames[0]) * around.square(), count)


def _response(image: Tensor) -> Tensor:
    from kornia.feature import gftt_response

    return gftt_response(image.float().mean(dim=0)[None, None] / 255)[0, 0]


def _peaks(response: Tensor, count: int) -> Tensor:
    """Places of the largest local maxima ``(N, 2)`` that are far enough apart."""
    height, width = response.shape
    peaks = response == F.max_pool2d(response[None], 3, stride=1, padding=1)[0]
    strength = torch.where(peaks, response, 0).flatten()
    order = strength.argsort(descending=True, stable=True)
    order = order[strength[order] > _PLAIN * strength.max().clamp(min=_NOTHING)]
    places = torch.stack((order % width, order // width), dim=1).float()
    apart = max(1.0, _APART * math.sqrt(height * width / count))
    while len(chosen := spread(places, apart, count)) < min(count, len(places)) and apart > 1:
        apart = max(1.0, apart / 2)
    return chosen


def spread(places: Tensor, apart: float, count: int) -> Tensor:
    """The first places, each at least so far from those before it.

    Args:
        places: ``(N, 2)`` in pixels, the best first.
        apart: least distance in pixels.
        count: at most so many.

    Returns:
        ``(M, 2)``.
    """
    left = places
    chosen: list[Tensor] = []
    while len(left) and len(chosen) < count:
        first = left[0]
        chosen.append(first)
        left = left[(left - first).square().sum(dim=1) >= apart**2]
    return torch.stack(chosen) if chosen else places
