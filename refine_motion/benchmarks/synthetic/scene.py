"""A scene of textured surfaces in depth order under a moving camera, with exact truth about its motion.

Every surface is a texture in coordinates of its own and a smooth motion of those, so a frame is evaluated rather than
resampled, and flow, occlusion and tracks between any frames follow from the motion alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import EllipsisType

import torch
from torch import Tensor

from refine_motion.benchmarks.synthetic.looks.base import Look, apply
from refine_motion.benchmarks.synthetic.surface import Shadow, Surface, scale
from refine_motion.benchmarks.synthetic.trajectory import Trajectory
from refine_motion.motion.grid import pixel_grid
from refine_motion.types import Tracks

# Rounding of float32 coordinates must not push a resting border pixel off the image.
_BORDER_SLACK = 1e-4

Box = tuple[EllipsisType, slice, slice]


@dataclass(frozen=True)
class KeyPoint:
    """A named point of an object.

    Attributes:
        name: what it is, with the object's number: ``1/head``.
        surface: position in the scene's surfaces.
        own: x and y in the coordinates of that surface.
    """

    name: str
    surface: int
    own: tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """Surfaces in front of an endless background, seen by a camera.

    Attributes:
        size: height and width of the frames in pixels.
        surfaces: back to front; the first one is the endless background, whose own coordinates start at the image
            centre until the camera moves.
        camera: from coordinates around the image centre to the world; its translation shows by 1 / depth.
        shake: of the picture as a whole, in pixels, whatever the depth.
        looks: what stands between the scene and the picture, in the order of the light.
        shutter: share of the time between two frames for which it is open, around the frame's own time.
        exposures: instants that are averaged for motion blur, an odd number; 1 has none.
        motion_class: what the main object, the last one, mostly does, one of
            :data:`refine_motion.benchmarks.synthetic.trajectory.MOTION_CLASSES`; None where nothing is said.
        key_points: named points of objects.
        device: where frames and truth are made; textures and shapes live there.
    """

    size: tuple[int, int]
    surfaces: tuple[Surface, ...]
    camera: Trajectory = field(default_factory=Trajectory)
    shake: Trajectory = field(default_factory=Trajectory)
    looks: tuple[Look, ...] = ()
    shutter: float = 0.0
    exposures: int = 1
    motion_class: str | None = None
    key_points: tuple[KeyPoint, ...] = ()
    device: torch.device | str = "cpu"

    def render(self, t: int) -> Tensor:
        """Frame ``t``: ``(3, H, W)`` uint8, RGB."""
        image, depth = self._expose(t)
        for k in range(1, self.exposures):
            # Around the frame's own time, at which the truth holds: t, then pairs before and after it.
            away = self.shutter / self.exposures * ((k + 1) // 2) * (1 if k % 2 else -1)
            image += self._expose(t + away)[0]
        image = apply(self.looks, image / self.exposures, depth, t)
        return image.round().clamp(0, 255).to(torch.uint8)

    def _expose(self, t: float) -> tuple[Tensor, Tensor]:
        """The sharp picture at one instant, ``(3, H, W)`` in 0..255, and the depth ``(H, W)``."""
        grid = self._grid()
        background, *poses = self._poses(t)
        image = self.surfaces[0].texture(self.surfaces[0].own(background, t, grid)).clamp_(0, 255)
        depth = torch.full(self.size, self.surfaces[0].depth, device=self.device)
        for surface, pose in zip(self.surfaces[1:], poses, strict=True):
            if surface.shadow is not None:
                self._darken(image, surface, surface.shadow, pose, t)
            box = self._box(surface, pose)
            if _is_empty(box):
                continue
            own = surface.own(pose, t, grid[box])
            # A distance in pixels, cut off half a pixel to each side, is the share of the pixel that is covered.
            cover = (_distance(surface, own) * scale(pose) + 0.5).clamp_(0, 1)
            image[box].lerp_(surface.texture(own).clamp_(0, 255), cover)
            depth[box].lerp_(torch.full_like(cover, surface.depth), cover)
        return image, depth

    def _darken(self, image: Tensor, surface: Surface, shadow: Shadow, pose: Tensor, t: float) -> None:
        cast = pose.clone()
        cast[:2, 2] += torch.tensor(shadow.offset, dtype=torch.float64)
        box = self._box(surface, cast, shadow.softness)
        if _is_empty(box):
            return
        distance = _distance(surface, surface.own(cast, t, self._grid()[box])) * scale(pose)
        image[box] *= 1 - shadow.strength * (distance / shadow.softness + 0.5).clamp_(0, 1)

    def layers(self, t: float) -> Tensor:
        """What is front-most at every pixel centre of frame ``t``.

        Returns:
            ``(H, W)`` uint8: the position in ``surfaces``; 0 is the background.
        """
        grid = self._grid()
        front = torch.zeros(self.size, dtype=torch.uint8, device=self.device)
        for order, (surface, pose) in enumerate(zip(self.surfaces, self._poses(t), strict=True)):
            box = self._box(surface, pose)
            if order and not _is_empty(box):
                front[box].masked_fill_(_distance(surface, surface.own(pose, t, grid[box])) > 0, order)
        return front

    def masks(self, t: float) -> Tensor:
        """Which object is front-most at every pixel centre of frame ``t``: ``(H, W)`` uint8, 0 for the background."""
        return self._owners()[self.layers(t).long()]

    def flow(self, i: float, j: float) -> tuple[Tensor, Tensor]:
        """Exact motion of the surface at every pixel centre of frame ``i`` until frame ``j``.

        Returns:
            Flow ``(2, H, W)`` float32 in pixels, channel 0 = x, defined everywhere; and a mask ``(H, W)`` bool, True
            where the point lies between the outer pixel centres of frame ``j`` with nothing in front of it.
        """
        grid = self._grid()
        before, after = self._poses(i), self._poses(j)
        front = self.layers(i)
        flow = torch.empty_like(grid)
        for order, (surface, pose) in enumerate(zip(self.surfaces, before, strict=True)):
            box = self._box(surface, pose) if order else (..., slice(None), slice(None))
            if not _is_empty(box):
                moved = surface.displacement(pose, after[order], i, j, grid[box])
                flow[box] = torch.where(front[box] == order, moved, flow[box])
        target = grid + flow
        return flow, self._in_frame(target) & ~self._covered(after, j, target, front)

    def tracks(self, queries: Tensor, frames: Sequence[int]) -> Tracks:
        """Where the surface points under some pixels are in other frames.

        Args:
            queries: ``(N, 3)`` frame, x, y in pixels, not necessarily at pixel centres.
            frames: T frames.

        Returns:
            ``xy (T, N, 2)`` float32 in pixels, also where a point is hidden or outside; ``visible (T, N)``.
        """
        xy = torch.empty((len(frames), len(queries), 2), dtype=torch.float64, device=self.device)
        visible = torch.empty((len(frames), len(queries)), dtype=torch.bool, device=self.device)
        exact = queries.to(device=self.device, dtype=torch.float64)
        later = {t: self._poses(t) for t in frames}
        for start in exact[:, 0].unique().tolist():
            mine = (exact[:, 0] == start).nonzero().flatten()
            points = exact[mine, 1:].T[:, None]
            poses = self._poses(start)
            front = self._front(poses, start, points)
            for order in front.unique().tolist():
                chosen = front[0] == order
                surface = self.surfaces[order]
                own = surface.own(poses[order], start, points[..., chosen])
                for row, t in enumerate(frames):
                    place = surface.place(later[t][order], t, own)
                    seen = self._in_frame(place) & ~self._covered(later[t], t, place, front[:, chosen])
                    xy[row, mine[chosen]] = place[:, 0].T
                    visible[row, mine[chosen]] = seen[0]
        return Tracks(xy.float(), visible)

    def points(self, t: int) -> tuple[Tensor, Tensor]:
        """Where the key-points are in frame ``t``.

        Returns:
            ``(K, 2)`` float32 x, y in pixels; ``(K,)`` bool, False outside of the picture and behind another object.
        """
        poses, owners = self._poses(t), self._owners()
        places = torch.empty((2, 1, len(self.key_points)), dtype=torch.float64, device=self.device)
        for column, point in enumerate(self.key_points):
            own = torch.tensor(point.own, dtype=torch.float64, device=self.device).view(2, 1, 1)
            places[..., column] = self.surfaces[point.surface].place(poses[point.surface], t, own)[..., 0]
        # A joint lies inside its own object, whose other parts do not hide it.
        front = owners[self._front(poses, t, places)[0].long()]
        mine = owners[[point.surface for point in self.key_points]]
        return places[:, 0].T.float(), self._in_frame(places)[0] & (front == mine)

    def clean(self) -> Scene:
        """The same scene, seen without blur, noise or anything else between it and the picture."""
        return replace(self, looks=(), exposures=1)

    def _front(self, poses: Sequence[Tensor], t: float, xy: Tensor) -> Tensor:
        """Position of the front-most surface at any points ``(2, h, w)``: ``(h, w)`` uint8."""
        front = torch.zeros(xy.shape[1:], dtype=torch.uint8, device=xy.device)
        for order, (surface, pose) in enumerate(zip(self.surfaces[1:], poses[1:], strict=True), start=1):
            front.masked_fill_(_distance(surface, surface.own(pose, t, xy)) > 0, order)
        return front

    def _covered(self, poses: Sequence[Tensor], t: float, xy: Tensor, front: Tensor) -> Tensor:
        """Whether something nearer than the surface ``front`` lies over the points ``xy``: ``(h, w)`` bool."""
        covered = torch.zeros(xy.shape[1:], dtype=torch.bool, device=xy.device)
        for order, (surface, pose) in enumerate(zip(self.surfaces[1:], poses[1:], strict=True), start=1):
            # Most surfaces reach few of the points.
            x, y = pose[:2, 2].tolist()
            reach = surface.reach(pose)
            near = ((xy[0] - x).abs() <= reach) & ((xy[1] - y).abs() <= reach) & (front < order)
            if near.any():
                over = _distance(surface, surface.own(pose, t, xy[:, near][:, None]))[0] > 0
                covered[near] |= over
        return covered

    def _in_frame(self, xy: Tensor) -> Tensor:
        edge = torch.tensor([self.size[1] - 1, self.size[0] - 1], device=xy.device).view(2, 1, 1)
        return ((xy >= -_BORDER_SLACK) & (xy <= edge + _BORDER_SLACK)).all(0)

    def _owners(self) -> Tensor:
        return torch.tensor([surface.owner for surface in self.surfaces], dtype=torch.uint8, device=self.device)

    def _grid(self) -> Tensor:
        return pixel_grid(*self.size, device=self.device)

    def _poses(self, t: float) -> list[Tensor]:
        """``(3, 3)`` float64 matrices from each surface's undeformed coordinates to the pixels of frame ``t``."""
        centre = torch.eye(3, dtype=torch.float64)
        centre[:2, 2] = torch.tensor([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])
        outer, camera = centre @ self.shake.matrix(t), self.camera.matrix(t)
        views: dict[float, Tensor] = {}
        for depth in {surface.depth for surface in self.surfaces}:
            seen = camera.clone()
            seen[:2, 2] /= depth
            views[depth] = outer @ torch.linalg.inv(seen)
        return [surface.pose(views[surface.depth], t) for surface in self.surfaces]

    def _box(self, surface: Surface, pose: Tensor, margin: float = 1.0) -> Box:
        """Index of the rows and columns outside of which the surface has no share; may be empty."""
        reach = surface.reach(pose) + margin
        if math.isinf(reach):
            return ..., slice(None), slice(None)
        x, y = pose[:2, 2].tolist()
        low = [max(0, math.floor(value - reach)) for value in (y, x)]
        high = [min(side, math.ceil(value + reach) + 1) for value, side in zip((y, x), self.size, strict=True)]
        rows, columns = (slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
        return ..., rows, columns


def _distance(surface: Surface, own: Tensor) -> Tensor:
    """Signed distance to the outline in own units, positive inside; an endless surface is all inside."""
    if surface.shape is None:
        return torch.full(own.shape[1:], math.inf, dtype=own.dtype, device=own.device)
    return surface.shape.distance(own)


def _is_empty(box: Box) -> bool:
    return any(part.stop is not None and part.stop <= part.start for part in box[1:])
