"""Moving things of four kinds, each made of one or more surfaces and with named points on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator

from refine_motion.benchmarks.synthetic.draw import uniform
from refine_motion.benchmarks.synthetic.scene import KeyPoint
from refine_motion.benchmarks.synthetic.shapes import Capsule, Ellipse, random_shape
from refine_motion.benchmarks.synthetic.styles import Style
from refine_motion.benchmarks.synthetic.surface import Shadow, Surface
from refine_motion.benchmarks.synthetic.textures import Field, random_texture
from refine_motion.benchmarks.synthetic.trajectory import LARGEST_SCALE, Trajectory, Wave, random_trajectory
from refine_motion.benchmarks.synthetic.warps import random_ripples


@dataclass(frozen=True)
class Place:
    """Where an object is and what it may do.

    Attributes:
        number: of the object, from 1.
        start: x and y around which it moves, in world units.
        radius: of the object in world units.
        depth: see :class:`Surface`.
        speed: bound on the motion of its points, in pixels per frame, less that of the camera.
        room: how far it may wander, in world units.
        frames: how long it is watched.
        motion: class of its motion.
    """

    number: int
    start: tuple[float, float]
    radius: float
    depth: float
    speed: float
    room: float
    frames: int
    motion: str


@dataclass(frozen=True)
class Thing:
    """An object: its surfaces back to front, and its key-points, whose surfaces count within it."""

    surfaces: tuple[Surface, ...]
    key_points: tuple[KeyPoint, ...]


def random_object(
    source: Generator,
    looks: Generator,
    kind: str,
    place: Place,
    style: Style,
    shadow: Shadow | None,
    device: torch.device | str,
) -> Thing:
    """An object.

    Args:
        source: where the numbers of its motion come from.
        looks: where those of its texture and outline come from; objects alike are given equal ones.
        kind: one of :data:`KINDS`.
        place: where it is and what it may do.
        style: of its textures.
        shadow: what its surfaces cast.
        device: where it is rendered.
    """
    made = KINDS[kind](source, looks, place, style, device)
    surfaces = tuple(replace(s, depth=place.depth, owner=place.number, shadow=shadow) for s in made.surfaces)
    points = tuple(replace(p, name=f"{place.number}/{p.name}") for p in made.key_points)
    return Thing(surfaces, points)


def _path(source: Generator, place: Place, share: float = 1.0, flex: float = 0.0) -> Trajectory:
    reach = place.radius * LARGEST_SCALE
    return random_trajectory(
        source, place.start, reach, place.speed * share, place.room, place.frames, place.motion, flex
    )


def _rigid(
    source: Generator, looks: Generator, place: Place, style: Style, device: torch.device | str, flex: float = 0.0
) -> Thing:
    texture = random_texture(looks, style, device)
    shape = random_shape(looks, place.radius, device)
    surface = Surface(texture, (_path(source, place, flex=flex),), shape=shape)
    side = 0.5 * place.radius
    marks = {"centre": (0.0, 0.0), "a": (side, 0.0), "b": (0.0, side)}
    points = tuple(KeyPoint(name, 0, own) for name, own in marks.items() if _inside(surface, own))
    return Thing((surface,), points)


def _affine(source: Generator, looks: Generator, place: Place, style: Style, device: torch.device | str) -> Thing:
    return _rigid(source, looks, place, style, device, flex=0.35)


def _elastic(source: Generator, looks: Generator, place: Place, style: Style, device: torch.device | str) -> Thing:
    made = _rigid(source, looks, replace(place, speed=0.6 * place.speed), style, device)
    warp = random_ripples(source, 2 * place.radius, 0.4 * place.speed / LARGEST_SCALE)
    return Thing((replace(made.surfaces[0], warp=warp),), made.key_points)


def _figure(source: Generator, looks: Generator, place: Place, style: Style, device: torch.device | str) -> Thing:
    """Trunk, head, arms, and legs of two parts, which swing in their joints."""
    root = _path(source, place, share=0.5)
    # Figures stand about upright, whatever the angle of the drawn path; their turning is that of the path.
    root = replace(
        root, angle=replace(root.angle, start=uniform(source, -0.4, 0.4) - root.angle.rate * place.frames / 2)
    )
    unit = place.radius / 2.1
    cloth, skin, legwear = (random_texture(looks, style, device) for _ in range(3))
    gait = 2 * math.pi / uniform(source, 14, 30)
    phase = uniform(source, 0, 2 * math.pi)

    def joint(x: float, y: float, rest: float, reach: float, share: float, behind: float) -> Trajectory:
        swing = min(uniform(source, 0.4, 0.8), share * place.speed / LARGEST_SCALE / (reach * gait))
        return Trajectory(Wave(x), Wave(y), Wave(rest, 0.0, swing, gait, phase + behind))

    def limb(length: float, thickness: float, texture: Field, *chain: Trajectory) -> Surface:
        half = 0.5 * length * unit
        # Its own origin is in its middle, for the smallest box; the joint is at its upper end.
        return Surface(texture, (root, *chain, Trajectory(y=Wave(half))), shape=Capsule(half, thickness * unit))

    parts: list[Surface] = []
    points: list[KeyPoint] = []
    for side, name in ((-1, "left"), (1, "right")):
        hip = joint(0.28 * side * unit, 0.5 * unit, -0.12 * side, 1.5 * unit, 0.3, 0.0 if side < 0 else math.pi)
        knee = joint(0.0, 0.75 * unit, 0.1, 0.75 * unit, 0.2, -0.8 if side < 0 else math.pi - 0.8)
        parts += [limb(0.7, 0.17, legwear, hip, knee), limb(0.75, 0.22, legwear, hip)]
        points += [
            KeyPoint(f"{name} foot", len(parts) - 2, (0.0, 0.35 * unit)),
            KeyPoint(f"{name} knee", len(parts) - 2, (0.0, -0.35 * unit)),
        ]
    parts.append(Surface(cloth, (root,), shape=Ellipse(0.5 * unit, 0.8 * unit)))
    parts.append(Surface(skin, (root, Trajectory(Wave(), Wave(-1.05 * unit))), shape=Ellipse(0.33 * unit, 0.4 * unit)))
    points.append(KeyPoint("head", len(parts) - 1, (0.0, 0.0)))
    for side, name in ((-1, "left"), (1, "right")):
        shoulder = joint(0.42 * side * unit, -0.5 * unit, -0.5 * side, 1.1 * unit, 0.5, math.pi if side < 0 else 0.0)
        parts.append(limb(1.0, 0.16, skin, shoulder))
        points.append(KeyPoint(f"{name} hand", len(parts) - 1, (0.0, 0.5 * unit)))
    return Thing(tuple(parts), tuple(points))


def _inside(surface: Surface, own: tuple[float, float]) -> bool:
    assert surface.shape is not None  # Objects have outlines.
    return surface.shape.distance(torch.tensor(own).view(2, 1, 1)).item() > 0


KINDS: dict[str, Callable[[Generator, Generator, Place, Style, torch.device | str], Thing]] = {
    "rigid": _rigid,
    "affine": _affine,
    "elastic": _elastic,
    "figure": _figure,
}
