"""Where a view of a clip looks: scale, stretch, rotation, mirror and crop as one map for pixels and points alike.

Inside, positions are measured from the edge of the frame (a pixel's centre is at its number plus a half), so that a
view twice as large puts the point ``x`` at ``2 x + 0.5``, as a resize with ``align_corners=False`` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import hflip, vflip
from torch import Tensor

from refine_motion.motion.grid import pixel_grid, sample

# Coefficients a, b, c of a x + b y + c, for the new x and for the new y.
Affine = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class View:
    """One affine view of every frame of a clip; made by :func:`aim`.

    Attributes:
        size: height and width of the view in pixels.
        centre: x and y of the place shown in the middle of the view, in pixels from the frame's edge.
        scale: pixels of the view per pixel of the frame, along the frame's x and y.
        angle: rotation in radians, from x towards y, after the scale.
        hflip: whether the view is then mirrored left to right.
        vflip: whether the view is then mirrored top to bottom.
    """

    size: tuple[int, int]
    centre: tuple[float, float]
    scale: tuple[float, float] = (1.0, 1.0)
    angle: float = 0.0
    hflip: bool = False
    vflip: bool = False

    def move(self, xy: Tensor) -> Tensor:
        """Where points of the frame are in the view.

        Args:
            xy: ``(..., 2)`` float, x and y in pixels; any value, also outside the frame.

        Returns:
            ``(..., 2)``, not rounded and not clipped.
        """
        return torch.stack(_apply(self._map, xy[..., 0], xy[..., 1]), dim=-1)

    def see(self, frames: Tensor) -> Tensor:
        """The frames as seen in the view: sampled once, or only cut and mirrored where that is all there is to do.

        Args:
            frames: ``(T, C, H, W)`` float.

        Returns:
            ``(T, C, h, w)`` of the view's size.
        """
        if self.scale == (1.0, 1.0) and self.angle == 0:
            return self._cut(frames)
        height, width = self.size
        grid = torch.stack(_apply(_inverse(self._map), *pixel_grid(height, width, device=frames.device)))
        # All frames share the grid, so they are channels of one picture: the weights are then worked out once.
        picture = _soften(frames, self.scale).flatten(0, 1)[None]
        # The view stays on the frame, so that only the outer half of its edge pixels is looked up outside.
        return sample(picture, grid[None], padding_mode="border")[0].unflatten(0, frames.shape[:2])

    @property
    def _map(self) -> Affine:
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x_sign, y_sign = -1 if self.hflip else 1, -1 if self.vflip else 1
        (x_scale, y_scale), (x, y), (height, width) = self.scale, self.centre, self.size
        a, b = x_sign * cos * x_scale, -x_sign * sin * y_scale
        c, d = y_sign * sin * x_scale, y_sign * cos * y_scale
        x, y = 0.5 - x, 0.5 - y
        return (a, b, a * x + b * y + width / 2 - 0.5), (c, d, c * x + d * y + height / 2 - 0.5)

    def _cut(self, frames: Tensor) -> Tensor:
        height, width = self.size
        left, top = round(self.centre[0] - width / 2), round(self.centre[1] - height / 2)
        frames = frames[..., top : top + height, left : left + width]
        frames = hflip(frames) if self.hflip else frames
        return vflip(frames) if self.vflip else frames


def aim(
    frame_size: tuple[int, int],
    size: tuple[int, int],
    place: tuple[float, float],
    scale: tuple[float, float] = (1.0, 1.0),
    angle: float = 0.0,
    hflip: bool = False,
    vflip: bool = False,
) -> View:
    """A view that never looks past the frame's edge, so that none of its pixels is invented.

    Where the scale asked for is too small for that, both its factors grow by the same ratio: a view as large as the
    frame can only enlarge, and a rotated one has to. RAFT raises the scale likewise (arXiv 2003.12039, code).

    Args:
        frame_size: height and width of the frames in pixels.
        size: height and width of the view in pixels.
        place: where between its outermost places the view looks, 0..1 along x and y. Unscaled, unrotated views start
            at whole pixels, so that they need no interpolation.
        scale: pixels of the view per pixel of the frame, along x and y, at least.
        angle: rotation in radians, less than a quarter turn.
        hflip: whether the view is mirrored left to right.
        vflip: whether the view is mirrored top to bottom.
    """
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    # The rectangle along the frame's axes that holds the rotated view, in pixels of the view: x and y.
    spans = cos * size[1] + sin * size[0], sin * size[1] + cos * size[0]
    sides = frame_size[1], frame_size[0]
    growth = max(1.0, *(span / (s * side) for span, s, side in zip(spans, scale, sides, strict=True)))
    x_scale, y_scale = (s * growth for s in scale)
    spans = spans[0] / x_scale, spans[1] / y_scale
    starts = [max(side - span, 0.0) * where for side, span, where in zip(sides, spans, place, strict=True)]
    if x_scale == y_scale == 1 and angle == 0:
        starts = [float(round(start)) for start in starts]
    x, y = (start + span / 2 for start, span in zip(starts, spans, strict=True))
    return View(size, (x, y), (x_scale, y_scale), angle, hflip, vflip)


def inside(xy: Tensor, size: tuple[int, int]) -> Tensor:
    """Which points lie on a picture, centres of its edge pixels included; NaN does not.

    Args:
        xy: ``(..., 2)`` float, x and y in pixels.
        size: height and width in pixels.

    Returns:
        ``(...)`` bool.
    """
    x, y = xy[..., 0], xy[..., 1]
    return (x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1)


def _apply(affine: Affine, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # Element by element: a matrix product may run in TF32 or bfloat16, which moves points by whole pixels.
    (a, b, c), (d, e, f) = affine
    return a * x + b * y + c, d * x + e * y + f


def _inverse(affine: Affine) -> Affine:
    (a, b, c), (d, e, f) = affine
    det = a * e - b * d
    return (e / det, -b / det, (b * f - e * c) / det), (-d / det, a / det, (d * c - a * f) / det)


def _soften(frames: Tensor, scale: tuple[float, float]) -> Tensor:
    """Blur away the detail that a smaller view has no pixels for, as strongly as Kornia's ``rescale`` does."""
    x_sigma, y_sigma = (max(0.0, (1 / s - 1) / 2) for s in scale)
    if x_sigma == y_sigma == 0:
        return frames
    kernel = 2 * math.ceil(3 * y_sigma) + 1, 2 * math.ceil(3 * x_sigma) + 1
    # A width of zero comes with a kernel of one pixel; Kornia wants the width itself above zero.
    sigma = max(y_sigma, 1e-3), max(x_sigma, 1e-3)
    return gaussian_blur2d(frames, kernel, sigma, border_type="replicate")
