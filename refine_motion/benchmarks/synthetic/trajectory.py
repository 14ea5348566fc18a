"""Smooth similarity motion over time, with a bound on its speed that holds by construction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import uniform

LARGEST_SCALE = 1.16
"""A random trajectory's scale stays between this and its inverse, which keeps textures within their band."""


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
    """Translation, rotation and scale over time, about the object's own origin."""

    x: Wave = Wave()
    y: Wave = Wave()
    angle: Wave = Wave()
    log_scale: Wave = Wave()

    def matrix(self, t: float) -> Tensor:
        """``(3, 3)`` float64 from own coordinates to those of the parent at frame ``t``."""
        scale = math.exp(self.log_scale(t))
        cosine, sine = scale * math.cos(self.angle(t)), scale * math.sin(self.angle(t))
        rows = [[cosine, -sine, self.x(t)], [sine, cosine, self.y(t)], [0.0, 0.0, 1.0]]
        return torch.tensor(rows, dtype=torch.float64)


def random_trajectory(
    source: Generator, start: tuple[float, float], radius: float, speed: float, room: float, frames: int
) -> Trajectory:
    """A trajectory that moves no point within ``radius`` of its origin by more than ``speed`` in one frame.

    Args:
        source: where the numbers come from.
        start: place about which it moves, in parent units.
        radius: reach of the moved thing, in parent units.
        speed: bound in parent units per frame.
        room: how far the steady part of the translation, and its swing, each go along an axis, in parent units.
        frames: how long it is watched.
    """
    rotation = uniform(source, 0.0, 0.3) * speed
    zoom = uniform(source, 0.0, 0.2) * speed
    translation = speed - rotation - zoom
    heading = uniform(source, 0, 2 * math.pi)
    return Trajectory(
        _wave(source, start[0], translation * math.cos(heading), room / frames, room),
        _wave(source, start[1], translation * math.sin(heading), room / frames, room),
        _wave(source, uniform(source, 0, 2 * math.pi), rotation / radius, math.inf, math.inf),
        _wave(source, 0.0, math.log1p(zoom / radius), 0.0, math.log(LARGEST_SCALE)),
    )


def _wave(source: Generator, start: float, speed: float, most_rate: float, most_swing: float) -> Wave:
    """A wave that changes by at most ``abs(speed)`` in a frame."""
    rate = math.copysign(min(uniform(source, 0.2, 1.0) * abs(speed), most_rate), speed)
    left = abs(speed) - abs(rate)
    # Where the swing would be too wide, a quicker one keeps the speed, down to a period that still looks smooth.
    turn = min(max(2 * math.pi / uniform(source, 16, 60), left / most_swing), 2 * math.pi / 10)
    swing = min(left / turn, most_swing)
    return Wave(start, rate, swing, turn, uniform(source, 0, 2 * math.pi))
