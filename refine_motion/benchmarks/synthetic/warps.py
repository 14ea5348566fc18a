"""Elastic deformation that can be followed both ways: from places to material points, and back.

A surface is drawn by asking which of its points is at a place (``pull``); true motion is found by asking where that
point is later (``push``). Either one undoes the other, to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import uniform
from refine_motion.benchmarks.synthetic.trajectory import Wave

# Largest change of a ripple's displacement per unit of place. Below 1 it can be undone; this much looks elastic.
_STRAIN = 0.3
_ROUNDS = 60


class Warp(Protocol):
    """A deformation over time of an object's own coordinates.

    Attributes:
        reach: no point is moved farther than this from where it would lie undeformed, in units.
    """

    @property
    def reach(self) -> float:  # noqa: D102 -- said above
        ...

    def pull(self, t: float, xy: Tensor) -> Tensor:
        """Which material point ``(2, h, w)`` is at the place ``xy`` ``(2, h, w)`` in frame ``t``."""
        ...

    def push(self, t: float, own: Tensor) -> Tensor:
        """At which place ``(2, h, w)`` the material point ``own`` ``(2, h, w)`` is in frame ``t``."""
        ...


@dataclass(frozen=True)
class Ripples:
    """A sum of travelling waves: ``pull(xy) = xy + sum_n amplitude_n sin(wave_n . xy + turn_n t + phase_n)``.

    Attributes:
        amplitude: ``(n, 2)`` in units.
        wave: ``(n, 2)`` radians per unit; ``sum |amplitude_n| |wave_n|`` is below 1.
        turn: ``(n,)`` radians per frame.
        phase: ``(n,)`` radians.
    """

    amplitude: Tensor
    wave: Tensor
    turn: Tensor
    phase: Tensor

    @property
    def reach(self) -> float:
        """See :class:`Warp`."""
        return float(self.amplitude.norm(dim=1).sum())

    def pull(self, t: float, xy: Tensor) -> Tensor:
        """See :class:`Warp`."""
        return xy + self._displacement(t, xy)

    def push(self, t: float, own: Tensor) -> Tensor:
        """See :class:`Warp`: a fixed point, which exists and is found because the waves are gentle."""
        place = own - self._displacement(t, own)
        enough = 1e-9 if own.dtype == torch.float64 else 1e-4
        for _ in range(_ROUNDS):
            better = own - self._displacement(t, place)
            change = (better - place).abs().amax() if better.numel() else better.sum()
            place = better
            if change < enough:
                break
        return place

    def _displacement(self, t: float, xy: Tensor) -> Tensor:
        total = torch.zeros_like(xy)
        # One by one: a product over all waves needs several times the memory and time.
        for (ax, ay), (wx, wy), turn, phase in zip(
            self.amplitude.tolist(), self.wave.tolist(), self.turn.tolist(), self.phase.tolist(), strict=True
        ):
            sine = torch.sin(wx * xy[0] + wy * xy[1] + (turn * t + phase))
            total[0] += ax * sine
            total[1] += ay * sine
        return total


@dataclass(frozen=True)
class Swirls:
    """Vortices one after the other, each turning what is near its centre; undone exactly in reverse order.

    Attributes:
        centre: ``(n, 2)`` in units.
        size: standard deviation of each vortex's Gaussian profile in units.
        angle: of each vortex at its centre, in radians over time.
    """

    centre: Tensor
    size: tuple[float, ...]
    angle: tuple[Wave, ...]

    @property
    def reach(self) -> float:
        """See :class:`Warp`; a point stays on its circle, of which those far out hardly turn."""
        return sum(2 * size for size in self.size)

    def pull(self, t: float, xy: Tensor) -> Tensor:
        """See :class:`Warp`."""
        for number in range(len(self.size)):
            xy = self._turned(number, -self.angle[number](t), xy)
        return xy

    def push(self, t: float, own: Tensor) -> Tensor:
        """See :class:`Warp`."""
        for number in reversed(range(len(self.size))):
            own = self._turned(number, self.angle[number](t), own)
        return own

    def _turned(self, number: int, angle: float, xy: Tensor) -> Tensor:
        centre = self.centre[number].to(xy).view(2, 1, 1)
        x, y = away = xy - centre
        turn = angle * torch.exp(away.square().sum(0) * (-0.5 / self.size[number] ** 2))
        cosine, sine = turn.cos(), turn.sin()
        return torch.stack((cosine * x - sine * y, sine * x + cosine * y)) + centre


def random_ripples(source: Generator, length: float, speed: float, count: int = 3) -> Ripples:
    """Waves that move no point by more than ``speed`` in one frame.

    Args:
        source: where the numbers come from.
        length: typical wavelength in units.
        speed: bound in units per frame.
        count: number of waves.
    """
    amplitude, wave, turns = [], [], []
    for _ in range(count):
        angle, heading = uniform(source, 0, 2 * math.pi), uniform(source, 0, 2 * math.pi)
        pitch = 2 * math.pi / (length * uniform(source, 0.7, 1.6))
        turn = 2 * math.pi / uniform(source, 12, 40)
        # A place moves by at most (change of the displacement) / (1 - strain).
        size = min(_STRAIN / count / pitch, speed * (1 - _STRAIN) / count / turn)
        amplitude.append([size * math.cos(angle), size * math.sin(angle)])
        wave.append([pitch * math.cos(heading), pitch * math.sin(heading)])
        turns.append(turn if uniform(source, 0, 1) < 0.5 else -turn)
    phase = torch.rand(count, generator=source, dtype=torch.float64) * 2 * math.pi
    return Ripples(torch.tensor(amplitude).double(), torch.tensor(wave).double(), torch.tensor(turns).double(), phase)


def random_swirls(source: Generator, size: tuple[int, int], speed: float, count: int = 4) -> Swirls:
    """Vortices spread over a picture that move no point by more than ``speed`` in one frame.

    Args:
        source: where the numbers come from.
        size: height and width in units, centred at the origin.
        speed: bound in units per frame.
        count: number of vortices.
    """
    sizes = [min(size) * uniform(source, 0.12, 0.25) for _ in range(count)]
    # A vortex moves a point by at most angle * size * exp(-1/2), and stretches what others did by its own shear.
    swing = 0.6
    shear = swing * 2 / math.e
    stretch = ((shear + math.hypot(shear, 2)) / 2) ** (count - 1)
    waves = []
    for own in sizes:
        fastest = speed / (stretch * count * own * math.exp(-0.5))
        turn = min(max(2 * math.pi / uniform(source, 24, 60), fastest / swing), 2 * math.pi / 10)
        amount = min(swing, fastest / turn) * (1 if uniform(source, 0, 1) < 0.5 else -1)
        waves.append(Wave(0.0, 0.0, amount, turn, uniform(source, 0, 2 * math.pi)))
    spread = torch.tensor([size[1], size[0]], dtype=torch.float64)
    centre = (torch.rand((count, 2), generator=source, dtype=torch.float64) - 0.5) * spread
    return Swirls(centre, tuple(sizes), tuple(waves))
