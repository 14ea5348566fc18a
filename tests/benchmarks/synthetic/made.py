"""Scenes made by hand and at random, and their truth worked out a second time, in float64 and without short cuts."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor

from refine_motion.benchmarks.synthetic.domains import DOMAINS
from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.scene import Scene
from refine_motion.benchmarks.synthetic.shapes import Ellipse
from refine_motion.benchmarks.synthetic.surface import Surface
from refine_motion.benchmarks.synthetic.textures import Field, random_texture
from refine_motion.benchmarks.synthetic.trajectory import Trajectory, Wave
from refine_motion.benchmarks.synthetic.worlds import random_scene
from refine_motion.motion.grid import pixel_grid, warp

SIZE = (64, 80)
# Points nearer to an outline or the border, in pixels, may fall to either side by rounding.
DOUBT = 2e-3
# More than any clip of a test has.
LATE = 12

seeds = st.integers(min_value=0, max_value=2**31)
instants = st.integers(min_value=0, max_value=LATE)
worlds = st.builds(
    random_scene, seeds, st.just(SIZE), st.sampled_from([None, 4.0]), st.just(LATE + 1), st.sampled_from(list(DOMAINS))
)


def moving(x: float = 0.0, y: float = 0.0, start: tuple[float, float] = (0.0, 0.0)) -> Trajectory:
    return Trajectory(Wave(start[0], x), Wave(start[1], y))


def ground(seed: int = 5, **other: Any) -> Surface:
    return Surface(random_texture(generator(seed)), **other)


def disc(radius: float, *path: Trajectory, seed: int = 6, **other: Any) -> Surface:
    return Surface(random_texture(generator(seed)), path, shape=Ellipse(radius, radius), **other)


def plain(level: float) -> Field:
    return lambda xy: torch.full((3, *xy.shape[1:]), level)


def at_rest(scene: Scene) -> Scene:
    """The same without camera motion."""
    return replace(scene, camera=Trajectory(), shake=Trajectory())


def in_float64(thing: Any) -> Any:
    """A texture or outline whose own numbers are in float64, too."""
    if isinstance(thing, Tensor):
        return thing.double() if thing.is_floating_point() else thing
    if is_dataclass(thing):
        return replace(thing, **{f.name: in_float64(getattr(thing, f.name)) for f in fields(thing)})
    return thing


def pose(scene: Scene, order: int, t: float) -> Tensor:
    """``(3, 3)`` from undeformed own coordinates to pixels, as the scene's documentation has it."""
    height, width = scene.size
    centre = torch.tensor([[1.0, 0.0, (width - 1) / 2], [0.0, 1.0, (height - 1) / 2], [0.0, 0.0, 1.0]]).double()
    surface = scene.surfaces[order]
    camera = scene.camera.matrix(t)
    camera[:2, 2] /= surface.depth
    seen = centre @ scene.shake.matrix(t) @ torch.linalg.inv(camera)
    for trajectory in surface.trajectories:
        seen = seen @ trajectory.matrix(t)
    return seen


def own(scene: Scene, order: int, t: float, xy: Tensor) -> Tensor:
    """Which point of a surface is at some pixels ``(2, h, w)``."""
    return scene.surfaces[order].own(pose(scene, order, t), t, xy.double())


def distances(scene: Scene, t: float, xy: Tensor) -> Tensor:
    """``(surfaces, h, w)`` how far inside of each outline some pixels lie, in its own units."""
    found = [torch.full(xy.shape[1:], torch.inf, dtype=torch.float64)]
    for order, surface in enumerate(scene.surfaces[1:], start=1):
        found.append(in_float64(surface.shape).distance(own(scene, order, t, xy)))
    return torch.stack(found)


def front(inside: Tensor) -> Tensor:
    """Front-most surface at each point, by its distances."""
    return ((inside > 0) * torch.arange(len(inside)).view(-1, 1, 1)).amax(0)


def in_frame(scene: Scene, xy: Tensor, margin: float = 0.0) -> Tensor:
    height, width = scene.size
    x, y = xy
    return (x >= margin) & (x <= width - 1 - margin) & (y >= margin) & (y <= height - 1 - margin)


def sure(scene: Scene, inside: Tensor, xy: Tensor) -> Tensor:
    """Where rounding cannot change what is seen."""
    on_border = in_frame(scene, xy, -DOUBT) & ~in_frame(scene, xy, DOUBT)
    return (inside.abs() > DOUBT).all(0) & ~on_border


def well_inside(scene: Scene, i: int, j: int) -> Tensor:
    """Visible pixels of frame i that land among pixels of their own surface in frame j: away from every edge."""
    flow, visible = scene.flow(i, j)
    layers = scene.layers(j)
    # The same surface in the 3x3 neighbourhoods of the pixel, and of all four pixels around its target.
    x, y = (pixel_grid(*scene.size) + flow).round().long()
    target = layers[y.clamp(0, scene.size[0] - 1), x.clamp(0, scene.size[1] - 1)]
    calm_then = warp(_calm(layers).float()[None, None], flow[None])[0, 0] > 0.999
    return visible & _calm(scene.layers(i)) & calm_then & (target == scene.layers(i))


def _calm(layers: Tensor) -> Tensor:
    """Where all nine pixels around show the same surface."""
    both = torch.stack((layers, -layers.float()))[None].float()
    most, least = F.max_pool2d(both, 3, 1, 1)[0]
    return most == -least
