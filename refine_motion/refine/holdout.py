"""What is kept from training to judge by: windows of frames, or blocks of the picture where there are few windows.

Of windows that overlap see :mod:`refine_motion.refine.holdout_spans`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor

Window = TypeVar("Window")
Part = Literal["choose", "decide"]
PARTS: tuple[Part, Part] = ("choose", "decide")
# With fewer windows blocks are held out, since the few windows differ too much to stand for one another.
LEAST_WINDOWS = 8
_CELLS, _LEAST_CELLS, _LEAST_SIDE = 5, 3, 64
# What lies this close to the edge of a block is too much like what was trained on; at most an eighth of its side.
_MARGIN = 8


@dataclass(frozen=True)
class Blocks:
    """Blocks spread over the frame, the same in every frame of one size, of which every other one is each part's.

    They have about a fifth of the frame's sides, or 64 pixels where that is more and leaves three of them on a side.

    Attributes:
        share: of the frame's area, about; there are at least two blocks.
        seed: which ones.
    """

    share: float
    seed: int

    def training(self, size: tuple[int, int]) -> Tensor:
        """``(H, W)`` bool, false in all blocks of a frame of that size: where training may look."""
        mask = torch.ones(size, dtype=torch.bool)
        for top, bottom, left, right in _blocks(size, self.share, self.seed):
            mask[top:bottom, left:right] = False
        return mask

    def judged(self, size: tuple[int, int], parts: Sequence[Part] = PARTS) -> Tensor:
        """``(H, W)`` bool, true in the blocks of some parts, less a margin: where a model is judged."""
        mask = torch.zeros(size, dtype=torch.bool)
        for number, (top, bottom, left, right) in enumerate(_blocks(size, self.share, self.seed)):
            if PARTS[number % 2] in parts:
                margin = min(_MARGIN, (bottom - top) // 8, (right - left) // 8)
                mask[top + margin : bottom - margin, left + margin : right - margin] = True
        return mask


@dataclass(frozen=True)
class HeldOut(Generic[Window]):
    """Which windows to train on, and which to judge by.

    Attributes:
        training: windows to train on.
        halves: windows to choose by and windows to decide by, empty where nothing is held out.
        blocks: parts of every frame that are held out instead of whole windows; all lists are the same windows then.
    """

    training: list[Window]
    halves: tuple[list[Window], list[Window]]
    blocks: Blocks | None = None

    @property
    def windows(self) -> list[Window]:
        """All that are judged."""
        return self.halves[0] if self.blocks else [*self.halves[0], *self.halves[1]]

    @property
    def used(self) -> list[Window]:
        """All that serve for something."""
        return self.training if self.blocks else [*self.training, *self.windows]

    def part(self, part: Part) -> list[Window]:
        """The windows of one part."""
        return self.halves[PARTS.index(part)]

    def only(self, left: Callable[[Window], Window | None]) -> HeldOut[Window]:
        """The same of what is left of each window, if anything is."""
        training, choose, decide = (
            [found for window in part if (found := left(window)) is not None] for part in (self.training, *self.halves)
        )
        return HeldOut(training, (choose, decide), self.blocks)


def hold_out(windows: Sequence[Window], share: float, seed: int) -> HeldOut[Window]:
    """Windows spread evenly, at least two; where there are fewer than eight, twice the share of the frame in blocks.

    For windows that have no pair of frames in common. They are in turn to choose by and to decide by.

    Args:
        windows: all of them.
        share: share of the windows, in [0, 0.5]; 0 holds nothing out.
        seed: of the choice of blocks.
    """
    if share == 0:
        return HeldOut(list(windows), ([], []))
    if len(windows) < LEAST_WINDOWS:
        return in_blocks(windows, share, seed)
    count = max(2, round(share * len(windows)))
    numbers = [(2 * number + 1) * len(windows) // (2 * count) for number in range(count)]
    held = [windows[number] for number in numbers]
    taken = set(numbers)
    return HeldOut([window for n, window in enumerate(windows) if n not in taken], (held[::2], held[1::2]))


def in_blocks(windows: Sequence[Window], share: float, seed: int) -> HeldOut[Window]:
    """All windows to train on and to judge by, and twice the share of every frame to judge by alone.

    Args:
        windows: all of them.
        share: above 0.
        seed: which blocks.
    """
    every = list(windows)
    return HeldOut(every, (every, every), Blocks(min(0.5, 2 * share), seed))


def _blocks(size: tuple[int, int], share: float, seed: int) -> list[tuple[int, int, int, int]]:
    """Top, bottom, left and right of each block."""
    rows, columns = (max(_LEAST_CELLS, min(_CELLS, side // _LEAST_SIDE)) for side in size)
    period = max(2, round(1 / share))
    while True:
        # A lattice: like a checkerboard for one block in two, a knight's moves for one in five.
        slope = next(n for n in range(max(1, round(0.38 * period)), period + 1) if math.gcd(n, period) == 1)
        cells = [(r, c) for r in range(rows) for c in range(columns) if (slope * r + c + seed) % period == 0]
        if len(cells) >= 2:
            break
        period -= 1
    return [
        (r * size[0] // rows, (r + 1) * size[0] // rows, c * size[1] // columns, (c + 1) * size[1] // columns)
        for r, c in cells
    ]
