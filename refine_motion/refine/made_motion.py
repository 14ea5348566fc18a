"""Pairs with exact flow made of the user's own frames: what a refined model must still be able to do at any speed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.motion.grid import in_bounds, pixel_grid, sample

# Pixels of the camera's motion; none goes beyond a quarter of the smaller side, where little of the frame would remain.
SPEEDS = (4.0, 16.0, 40.0)
_LARGEST = 0.25
_SLOWEST = 2.0
# Turn and zoom of the camera, and radius of the object as a share of the smaller side.
_TURN, _ZOOM, _RADIUS = math.radians(3), 0.03, (0.15, 0.25)


@dataclass(frozen=True)
class MadePair:
    """A frame pair with known flow.

    Attributes:
        image_a: ``(1, 3, H, W)`` uint8.
        image_b: ``(1, 3, H, W)`` uint8.
        flow: ``(1, 2, H, W)`` from a to b in pixels.
        known: ``(1, H, W)`` bool: what b shows too.
        object: ``(1, H, W)`` bool: what moves against the rest.
    """

    image_a: Tensor
    image_b: Tensor
    flow: Tensor
    known: Tensor
    object: Tensor


def speeds_for(size: tuple[int, int]) -> list[float]:
    """The speeds in pixels that frames of a size ``(H, W)`` are tried at, ascending."""
    return sorted({min(speed, _LARGEST * min(size)) for speed in SPEEDS})


def make_pair(frame: Tensor, speed: float, seed: int) -> MadePair:
    """A frame seen by a moving camera, with a part of it moving the other way as fast.

    The second image is the frame, with a disc of itself from elsewhere put on it. The first one is sampled from it by
    a flow that is known at every pixel, so no warp has to be inverted.

    Args:
        frame: ``(3, H, W)`` uint8.
        speed: of camera and disc in pixels.
        seed: of directions, places, turn and zoom.
    """
    generator = torch.Generator().manual_seed(seed)

    def between(low: float, high: float) -> float:
        return low + (high - low) * torch.rand(1, generator=generator).item()

    height, width = frame.shape[-2:]
    grid = pixel_grid(height, width)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2]).view(2, 1, 1)
    heading, turn, zoom = between(0, 2 * math.pi), between(-_TURN, _TURN), between(-_ZOOM, _ZOOM)
    x, y = grid - middle
    straight = speed * torch.tensor([math.cos(heading), math.sin(heading)]).view(2, 1, 1)
    camera = straight + torch.stack((zoom * x - turn * y, turn * x + zoom * y))
    # Where the disc is seen in b.
    centre = torch.tensor([between(0.3, 0.7) * (width - 1), between(0.3, 0.7) * (height - 1)]).view(2, 1, 1)
    radius = between(*_RADIUS) * min(height, width)
    background = frame[None].float()
    # Its picture is the frame's from half the frame away, so that it differs from what it hides.
    disc = background.roll((height // 2, width // 2), dims=(-2, -1))
    on_b = _inside(grid, centre, radius)
    image_b = torch.where(on_b, disc, background)
    on_a = _inside(grid - straight, centre, radius)  # Its flow is the camera's, turned round.
    flow = torch.where(on_a, -straight, camera)[None]
    image_a = torch.where(
        on_a,
        sample(disc, grid[None] - straight, "border"),
        sample(background, grid[None] + camera, "border"),
    )
    hidden = ~on_a & _inside(grid + camera, centre, radius)
    known = in_bounds(flow) & ~hidden
    return MadePair(image_a.round().byte(), image_b.byte(), flow, known, on_a[None] & known)


def random_pair(frame: Tensor, seed: int) -> MadePair:
    """Made motion of any speed, slow ones more often: 2 px to a quarter of the smaller side, evenly in its logarithm.

    Args:
        frame: ``(3, H, W)`` uint8.
        seed: of speed and all else.
    """
    share = torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()
    return make_pair(frame, _SLOWEST * (_LARGEST * min(frame.shape[-2:]) / _SLOWEST) ** share, seed)


def _inside(grid: Tensor, centre: Tensor, radius: float) -> Tensor:
    """``(H, W)`` bool: which places ``(2, H, W)`` lie in a disc."""
    return torch.hypot(*(grid - centre)) <= radius
