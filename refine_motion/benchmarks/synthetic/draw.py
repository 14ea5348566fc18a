"""Random numbers that depend on integers alone, the same on every machine and device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Generator

_T = TypeVar("_T")
_WORD = (1 << 64) - 1


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


def choice(source: Generator, weights: Mapping[_T, float]) -> _T:
    """One of the keys, each with a chance in proportion to its weight."""
    names = list(weights)
    place = torch.multinomial(torch.tensor([float(weights[name]) for name in names]), 1, generator=source)
    return names[int(place.item())]
