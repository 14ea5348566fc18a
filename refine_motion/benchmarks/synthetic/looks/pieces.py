"""What several looks are made of."""

from __future__ import annotations

from enum import IntEnum

import torch
from torch import Generator, Tensor

from refine_motion.benchmarks.synthetic.draw import generator, integer


class Key(IntEnum):
    """First part of the key of a look's random numbers, apart from those of scenes (0) and streams (1 and 2)."""

    SENSOR = 10


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
