"""Random scenes of a domain."""

from __future__ import annotations

import cmath
import math
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Generator

from refine_motion.benchmarks.synthetic.domains import Domain, domain
from refine_motion.benchmarks.synthetic.draw import choice, generator, integer, uniform
from refine_motion.benchmarks.synthetic.objects import Place, random_object
from refine_motion.benchmarks.synthetic.scene import KeyPoint, Scene
from refine_motion.benchmarks.synthetic.surface import Shadow, Surface
from refine_motion.benchmarks.synthetic.textures import random_texture
from refine_motion.benchmarks.synthetic.trajectory import (
    HEADINGS,
    LARGEST_SCALE,
    MOTION_CLASSES,
    Trajectory,
    Wave,
    random_trajectory,
)
from refine_motion.benchmarks.synthetic.warps import Warp, random_ripples, random_swirls

_EXPOSURES = 3


def random_scene(
    seed: int,
    size: tuple[int, int],
    max_speed: float | None = None,
    frames: int = 2,
    name: str = "source",
    device: torch.device | str = "cpu",
) -> Scene:
    """A scene that depends on its arguments alone, and on the device only by rounding.

    Args:
        seed: any integer.
        size: height and width in pixels.
        max_speed: no visible point moves farther from one frame to the next, in pixels; None takes the domain's.
        frames: how many frames are meant to be looked at; steady motion stays moderate over that time.
        name: the domain.
        device: where to render.

    Raises:
        ConfigError: there is no such domain.
    """
    of = domain(name)
    source = generator(0, seed)
    height, width = size
    # Squared: in most videos most things move slowly.
    low, high = (math.sqrt(share) for share in of.pace)
    speed = (of.max_speed if max_speed is None else max_speed) * uniform(source, low, high) ** 2
    shake = min(of.shake, 0.15 * speed)
    speed -= 2 * math.sqrt(2) * shake
    camera_speed = speed * uniform(source, *of.camera)
    # Points of the world lie up to half a diagonal from the middle, and look LARGEST_SCALE times faster when near.
    reach = math.hypot(*size) / 2
    camera = random_trajectory(source, (0.0, 0.0), reach, camera_speed / LARGEST_SCALE, 0.3 * min(size), frames)
    # Held upright, or left and right on the screen would not be those of the scene.
    camera = replace(camera, angle=replace(camera.angle, start=0.0))
    left = (speed - camera_speed) / LARGEST_SCALE
    ground = Surface(random_texture(source, of.ground, device), depth=of.depth, warp=_flow(source, of, size, left))

    shadow = _random_shadow(source, min(size)) if uniform(source, 0, 1) < of.shadows else None
    kind = choice(source, of.kinds)
    surfaces, points, motion_class = [ground], list[KeyPoint](), None
    count = integer(source, *of.objects)
    # Farther ones lie behind nearer ones.
    depths = sorted((uniform(source, 1.0, max(1.0, 0.8 * of.depth)) for _ in range(count)), reverse=True)
    for number, depth in enumerate(depths, start=1):
        # The nearest one is large and in the middle, and its motion is that of the clip.
        is_main = number == count
        motion = MOTION_CLASSES[integer(source, 0, len(MOTION_CLASSES) - 1)]
        least, most = of.radius
        spread = 0.2 if is_main else 0.5
        place = Place(
            number=number,
            start=(width * uniform(source, -spread, spread), height * uniform(source, -spread, spread)),
            radius=min(size) * uniform(source, 0.3 * least + 0.7 * most if is_main else least, most),
            depth=depth,
            speed=left * uniform(source, 0.7 if is_main else 0.25, 1.0),
            room=0.3 * min(size),
            frames=frames,
            motion=motion,
        )
        looks = generator(3, seed) if of.alike else source
        made = random_object(
            source, looks, kind if of.alike else choice(source, of.kinds), place, of.style, shadow, device
        )
        if is_main:
            motion_class = _seen_class(motion, made.surfaces[0].trajectories[0], camera, frames)
        points += [replace(point, surface=point.surface + len(surfaces)) for point in made.key_points]
        surfaces += made.surfaces
    blurred = uniform(source, 0, 1) < of.blur
    return Scene(
        size,
        tuple(surfaces),
        camera,
        _random_shake(source, shake),
        of.looks(source),
        shutter=uniform(source, 0.2, 0.6) if blurred else 0.0,
        exposures=_EXPOSURES if blurred else 1,
        motion_class=motion_class,
        key_points=tuple(points),
        device=device,
    )


def _seen_class(motion: str, path: Trajectory, camera: Trajectory, frames: int) -> str:
    """The class of a motion as it turned out.

    Where an object wanders off to is limited along each axis, a swing may be longer than the clip, and the camera
    turns: translations are named by what is seen of them, upright in the middle of the clip.
    """
    if motion not in (*HEADINGS, "sway"):
        return motion
    places = [complex(path.x(t), path.y(t)) for t in range(frames)]
    net = places[-1] - places[0]
    if abs(net) < 0.5 * sum(abs(after - before) for before, after in pairwise(places)):
        return "sway"
    heading = cmath.phase(net) - camera.angle((frames - 1) / 2)
    return max(HEADINGS, key=lambda name: math.cos(heading - HEADINGS[name]))


def _flow(source: Generator, of: Domain, size: tuple[int, int], speed: float) -> Warp | None:
    """How the background deforms by itself."""
    if of.flowing == "ripples":
        return random_ripples(source, 0.8 * min(size), speed)
    if of.flowing == "swirls":
        return random_swirls(source, size, speed)
    return None


def _random_shadow(source: Generator, side: int) -> Shadow:
    away, angle = side * uniform(source, 0.02, 0.08), uniform(source, 0, 2 * math.pi)
    offset = (away * math.cos(angle), away * math.sin(angle))
    return Shadow(offset, uniform(source, 0.2, 0.6), side * uniform(source, 0.01, 0.06))


def _random_shake(source: Generator, swing: float) -> Trajectory:
    """Quick motion of the whole picture to and fro, as of a hand-held camera or a worn film gate."""

    def wave() -> Wave:
        return Wave(0.0, 0.0, swing, uniform(source, 1.2, 2.6), uniform(source, 0, 2 * math.pi))

    return Trajectory(wave(), wave()) if swing else Trajectory()
