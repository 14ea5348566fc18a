"""What several looks are made of. Patterns are computed on the CPU in double precision and then moved.

Training code lowers the precision of matrix products and convolutions on the accelerator for the whole process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import generator, integer, uniform

_LUMA = (0.299, 0.587, 0.114)


class Key(IntEnum):
    """First part of the key of a look's random numbers, apart from those of scenes (0) and streams (1 and 2)."""

    SENSOR = 10
    COLUMNS = 11
    THERMAL = 12
    FLICKER = 13
    GRAIN = 14
    DUST = 15


@dataclass(frozen=True)
class Waves:
    """A smooth random relief: plane waves in many directions, each travelling at a speed of its own.

    Attributes:
        wave: ``(n, 2)`` radians per pixel along x and y.
        turn: ``(n,)`` radians per frame.
        phase: ``(n,)`` radians at the first pixel of frame 0.
    """

    wave: Tensor
    turn: Tensor
    phase: Tensor

    def height(self, like: Tensor, t: int) -> Tensor:
        """``(H, W)`` of mean 0 and variance 1 over a large image, for the size, dtype and device of ``like``."""
        return self._sum(torch.ones_like(self.phase), 0.0, like, t)

    def slope(self, like: Tensor, t: int) -> Tensor:
        """``(2, H, W)`` rise of the relief along x and y, in standard deviations of that over a large image."""
        along, down = (self.wave / self.wave.square().mean().sqrt()).unbind(1)
        return torch.stack((self._sum(along, math.pi / 2, like, t), self._sum(down, math.pi / 2, like, t)))

    def _sum(self, weight: Tensor, lead: float, like: Tensor, t: int) -> Tensor:
        height, width = like.shape[-2:]
        along = self.wave[:, 0] * torch.arange(width, dtype=torch.float64)[:, None]
        down = self.wave[:, 1] * torch.arange(height, dtype=torch.float64)[:, None] + (
            self.phase + self.turn * t + lead
        )
        # sin(a + b) by the sines and cosines of rows and columns: a small product instead of a sine at every pixel.
        rows = torch.cat((down.cos() * weight, down.sin() * weight), dim=1)
        columns = torch.cat((along.sin(), along.cos()), dim=1)
        return (rows @ columns.T).mul_(math.sqrt(2 / len(weight))).to(like)


def random_waves(source: Generator, lengths: tuple[float, float], wind: float, churn: float) -> Waves:
    """A relief that drifts one way and changes its shape.

    Args:
        source: where to draw from.
        lengths: shortest and longest wave in pixels.
        wind: pixels per frame by which the whole drifts, in a random direction.
        churn: largest phase that a wave gains or loses beside the others per frame, in radians.
    """
    count = 16
    # Directions evenly spread before a jitter, for a relief without a grain.
    angle = (torch.arange(count) + torch.rand(count, generator=source)) * (math.pi / count)
    octave = torch.rand(count, generator=source) * math.log(lengths[1] / lengths[0])
    wave = (2 * math.pi / lengths[0] / octave.exp())[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1)
    heading = uniform(source, 0, 2 * math.pi)
    own = churn * (torch.rand(count, generator=source) * 2 - 1)
    turn = own - wave @ torch.tensor([wind * math.cos(heading), wind * math.sin(heading)])
    phase = torch.rand(count, generator=source) * (2 * math.pi)
    return Waves(wave.double(), turn.double(), phase.double())


def random_seed(source: Generator) -> int:
    """A seed for the numbers of a look."""
    return integer(source, 0, 2**31 - 1)


def white(key: Key, seed: int, t: int, like: Tensor) -> Tensor:
    """Standard normal numbers in the shape, dtype and on the device of ``like``, new for every key, seed and ``t``."""
    # Drawn on the CPU, since each device's own generator gives other numbers.
    return torch.randn(like.shape, generator=generator(key, seed, t)).to(like)


def vignette(like: Tensor, strength: float) -> Tensor:
    """Fall-off of light towards the corners.

    Args:
        like: ``(..., H, W)`` gives size, dtype and device.
        strength: share of the light lost in the corners, 0..1.

    Returns:
        ``(H, W)`` factor, 1 in the middle and ``1 - strength`` in the corners.
    """
    height, width = like.shape[-2:]
    y = torch.linspace(-1, 1, height).to(like) * height
    x = torch.linspace(-1, 1, width).to(like) * width
    return 1 - strength / (height**2 + width**2) * (y[:, None].square() + x.square())


def spots(centre: Tensor, radius: Tensor, like: Tensor) -> Tensor:
    """Soft spots, 1 in their middle and falling off as a Gaussian.

    Args:
        centre: ``(n, 2)`` x and y in shares of the width and height.
        radius: ``(n, 2)`` standard deviations along x and y in pixels.
        like: ``(..., H, W)`` gives size, dtype and device.

    Returns:
        ``(n, H, W)``.
    """
    across, down = (
        torch.exp(-0.5 * ((torch.arange(side) - centre[:, axis, None] * (side - 1)) / radius[:, axis, None]) ** 2)
        for axis, side in ((0, like.shape[-1]), (1, like.shape[-2]))
    )
    return down.to(like)[:, :, None] * across.to(like)[:, None]


def grey(image: Tensor, weights: tuple[float, float, float] = _LUMA) -> Tensor:
    """``(H, W)`` weighted sum of the channels of ``(3, H, W)``, by default the luma of a television."""
    red, green, blue = image
    return (red * weights[0]).add_(green, alpha=weights[1]).add_(blue, alpha=weights[2])


def kernel(sigma: float) -> list[float]:
    """Weights of a Gaussian at 0, 1, 2, ... pixels from its middle; both sides together sum to 1."""
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(math.ceil(2.5 * sigma) + 1)]
    total = 2 * sum(weights) - 1
    return [weight / total for weight in weights]


def blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of ``(..., H, W)``, borders continued, with a standard deviation of ``sigma`` > 0 pixels."""
    middle, *sides = kernel(sigma)
    for axis in (-2, -1):
        size = image.shape[axis]
        steps = torch.arange(-len(sides), size + len(sides), device=image.device).clamp_(0, size - 1)
        wide = image.index_select(axis, steps)
        image = image * middle
        for step, weight in enumerate(sides, start=1):
            for start in (len(sides) - step, len(sides) + step):
                image.add_(wide.narrow(axis, start, size), alpha=weight)
    return image
