"""Outlines of objects, as a signed distance that is exact enough near the edge to anti-alias it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import integer, uniform


class Shape(Protocol):
    """A closed outline around the origin of the object's own coordinates.

    Attributes:
        radius: no point of the shape is farther than this from the origin, in units.
    """

    @property
    def radius(self) -> float:  # noqa: D102 -- said above
        ...

    def distance(self, xy: Tensor) -> Tensor:
        """Signed distance to the outline in units, positive inside; first order near the edge, sign exact.

        Args:
            xy: ``(2, h, w)`` object coordinates.

        Returns:
            ``(h, w)``.
        """
        ...


@dataclass(frozen=True)
class Ellipse:
    """An ellipse with half axes ``a`` (x) and ``b`` (y) in units."""

    a: float
    b: float

    @property
    def radius(self) -> float:
        """See :class:`Shape`."""
        return max(self.a, self.b)

    def distance(self, xy: Tensor) -> Tensor:
        """See :class:`Shape`."""
        x, y = xy[0] / self.a, xy[1] / self.b
        level = torch.hypot(x, y).clamp(min=1e-6)  # At the very centre both vanish, and the sign must stay positive.
        slope = torch.hypot(x / self.a, y / self.b).clamp(min=1e-6)
        return (1 - level) * level / slope


@dataclass(frozen=True)
class Polygon:
    """A convex polygon: the points ``p`` with ``normal . p <= reach`` for each of its sides.

    Attributes:
        normals: ``(sides, 2)`` unit outward normals.
        reach: distance of every side from the origin, in units.
        radius: see :class:`Shape`.
    """

    normals: Tensor
    reach: float
    radius: float

    def distance(self, xy: Tensor) -> Tensor:
        """See :class:`Shape`."""
        normals = self.normals[..., None, None]
        return self.reach - (normals[:, 0] * xy[0] + normals[:, 1] * xy[1]).amax(0)


@dataclass(frozen=True)
class Star:
    """A smooth star: radius ``size * (1 + depth * cos(points * angle))``."""

    size: float
    depth: float
    points: int

    @property
    def radius(self) -> float:
        """See :class:`Shape`."""
        return self.size * (1 + self.depth)

    def distance(self, xy: Tensor) -> Tensor:
        """See :class:`Shape`."""
        away = torch.hypot(xy[0], xy[1])
        turned = self.points * torch.atan2(xy[1], xy[0])
        edge = self.size * (1 + self.depth * torch.cos(turned))
        # Inside of the dents the slope is held: growing towards the centre, it would make the middle look thin.
        slope = self.size * self.depth * self.points * torch.sin(turned) / away.clamp(min=self.size * (1 - self.depth))
        return (edge - away) / torch.hypot(torch.ones_like(slope), slope)


@dataclass(frozen=True)
class Capsule:
    """A limb: all points within ``thickness`` of the straight line from ``(0, -half)`` to ``(0, half)``, in units."""

    half: float
    thickness: float

    @property
    def radius(self) -> float:
        """See :class:`Shape`."""
        return self.half + self.thickness

    def distance(self, xy: Tensor) -> Tensor:
        """See :class:`Shape`."""
        along = xy[1].clamp(-self.half, self.half)
        return self.thickness - torch.hypot(xy[0], xy[1] - along)


def random_shape(source: Generator, size: float, device: torch.device | str = "cpu") -> Shape:
    """A shape of radius ``size`` units."""
    kind = integer(source, 0, 2)
    if kind == 0:
        return Ellipse(size, size * uniform(source, 0.4, 1.0))
    if kind == 1:
        sides = integer(source, 3, 7)
        jitter = torch.rand(sides, generator=source) * 0.2
        angles = (torch.arange(sides) + jitter) * (2 * math.pi / sides)
        # Neighbouring sides meet at reach / cos(half the angle between their normals): the farthest corner is at size.
        widest = torch.cat((angles.diff(), angles[:1] + 2 * math.pi - angles[-1:])).max().item()
        normals = torch.stack((angles.cos(), angles.sin()), dim=1)
        return Polygon(normals.to(device), size * math.cos(widest / 2), size)
    depth = uniform(source, 0.1, 0.35)
    return Star(size / (1 + depth), depth, integer(source, 2, 6))
