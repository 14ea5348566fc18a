"""Clips of videos, sampled by time, as CorrFlow is trained on them (Lai and Xie, arXiv 1905.00875: 6 frames a second).

The published clips are cut once and for all, by numbers of frames; here they are a given time apart at any frame rate,
and begin at another frame each time they come.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from refine_motion.motion.grid import resize_frames
from refine_motion.training.stream import ENDLESS, sample_seed
from refine_motion.video.clips import Clip, begun_later
from refine_motion.video.reader import read_frames


class TrainingClips(Dataset[dict[str, Tensor]]):
    """Clips without end: every window once, in an order that is drawn anew each time around.

    Args:
        windows: of :func:`refine_motion.video.clips.whole_windows`, in order of time.
        size: ``(H, W)`` that frames are brought to, whatever their shape, as published.
        step_seconds: between frames of a window.
        seed: of order and starts.
        kept: numbers of windows that may not begin later, lest they run into what is held out.
    """

    def __init__(
        self,
        windows: Sequence[Clip],
        size: tuple[int, int],
        step_seconds: float,
        seed: int,
        kept: frozenset[int] = frozenset(),
    ):
        self.windows, self.size, self.step_seconds = list(windows), size, step_seconds
        self.seed, self.kept = seed, kept
        self._round, self._order = -1, torch.empty(0)

    def __len__(self) -> int:
        return ENDLESS

    def window(self, number: int) -> Clip:
        """The frames that sample ``number`` is made of."""
        around, place = divmod(number, len(self.windows))
        if around != self._round:
            generator = Generator().manual_seed(sample_seed(self.seed, around, "order"))
            self._round, self._order = around, torch.randperm(len(self.windows), generator=generator)
        chosen = int(self._order[place])
        if chosen in self.kept:
            return self.windows[chosen]
        generator = Generator().manual_seed(sample_seed(self.seed, number, "start"))
        share = torch.rand((), generator=generator, dtype=torch.float64).item()
        return begun_later(self.windows[chosen], share, self.step_seconds)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Sample ``number``: ``frames`` ``(T, 3, H, W)`` uint8, RGB.

        Raises:
            VideoError: the frames cannot be read.
        """
        return _read(self.window(number), self.size)


class HeldOutClips(Dataset[dict[str, Tensor]]):
    """Windows as they are, each once.

    Args:
        windows: any.
        size: ``(H, W)`` that frames are brought to.
    """

    def __init__(self, windows: Sequence[Clip], size: tuple[int, int]):
        self.windows, self.size = list(windows), size

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Window ``number``: ``frames`` ``(T, 3, H, W)`` uint8, RGB.

        Raises:
            IndexError: there is none.
            VideoError: the frames cannot be read.
        """
        return _read(self.windows[number], self.size)


def _read(window: Clip, size: tuple[int, int]) -> dict[str, Tensor]:
    return {"frames": resize_frames(read_frames(window.video, window.frames), size)}
