"""A scene of textured objects over a textured background under a moving camera, with exact dense flow.

Every layer is a texture in coordinates of its own and a smooth motion of those, so a frame is evaluated rather than
resampled, and the flow between any two frames follows from the motion alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import EllipsisType

import torch
from torch import Tensor

from refine_motion.benchmarks.synthetic.affine import affine
from refine_motion.benchmarks.synthetic.draw import generator, integer, uniform
from refine_motion.benchmarks.synthetic.shapes import Shape, random_shape
from refine_motion.benchmarks.synthetic.textures import Field, random_texture
from refine_motion.benchmarks.synthetic.trajectory import LARGEST_SCALE, Trajectory, Wave, random_trajectory
from refine_motion.motion.grid import pixel_grid

# Rounding of float32 coordinates must not push a resting border pixel off the image.
_BORDER_SLACK = 1e-4


@dataclass(frozen=True)
class Sprite:
    """A textured, opaque object; texture and shape share coordinates around its origin."""

    texture: Field
    shape: Shape
    trajectory: Trajectory


@dataclass(frozen=True)
class Scene:
    """Sprites in front of an endless background, seen by a camera.

    Attributes:
        size: height and width of the frames in pixels.
        background: texture in world coordinates, whose origin is the image centre until the camera moves.
        sprites: back to front.
        camera: from coordinates around the image centre to the world.
        brightness: factor on all colours over time.
        noise: standard deviation of the sensor noise in grey levels, drawn anew for each frame.
        seed: what the sensor noise is drawn from.
        device: where frames and flow are made; textures and shapes live there.
    """

    size: tuple[int, int]
    background: Field
    sprites: tuple[Sprite, ...]
    camera: Trajectory = field(default_factory=Trajectory)
    brightness: Wave = field(default_factory=lambda: Wave(start=1.0))
    noise: float = 0.0
    seed: int = 0
    device: torch.device | str = "cpu"

    def render(self, t: int) -> Tensor:
        """Frame ``t``: ``(3, H, W)`` uint8, RGB."""
        grid = self._grid()
        background, *poses = self._poses(t)
        image = self.background(affine(_inverse(background), grid)).clamp(0, 255)
        for sprite, pose in zip(self.sprites, poses, strict=True):
            box = self._box(sprite, pose)
            own = affine(_inverse(pose), grid[box])
            # A distance in pixels, cut off half a pixel to each side, is the share of the pixel that is covered.
            cover = (sprite.shape.distance(own) * _scale(pose) + 0.5).clamp(0, 1)
            image[box].lerp_(sprite.texture(own).clamp(0, 255), cover)
        image *= self.brightness(t)
        if self.noise:
            # The key's first part keeps these apart from the numbers that made the scene.
            source = generator(1, self.seed, t)
            image += self.noise * torch.randn(image.shape, generator=source).to(image)
        return image.round_().clamp_(0, 255).to(torch.uint8)

    def layers(self, t: int) -> Tensor:
        """What is front-most at every pixel centre of frame ``t``.

        Returns:
            ``(H, W)`` uint8: 0 for the background, else 1 + the position in ``sprites``.
        """
        grid = self._grid()
        front = torch.zeros(self.size, dtype=torch.uint8, device=self.device)
        for order, (sprite, pose) in enumerate(zip(self.sprites, self._poses(t)[1:], strict=True), start=1):
            box = self._box(sprite, pose)
            front[box].masked_fill_(sprite.shape.distance(affine(_inverse(pose), grid[box])) > 0, order)
        return front

    def flow(self, i: int, j: int) -> tuple[Tensor, Tensor]:
        """Exact motion of the surface at every pixel centre of frame ``i`` until frame ``j``.

        Returns:
            Flow ``(2, H, W)`` float32 in pixels, channel 0 = x, defined everywhere; and a mask ``(H, W)`` bool, True
            where the point lies between the outer pixel centres of frame ``j`` with nothing in front of it.
        """
        grid = self._grid()
        before, after = self._poses(i), self._poses(j)
        front = self.layers(i)
        flow = affine(_displacement(before[0], after[0]), grid)
        for order, sprite in enumerate(self.sprites, start=1):
            box = self._box(sprite, before[order])
            moved = affine(_displacement(before[order], after[order]), grid[box])
            flow[box] = torch.where(front[box] == order, moved, flow[box])

        target = grid + flow
        edge = torch.tensor([self.size[1] - 1, self.size[0] - 1], device=self.device).view(2, 1, 1)
        visible = ((target >= -_BORDER_SLACK) & (target <= edge + _BORDER_SLACK)).all(0)
        for order, sprite in enumerate(self.sprites, start=1):
            covered = sprite.shape.distance(affine(_inverse(after[order]), target)) > 0
            visible &= ~(covered & (front < order))
        return flow, visible

    def _grid(self) -> Tensor:
        return pixel_grid(*self.size, device=self.device)

    def _poses(self, t: int) -> list[Tensor]:
        """``(3, 3)`` float64 matrices to the pixels of frame ``t``: of the world, then of each sprite."""
        centre = torch.eye(3, dtype=torch.float64)
        centre[:2, 2] = torch.tensor([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])
        world = centre @ torch.linalg.inv(self.camera.matrix(t))
        return [world, *(world @ sprite.trajectory.matrix(t) for sprite in self.sprites)]

    def _box(self, sprite: Sprite, pose: Tensor) -> tuple[EllipsisType, slice, slice]:
        """Index of the rows and columns outside of which the sprite has no share; may be empty."""
        reach = sprite.shape.radius * _scale(pose) + 1
        x, y = pose[:2, 2].tolist()
        low = [max(0, math.floor(value - reach)) for value in (y, x)]
        high = [min(side, math.ceil(value + reach) + 1) for value, side in zip((y, x), self.size, strict=True)]
        rows, columns = (slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
        return ..., rows, columns


def random_scene(
    seed: int,
    size: tuple[int, int],
    max_speed: float = 8.0,
    frames: int = 2,
    noise: float = 0.0,
    drift: float = 0.0,
    device: torch.device | str = "cpu",
) -> Scene:
    """A scene that depends on its arguments alone, and on the device only by rounding.

    Args:
        seed: any integer.
        size: height and width in pixels.
        max_speed: no visible point moves farther from one frame to the next, in pixels; the bound is
            cautious, the fastest point of a scene moves about 0.2 to 0.6 times as far.
        frames: how many frames are meant to be looked at; steady motion stays moderate over that time.
        noise: standard deviation of sensor noise in grey levels.
        drift: largest relative change of brightness over time, such as 0.05.
        device: where to render.
    """
    source = generator(0, seed)
    height, width = size
    room = 0.2 * min(size)
    camera_speed = max_speed * uniform(source, 0.0, 0.8)
    # Points of the world lie up to half a diagonal from the middle, and look LARGEST_SCALE times faster when near.
    reach = math.hypot(*size) / 2
    camera = random_trajectory(source, (0.0, 0.0), reach, camera_speed / LARGEST_SCALE, room, frames)
    sprites = []
    for _ in range(integer(source, 3, 7)):
        radius = min(size) * uniform(source, 0.1, 0.32)
        start = (width * uniform(source, -0.5, 0.5), height * uniform(source, -0.5, 0.5))
        speed = (max_speed - camera_speed) * uniform(source, 0.2, 1.0) / LARGEST_SCALE
        path = random_trajectory(source, start, radius * LARGEST_SCALE, speed, room, frames)
        sprites.append(Sprite(random_texture(source, device), random_shape(source, radius, device), path))
    turn = 2 * math.pi / uniform(source, 30, 90)
    brightness = Wave(start=1.0, swing=drift, turn=turn, phase=uniform(source, 0, 2 * math.pi))
    return Scene(size, random_texture(source, device), tuple(sprites), camera, brightness, noise, seed, device)


def _inverse(pose: Tensor) -> Tensor:
    return torch.linalg.inv(pose)[:2]


def _displacement(before: Tensor, after: Tensor) -> Tensor:
    """``(2, 3)`` map from a pixel of the first frame to how far its surface moves."""
    # The identity is taken off in float64: a sum of pixel coordinates in float32 would lose the last digits of flow.
    return (after @ torch.linalg.inv(before) - torch.eye(3, dtype=torch.float64))[:2]


def _scale(pose: Tensor) -> float:
    """Pixels per own unit of a similarity."""
    return math.hypot(pose[0, 0].item(), pose[1, 0].item())
