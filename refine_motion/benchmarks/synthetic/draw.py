"""Random numbers that depend on integers alone, the same on every machine and device."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def generator(*key: int) -> Generator:
    """A CPU generator seeded by any number of integers; each different key gives an unrelated stream.

    Drawing on the CPU and moving the result keeps a scene the same on every device.
    """
    state = 0
    for part in key:
        # splitmix64: neighbouring seeds and indices must not give neighbouring generator states.
        state = (state + (part & _WORD) + 0x9E3779B97F4A7C15) & _WORD
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
        state ^= state >> 31
    return Generator().manual_seed(state)


def uniform(source: Generator, low: float, high: float) -> float:
    """One number in ``low..high``."""
    return low + (high - low) * torch.rand((), generator=source).item()


def integer(source: Generator, low: int, high: int) -> int:
    """One integer in ``low..high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=source).item())


def palette(source: Generator, count: int) -> Tensor:
    """``(count, 3)`` RGB colours, 0..255, spread in hue and in lightness."""
    hue = (torch.rand((), generator=source) + torch.rand(count, generator=source) * 0.6) % 1.0
    lightness = (torch.randperm(count, generator=source) + 0.5) / count * 185 + 35
    saturation = 0.25 + 0.6 * torch.rand(count, generator=source)
    wheel = torch.cos(2 * torch.pi * (hue[:, None] - torch.tensor([0.0, 1 / 3, 2 / 3])))
    return (lightness[:, None] * (1 + 0.75 * saturation[:, None] * wheel)).clamp(0, 255)


_WORD = (1 << 64) - 1
