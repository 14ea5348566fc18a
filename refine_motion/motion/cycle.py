"""Forward-backward evidence of optical flow: what can be known of it without ground truth.

The residual and its rule follow UnFlow (Meister et al., AAAI 2018) as tightened by arXiv 2401.00850; the colour
difference is sampled at the true pixel centres, which the published code misses by up to half a pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.motion.boundary import near_boundary
from refine_motion.motion.grid import in_bounds, length, warp
from refine_motion.types import Evidence

PAPER_ALPHA = 0.002
PAPER_BETA = 0.1


def cycle_error(forward: Tensor, backward: Tensor) -> Tensor:
    """Length of ``f(x) + b(x + f(x))``; outside the image ``b`` reads as zero.

    Args:
        forward: ``(B, 2, H, W)`` flow from a to b in pixels.
        backward: ``(B, 2, H, W)`` flow from b to a in pixels.

    Returns:
        ``(B, H, W)`` in pixels.
    """
    return length(forward + warp(backward, forward))


def cycle_threshold(speed: Tensor, backward_speed: Tensor, alpha: float, beta: float) -> Tensor:
    """``alpha (|f(x)| + |b(x)|) + beta`` in pixels; lengths are not squared and ``|b|`` is not warped, as published."""
    return alpha * (speed + backward_speed) + beta


def colour_error(image_a: Tensor, image_b: Tensor, forward: Tensor) -> Tensor:
    """Mean absolute colour difference between ``x`` and ``x + f(x)``.

    Args:
        image_a: ``(B, 3, H, W)`` float, 0..255.
        image_b: ``(B, 3, H, W)`` float, 0..255; zero outside.
        forward: ``(B, 2, H, W)`` flow from a to b in pixels.

    Returns:
        ``(B, H, W)`` in grey levels of 255.
    """
    return (warp(image_b, forward) - image_a).abs().mean(dim=1)


def gradient_strength(image: Tensor) -> Tensor:
    """Gradient magnitude of the mean grey value by central differences (one-sided at the border).

    Args:
        image: ``(B, 3, H, W)`` float, 0..255.

    Returns:
        ``(B, H, W)`` in grey levels per pixel.
    """
    dy, dx = torch.gradient(image.mean(dim=1), dim=(1, 2))
    return torch.hypot(dx, dy)


def flow_evidence(
    forward: Tensor, backward: Tensor, image_a: Tensor, image_b: Tensor, spread: Tensor | None = None
) -> tuple[Evidence, Tensor]:
    """All evidence about a forward flow.

    Args:
        forward: ``(B, 2, H, W)`` flow from a to b in pixels.
        backward: ``(B, 2, H, W)`` flow from b to a in pixels.
        image_a: ``(B, 3, H, W)``, 0..255.
        image_b: ``(B, 3, H, W)``, 0..255.
        spread: ``(B, H, W)`` distance in pixels between the views that ``forward`` is the mean of; 0 when not given.

    Returns:
        The evidence, fields ``(B, H, W)``, and where the flow ends inside the image, ``(B, H, W)`` bool.
    """
    image_a, image_b = image_a.float(), image_b.float()
    speed = length(forward)
    evidence = Evidence(
        cycle_error=cycle_error(forward, backward),
        speed=speed,
        backward_speed=length(backward),
        colour_error=colour_error(image_a, image_b, forward),
        gradient=gradient_strength(image_a),
        spread=torch.zeros_like(speed) if spread is None else spread,
        boundary=near_boundary(forward).to(speed.dtype),
    )
    return evidence, in_bounds(forward)
