"""A textured surface that moves: the layer from which scenes are made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.benchmarks.synthetic.affine import affine
from refine_motion.benchmarks.synthetic.shapes import Shape
from refine_motion.benchmarks.synthetic.textures import Field
from refine_motion.benchmarks.synthetic.trajectory import Trajectory
from refine_motion.benchmarks.synthetic.warps import Warp


@dataclass(frozen=True)
class Shadow:
    """What a surface takes from the light of everything behind it.

    Attributes:
        offset: x and y from the surface to its shadow in pixels.
        strength: share of the light that is lost in the middle, 0 to 1.
        softness: pixels over which the shadow fades.
    """

    offset: tuple[float, float]
    strength: float
    softness: float


@dataclass(frozen=True)
class Surface:
    """An opaque surface; texture, shape and warp share coordinates around its origin.

    Attributes:
        texture: its colours.
        trajectories: how it moves, the outermost first: each is in the coordinates of the one before.
        depth: distance from the camera in multiples of the nearest possible one, at least 1; the camera's translation
            moves it by the inverse of this on the screen.
        shape: its outline; None is endless.
        warp: how it bends.
        owner: the object that it is a part of; 0 is the background.
        shadow: what it casts on what is behind it.
    """

    texture: Field
    trajectories: tuple[Trajectory, ...] = ()
    depth: float = 1.0
    shape: Shape | None = None
    warp: Warp | None = None
    owner: int = 0
    shadow: Shadow | None = None

    def pose(self, view: Tensor, t: float) -> Tensor:
        """``(3, 3)`` float64 from undeformed own coordinates to pixels, given the view at its depth."""
        for trajectory in self.trajectories:
            view = view @ trajectory.matrix(t)
        return view

    def own(self, pose: Tensor, t: float, xy: Tensor) -> Tensor:
        """Which of its points is at the pixels ``xy`` ``(2, h, w)`` in frame ``t``."""
        place = affine(torch.linalg.inv(pose)[:2], xy)
        return place if self.warp is None else self.warp.pull(t, place)

    def place(self, pose: Tensor, t: float, own: Tensor) -> Tensor:
        """At which pixels ``(2, h, w)`` its points ``own`` are in frame ``t``."""
        return affine(pose[:2], own if self.warp is None else self.warp.push(t, own))

    def displacement(self, before: Tensor, after: Tensor, i: float, j: float, xy: Tensor) -> Tensor:
        """How far its points at the pixels ``xy`` of frame ``i`` move until frame ``j``.

        Args:
            before: its pose in frame ``i``.
            after: its pose in frame ``j``.
            i: a frame.
            j: another.
            xy: ``(2, h, w)``.

        Returns:
            ``(2, h, w)`` in pixels, in the type of ``xy``.
        """
        if self.warp is None:
            # The identity is taken off in float64: a sum of pixel coordinates in float32 would lose the last digits.
            return affine((after @ torch.linalg.inv(before) - torch.eye(3, dtype=torch.float64))[:2], xy)
        exact = xy.double()
        return (self.place(after, j, self.own(before, i, exact)) - exact).to(xy)

    def reach(self, pose: Tensor) -> float:
        """No point of it is farther than this from its origin on the screen, in pixels; endless surfaces have none."""
        if self.shape is None:
            return math.inf
        (a, b), (c, d) = pose[:2, :2].tolist()
        largest = 0.5 * (math.hypot(a + d, c - b) + math.hypot(a - d, b + c))
        return largest * (self.shape.radius + (0.0 if self.warp is None else self.warp.reach))


def scale(pose: Tensor) -> float:
    """Pixels per own unit, as a mean over directions."""
    (a, b), (c, d) = pose[:2, :2].tolist()
    return math.sqrt(abs(a * d - b * c))
