"""Smooth affine motion over time, with a bound on its speed that holds by construction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import uniform

LARGEST_SCALE = 1.25
"""A random trajectory's scale stays between this and its inverse, which keeps textures within their band."""
LARGEST_STRETCH = 1.3
"""Bound on what the non-rigid part of a random trajectory does to any length."""
_FLEX = 0.14

MOTION_CLASSES = ("left", "right", "up", "down", "clockwise", "anticlockwise", "grow", "shrink", "sway")
"""What an object mostly does, as seen on the screen relative to what surrounds it."""

# Share of the speed that goes into translation, rotation and zoom.
_SHARES = {"clockwise": (0.15, 0.8, 0.05), "grow": (0.15, 0.05, 0.8), "left": (0.9, 0.07, 0.03)}
_SHARES |= {"anticlockwise": _SHARES["clockwise"], "shrink": _SHARES["grow"], "sway": _SHARES["left"]}
_SHARES |= dict.fromkeys(("right", "up", "down"), _SHARES["left"])
# Radians from the x axis to the y axis, which points down the screen.
HEADINGS = {"right": 0.0, "down": 0.5 * math.pi, "left": math.pi, "up": 1.5 * math.pi}


@dataclass(frozen=True)
class Wave:
    """``start + rate * t + swing * sin(turn * t + phase)``, with t in frames."""

    start: float = 0.0
    rate: float = 0.0
    swing: float = 0.0
    turn: float = 0.0
    phase: float = 0.0

    def __call__(self, t: float) -> float:
        """Value at frame ``t``."""
        return self.start + self.rate * t + self.swing * math.sin(self.turn * t + self.phase)


@dataclass(frozen=True)
class Trajectory:
    """Translation, rotation, scale, stretch and shear over time, about the object's own origin.

    ``stretch`` is the logarithm of the factor along x, whose inverse applies along y.
    """

    x: Wave = Wave()
    y: Wave = Wave()
    angle: Wave = Wave()
    log_scale: Wave = Wave()
    stretch: Wave = Wave()
    shear: Wave = Wave()

    def matrix(self, t: float) -> Tensor:
        """``(3, 3)`` float64 from own coordinates to those of the parent at frame ``t``."""
        scale, angle = math.exp(self.log_scale(t)), self.angle(t)
        wide, slant = math.exp(self.stretch(t)), self.shear(t)
        cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
        rows = [
            [cosine * wide, cosine * slant - sine / wide, self.x(t)],
            [sine * wide, sine * slant + cosine / wide, self.y(t)],
            [0.0, 0.0, 1.0],
        ]
        return torch.tensor(rows, dtype=torch.float64)


def random_trajectory(
    source: Generator,
    start: tuple[float, float],
    radius: float,
    speed: float,
    room: float,
    frames: int,
    motion: str | None = None,
    flex: float = 0.0,
) -> Trajectory:
    """A trajectory that moves no point within ``radius`` of its origin by more than ``speed`` in one frame.

    Args:
        source: where the numbers come from.
        start: place about which it moves, in parent units.
        radius: reach of the moved thing, in parent units at its largest.
        speed: bound in parent units per frame.
        room: how far the steady part of the translation, and its swing, each go along an axis, in parent units.
        frames: how long it is watched.
        motion: one of :data:`MOTION_CLASSES`, which then has most of the speed; None mixes them.
        flex: share of the speed that goes into stretch and shear.
    """
    stretch, shear = (_swing(source, 0.5 * flex * speed / radius / LARGEST_STRETCH) for _ in range(2))
    if flex:
        # Rotation and zoom act on what is stretched already.
        radius, speed = radius * LARGEST_STRETCH, speed * (1 - flex)
    if motion is None:
        rotation, zoom = uniform(source, 0.0, 0.3) * speed, uniform(source, 0.0, 0.2) * speed
        translation = speed - rotation - zoom
        heading = uniform(source, 0, 2 * math.pi)
    else:
        translation, rotation, zoom = (share * speed for share in _SHARES[motion])
        heading = HEADINGS.get(motion, uniform(source, 0, 2 * math.pi)) + uniform(source, -0.4, 0.4)
    # What an object mostly does it does steadily; the rest comes and goes.
    steady = {name: 0.75 if motion in classes else None for name, classes in _STEADY.items()}
    if motion == "sway":
        steady["move"] = 0.0
    turning = rotation / radius * (-1 if motion == "anticlockwise" else 1)
    growing = math.log1p(zoom / radius) * (-1 if motion == "shrink" else 1)
    most = math.log(LARGEST_SCALE)
    half = frames / 2
    return Trajectory(
        _wave(source, start[0], translation * math.cos(heading), room / frames, room, half, steady["move"]),
        _wave(source, start[1], translation * math.sin(heading), room / frames, room, half, steady["move"]),
        _wave(source, uniform(source, 0, 2 * math.pi), turning, math.inf, math.inf, 0.0, steady["turn"]),
        _wave(source, 0.0, growing, 0.0 if steady["grow"] is None else most / half / 2, most / 2, half, steady["grow"]),
        stretch,
        shear,
    )


_STEADY = {
    "move": ("left", "right", "up", "down"),
    "turn": ("clockwise", "anticlockwise"),
    "grow": ("grow", "shrink"),
}


def _wave(
    source: Generator,
    start: float,
    speed: float,
    most_rate: float,
    most_swing: float,
    middle: float,
    steady: float | None,
) -> Wave:
    """A wave that changes by at most ``abs(speed)`` in a frame, and is at ``start``, but for its swing, at ``middle``.

    ``steady`` is the share of the speed that the steady part gets, drawn when it is None.
    """
    share = uniform(source, 0.2, 1.0) if steady is None else steady
    rate = math.copysign(min(share * abs(speed), most_rate), speed)
    # An object of a motion class must not swing back more than it goes on.
    left = min(abs(speed) - abs(rate), abs(rate) / 3) if steady else abs(speed) - abs(rate)
    # Where the swing would be too wide, a quicker one keeps the speed, down to a period that still looks smooth.
    turn = min(max(2 * math.pi / uniform(source, 16, 60), left / most_swing), 2 * math.pi / 10)
    swing = min(left / turn, most_swing)
    return Wave(start - rate * middle, rate, swing, turn, uniform(source, 0, 2 * math.pi))


def _swing(source: Generator, speed: float) -> Wave:
    """A wave about zero that changes by at most ``speed`` in a frame and stays within what a stretch may be."""
    if speed == 0:
        return Wave()
    turn = min(max(2 * math.pi / uniform(source, 16, 40), speed / _FLEX), 2 * math.pi / 8)
    return Wave(0.0, 0.0, min(speed / turn, _FLEX), turn, uniform(source, 0, 2 * math.pi))
