"""Things that pass in front of a clip and hide its points: rectangles and ellipses that move in a straight line."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.motion.grid import pixel_grid


@dataclass(frozen=True)
class Occluder:
    """One thing in front of the clip. Pairs are x and y.

    Attributes:
        ellipse: an ellipse, or else a rectangle.
        textured: shows another part of the clip's first frame, which moves along; or else the clip's mean colour.
        centre: its place in the middle of the clip, as shares of the frame's width and height.
        travel: its way through the whole clip, as shares of the frame's width and height.
        sides: its width and height, as shares of the frame's shorter side.
        source: how far away the texture is taken from, as shares of the frame's width and height (the frame repeats).
    """

    ellipse: bool
    textured: bool
    centre: tuple[float, float]
    travel: tuple[float, float]
    sides: tuple[float, float]
    source: tuple[float, float]


def occlude(frames: Tensor, occluders: tuple[Occluder, ...]) -> tuple[Tensor, Tensor]:
    """Put occluders in front of a clip, the later ones in front of the earlier ones (SelFlow, arXiv 1904.09117).

    Args:
        frames: ``(T, 3, H, W)`` float.
        occluders: what to put there.

    Returns:
        The frames, and ``(T, H, W)`` bool that is True where a pixel shows an occluder.
    """
    painted = frames
    covered = torch.zeros_like(frames[:, 0], dtype=torch.bool)
    for occluder in occluders:
        ways = _ways(occluder, frames)
        mask = _mask(occluder, frames, ways)
        painted = torch.where(mask[:, None], _paint(occluder, frames, ways), painted)
        covered = covered | mask
    return painted, covered


def hidden(covered: Tensor, xy: Tensor, shown: Tensor) -> Tensor:
    """Which points are under an occluder: those whose nearest pixel shows one.

    Args:
        covered: ``(T, H, W)`` bool of :func:`occlude`.
        xy: ``(T, N, 2)`` float, x and y in pixels.
        shown: ``(T, N)`` bool, the points to look at; they must lie on the frame.

    Returns:
        ``(T, N)`` bool, False for the others.
    """
    # The others may be anywhere or NaN, which is no index.
    x, y = torch.where(shown[..., None], xy, 0).round().long().unbind(dim=-1)
    return covered.flatten(1).gather(1, y * covered.shape[-1] + x) & shown


def _ways(occluder: Occluder, frames: Tensor) -> list[tuple[float, float]]:
    """How far the occluder is, in each frame, from its place in the middle of the clip: x and y in pixels."""
    count, _, height, width = frames.shape
    shares = [t / (count - 1) - 0.5 if count > 1 else 0.0 for t in range(count)]
    return [(share * occluder.travel[0] * width, share * occluder.travel[1] * height) for share in shares]


def _mask(occluder: Occluder, frames: Tensor, ways: list[tuple[float, float]]) -> Tensor:
    height, width = frames.shape[-2:]
    grid = pixel_grid(height, width, device=frames.device)
    way = torch.tensor(ways, device=frames.device)[:, :, None, None]
    centre = torch.tensor(occluder.centre) * torch.tensor([width, height]) - 0.5
    half = torch.tensor(occluder.sides) * min(height, width) / 2
    x, y = ((grid - centre.to(grid).view(2, 1, 1) - way) / half.to(grid).view(2, 1, 1)).unbind(dim=1)
    return x**2 + y**2 <= 1 if occluder.ellipse else (x.abs() <= 1) & (y.abs() <= 1)


def _paint(occluder: Occluder, frames: Tensor, ways: list[tuple[float, float]]) -> Tensor:
    if not occluder.textured:
        return frames.mean(dim=(0, 2, 3)).view(1, 3, 1, 1)
    height, width = frames.shape[-2:]
    source = occluder.source[0] * width, occluder.source[1] * height
    shifts = [(round(y + source[1]), round(x + source[0])) for x, y in ways]
    return torch.stack([torch.roll(frames[0], shift, dims=(-2, -1)) for shift in shifts])
