"""Frames too large to be looked at whole: overlapping tiles, and one map made of theirs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

# Share of its side that a tile has in common with the next one. In the outer thirds of what they share only one of them
# counts, so that what moves by less than a third stays inside every tile that has a say about it.
_SHARED = 3 / 8


@dataclass(frozen=True)
class Tiles:
    """Equal tiles that cover a frame; neighbours overlap, and no point lies in more than two of a row or a column.

    Attributes:
        size: ``(H, W)`` of the frame in pixels.
        side: ``(h, w)`` of every tile in pixels.
        tops: first row of each row of tiles.
        lefts: first column of each column of tiles.
    """

    size: tuple[int, int]
    side: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def reach(self) -> int:
        """Motion of up to so many pixels does not leave a tile where it counts; the longer side where there is one."""
        shared = [
            first + side - second
            for starts, side in ((self.tops, self.side[0]), (self.lefts, self.side[1]))
            for first, second in pairwise(starts)
        ]
        return min(shared) // 3 if shared else max(self.size)

    def cut(self, maps: Tensor) -> list[Tensor]:
        """The tiles ``(..., h, w)`` of maps ``(..., H, W)``, row by row."""
        height, width = self.side
        return [maps[..., top : top + height, left : left + width] for top in self.tops for left in self.lefts]

    def join(self, tiles: list[Tensor]) -> Tensor:
        """Maps ``(..., H, W)`` of tiles ``(..., h, w)`` in the order of :meth:`cut`, blended linearly."""
        joined = tiles[0].new_zeros(*tiles[0].shape[:-2], *self.size)
        vertical, horizontal = (
            [weight.to(joined) for weight in _weights(starts, side)]
            for starts, side in ((self.tops, self.side[0]), (self.lefts, self.side[1]))
        )
        weights = [rows[:, None] * columns for rows in vertical for columns in horizontal]
        for place, tile, weight in zip(self.cut(joined), tiles, weights, strict=True):
            place += weight * tile
        return joined


def plan_tiles(size: tuple[int, int], max_pixels: int) -> Tiles:
    """As few tiles as are needed, so that none has more pixels than allowed.

    Args:
        size: ``(H, W)`` of the frame in pixels.
        max_pixels: of a tile, at least 1.
    """
    counts = [1, 1]
    while True:
        side = [math.ceil(length / (n - (n - 1) * _SHARED)) for length, n in zip(size, counts, strict=True)]
        if math.prod(side) <= max_pixels:
            break
        counts[0 if side[0] >= side[1] else 1] += 1
    tops, lefts = (
        tuple(round(number * (length - s) / max(n - 1, 1)) for number in range(n))
        for length, s, n in zip(size, side, counts, strict=True)
    )
    return Tiles(size, (side[0], side[1]), tops, lefts)


def _weights(starts: tuple[int, ...], side: int) -> list[Tensor]:
    """Weight ``(side,)`` of each tile of a row at its own pixels; those of a place sum to 1."""
    weights = [torch.ones(side, dtype=torch.float64) for _ in starts]
    for number, (first, second) in enumerate(pairwise(starts)):
        shared = first + side - second
        rise = ((torch.arange(shared, dtype=torch.float64) + 0.5) / shared * 3 - 1).clamp(0, 1)
        weights[number + 1][:shared] *= rise
        weights[number][side - shared :] *= 1 - rise
    return weights
