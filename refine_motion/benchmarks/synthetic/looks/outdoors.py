"""Looks of cameras outdoors: in fog and at night."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import integer, uniform
from refine_motion.benchmarks.synthetic.looks.camera import Sensor
from refine_motion.benchmarks.synthetic.looks.pieces import (
    Waves,
    grey,
    random_seed,
    random_waves,
    spots,
    vignette,
)


@dataclass(frozen=True)
class Fog:
    """Air that scatters: what is far fades into its light, more so where a drifting bank is thick.

    Attributes:
        density: share of the light lost per unit of depth, where little is lost.
        airlight: RGB grey levels of the fog itself.
        unevenness: standard deviation of the density relative to its mean.
        banks: where the fog is thick; they move by themselves and not with the scene.
    """

    density: float
    airlight: tuple[float, float, float]
    unevenness: float
    banks: Waves

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        density = self.banks.height(depth, t).mul_(self.unevenness).add_(1).clamp_(min=0.1)
        clear = density.mul_(depth).mul_(-self.density).exp_()
        airlight = image.new_tensor(self.airlight)[:, None, None]
        return airlight.lerp(image, clear)


@dataclass(frozen=True)
class Lamp:
    """A pool of light that stays where it is in the picture.

    Attributes:
        centre: x and y in shares of the width and height.
        radius: standard deviation of the light in shares of the shorter side.
        colour: RGB light in its middle, where 1 is daylight.
    """

    centre: tuple[float, float]
    radius: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Night:
    """Little light, pale and bluish but under lamps, and a sensor at high gain.

    Attributes:
        light: share of daylight that is left.
        saturation: share of the colour that is left.
        tint: RGB factors on what is seen without lamps.
        black: grey level of no light.
        shade: share of the light lost in the corners, 0..1.
        lamps: what lights the scene unevenly.
        sensor: where the noise comes from.
    """

    light: float
    saturation: float
    tint: tuple[float, float, float]
    black: float
    shade: float
    lamps: tuple[Lamp, ...]
    sensor: Sensor

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """See :class:`~refine_motion.benchmarks.synthetic.looks.base.Look`."""
        light = image.new_tensor(self.tint)[:, None, None] * self.light
        for lamp in self.lamps:
            radius = torch.full((1, 2), lamp.radius * min(image.shape[-2:]))
            pool = spots(torch.tensor([lamp.centre]), radius, image)
            light = light + pool * image.new_tensor(lamp.colour)[:, None, None]
        pale = grey(image).lerp(image, self.saturation)
        lit = pale.mul_(light).mul_(vignette(image, self.shade)).add_(self.black)
        return self.sensor(lit, depth, t)


def random_fog(source: Generator) -> Fog:
    """Fog through which the far background is still seen faintly."""
    level = uniform(source, 165, 225)
    return Fog(
        density=uniform(source, 0.1, 0.22),
        airlight=(level * uniform(source, 0.94, 1.0), level, level * uniform(source, 1.0, 1.06)),
        unevenness=uniform(source, 0.2, 0.4),
        banks=random_waves(source, (70, 220), wind=uniform(source, 0.3, 2.0), churn=0.06),
    )


def random_night(source: Generator) -> Night:
    """A night with up to two lamps."""
    return Night(
        light=uniform(source, 0.08, 0.25),
        saturation=uniform(source, 0.3, 0.6),
        tint=(uniform(source, 0.75, 0.9), uniform(source, 0.9, 1.0), uniform(source, 1.15, 1.35)),
        black=uniform(source, 4, 14),
        shade=uniform(source, 0.2, 0.5),
        lamps=tuple(_random_lamp(source) for _ in range(integer(source, 0, 2))),
        sensor=Sensor(uniform(source, 0.2, 0.55), uniform(source, 4, 7), random_seed(source)),
    )


def _random_lamp(source: Generator) -> Lamp:
    light = uniform(source, 0.2, 0.5)
    warmth = uniform(source, 0.0, 0.6)
    return Lamp(
        centre=(uniform(source, 0, 1), uniform(source, 0, 0.7)),
        radius=uniform(source, 0.12, 0.25),
        colour=(light, light * (1 - 0.35 * warmth), light * (1 - warmth)),
    )
