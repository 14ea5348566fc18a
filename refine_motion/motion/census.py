"""How badly one frame, warped by a flow, looks like the other whatever the light: evidence that asks no model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.grid import warp

_SIDE = 7
# Grey levels at which a difference of neighbours is half decided, as 0.9 squared; and the softness of comparing two.
_SOFT_LEVEL, SOFT_SIGN = 0.81, 0.1
_GREY = (0.299, 0.587, 0.114)


def census_error(image_a: Tensor, image_b: Tensor, forward: Tensor) -> Tensor:
    """Soft census distance between ``x`` and ``x + f(x)``: do neighbours differ from the pixel in the same way.

    After the ternary census loss of UnFlow (Meister et al., AAAI 2018) in its soft form (DDFlow, Liu et al., AAAI
    2019): the neighbours are those in a square of 7x7, and ``b`` is continued by its edge. Differentiable in the flow.

    Args:
        image_a: ``(B, 3, H, W)``, 0..255.
        image_b: ``(B, 3, H, W)``, 0..255.
        forward: ``(B, 2, H, W)`` flow from a to b in pixels.

    Returns:
        ``(B, H, W)`` in 0..1, 0 where the neighbourhoods agree. Not that of a place that leaves the image.
    """
    grey_a, grey_b = (grey(image).to(forward.dtype) for image in (image_a, image_b))
    distance = (_census(grey_a) - _census(warp(grey_b, forward, "border"))).square()
    return (distance / (distance + SOFT_SIGN)).mean(dim=1)


def grey(image: Tensor) -> Tensor:
    """``(B, 3, H, W)`` RGB to ``(B, 1, H, W)`` luma."""
    weights = torch.tensor(_GREY, device=image.device).view(1, 3, 1, 1)
    return (image * weights).sum(dim=1, keepdim=True)


def soft_sign(difference: Tensor) -> Tensor:
    """Differences of grey levels as numbers between -1 and 1."""
    return difference / (difference.square() + _SOFT_LEVEL).sqrt()


def _census(values: Tensor) -> Tensor:
    """``(B, 49, H, W)`` between -1 and 1: each neighbour against the pixel."""
    padded = F.pad(values, (_SIDE // 2,) * 4, mode="replicate")
    neighbours = F.unfold(padded, _SIDE).view(len(values), _SIDE**2, *values.shape[-2:])
    return soft_sign(neighbours - values)
