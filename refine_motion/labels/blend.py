"""One flow out of several views of the same teacher, each trusted where the frames themselves speak for it.

The cycle error alone is a biased judge between views: it also falls where flow is merely smooth. So it is joined by the
census error, which looks at the frames and asks no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.census import census_error
from refine_motion.motion.cycle import cycle_error

# Chosen on 66 pairs with true flow and two sets of weights; half or twice of any of them changes the error by 2 %.
_AREA = 31  # pixels on a side over which both errors are averaged: single pixels are noise
_CENSUS = 0.02  # of census error, and
_CYCLE = 0.5  # pixels of cycle error, after which a view counts 1/e
# A cycle that does not close at all says no more than this, in pixels.
_OPEN = 5.0


@dataclass(frozen=True)
class Blend:
    """What several views say together.

    Attributes:
        forward: ``(1, 2, H, W)`` flow from a to b in pixels.
        backward: ``(1, 2, H, W)`` flow from b to a in pixels.
        spread: ``(1, H, W)`` root of the weighted mean squared distance of the views from ``forward``, in pixels.
        shares: weight of each view, mean over the frame and both directions; they sum to 1.
    """

    forward: Tensor
    backward: Tensor
    spread: Tensor
    shares: tuple[float, ...]


def blend(image_a: Tensor, image_b: Tensor, views: Sequence[tuple[Tensor, Tensor]]) -> Blend:
    """The mean of the views, weighted at every pixel by ``exp(-census / 0.02 - cycle / 0.5 px)`` of its surroundings.

    Args:
        image_a: ``(1, 3, H, W)``, 0..255.
        image_b: ``(1, 3, H, W)``, 0..255.
        views: forward and backward flow ``(1, 2, H, W)`` of each, in pixels of the frames. One alone is returned as it
            is.
    """
    if len(views) == 1:
        forward, backward = views[0]
        return Blend(forward, backward, torch.zeros_like(forward[:, 0]), (1.0,))
    weights = torch.softmax(-doubts(image_a, image_b, views), dim=0)
    ahead, back = weights[:, [0]], weights[:, [1]]
    flows = torch.cat([forward for forward, _ in views])
    mean = (ahead * flows).sum(dim=0, keepdim=True)
    spread = (ahead * (flows - mean).square()).sum(dim=(0, 1)).sqrt()[None]
    backward = (back * torch.cat([flow for _, flow in views])).sum(dim=0, keepdim=True)
    return Blend(mean, backward, spread, tuple(_mean_shares(weights)))


def doubts(image_a: Tensor, image_b: Tensor, views: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """What speaks against each view at each pixel: ``census / 0.02 + cycle / 0.5 px``, means over 31x31 pixels.

    Args:
        image_a: ``(1, 3, H, W)``, 0..255.
        image_b: ``(1, 3, H, W)``, 0..255.
        views: forward and backward flow ``(1, 2, H, W)`` of each, in pixels.

    Returns:
        ``(V, 2, H, W)``, of the forward flow at the pixels of a and of the backward flow at those of b.
    """
    # A view after the other: the census of one takes 49 numbers a pixel.
    return torch.stack(
        [
            torch.cat((_doubt(image_a, image_b, forward, backward), _doubt(image_b, image_a, backward, forward)))
            for forward, backward in views
        ]
    )


def shares(doubts: Tensor) -> list[float]:
    """Weight of each view in the blend of those whose :func:`doubts` are given, mean over pixels and directions."""
    return _mean_shares(torch.softmax(-doubts, dim=0))


def _mean_shares(weights: Tensor) -> list[float]:
    return weights.mean(dim=(1, 2, 3)).tolist()


def _doubt(image_a: Tensor, image_b: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    cycle = cycle_error(forward, backward).clamp(max=_OPEN)
    return _around(census_error(image_a, image_b, forward)) / _CENSUS + _around(cycle) / _CYCLE


def _around(errors: Tensor) -> Tensor:
    return F.avg_pool2d(errors, _AREA, stride=1, padding=_AREA // 2, count_include_pad=False)
