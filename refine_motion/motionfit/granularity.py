"""Which label a clip of a student gets: that of the cell of time it lies in.

The teacher labels cells, at several strides: one is ``length`` frames, every ``stride``-th. The cells of a stride share
out a video between them, so every clip that is drawn from it lies in exactly one. That time counts at several grains is
the paper's (Gavrilyuk et al., ICCV 2021, arXiv 2105.01646, abstract), how it does is a choice of this project.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from refine_motion.errors import ConfigError


class Cell(NamedTuple):
    """What is labelled.

    Attributes:
        video: its key.
        start: number of the cell's first frame, from which the teacher's clip is taken.
        stride: frames from one of the clip to the next.
    """

    video: str
    start: int
    stride: int


@dataclass(frozen=True)
class Granularity:
    """The cells of videos.

    Attributes:
        length: frames of a teacher's clip.
        strides: in frames, each once.
    """

    length: int = 16
    strides: Sequence[int] = (1, 2, 4)

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the length or a stride is below 1, or a stride is there twice or none at all.
        """
        if self.length < 1:
            raise ConfigError(f"granularity.length must be at least 1 frame, got {self.length}")
        if not self.strides or min(self.strides) < 1 or len(set(self.strides)) != len(self.strides):
            raise ConfigError(f"granularity.strides must be different numbers from 1, got {list(self.strides)}")

    def cells(self, video: str, frames: int) -> list[Cell]:
        """The cells of a video, by stride and time.

        One begins every ``length * stride`` frames as long as that many are left; the last has what remains. Where
        the clip of one cell fits and no second does, there is one. A video without room for a clip has no cell of the
        stride.

        Args:
            video: its key.
            frames: how many it has.
        """
        return [
            Cell(video, number * self.length * stride, stride)
            for stride in self.strides
            for number in range(self._count(frames, stride))
        ]

    def cell_of(self, video: str, frames: int, start: int, stride: int, length: int) -> Cell:
        """The cell whose label a clip gets: the one with the clip's middle.

        Of a clip no longer than the teacher's, none holds more; of two that hold equally much it is the later one.

        Args:
            video: its key.
            frames: how many it has.
            start: number of the clip's first frame.
            stride: of the clip, one of :attr:`strides`.
            length: frames of the clip; it may be another than the teacher's.

        Raises:
            ValueError: the clip is not within the video, or there is no cell of the stride.
        """
        if length < 1 or start < 0 or start + (length - 1) * stride >= frames:
            raise ValueError(f"{video}: {length} frames from {start}, every {stride}., are not within its {frames}")
        count = self._count(frames, stride) if stride in self.strides else 0
        if not count:
            raise ValueError(f"{video}: no cell of {self.length} frames has stride {stride} in its {frames}")
        # In half frames, so that the middle is a whole number. Each frame of the clip stands for those up to the next.
        number = (2 * start + length * stride) // (2 * self.length * stride)
        return Cell(video, min(number, count - 1) * self.length * stride, stride)

    def starts_in(self, cell: Cell, frames: int, length: int) -> range:
        """Where clips begin that get the label of a cell; see :meth:`cell_of`, of which it is the inverse.

        Args:
            cell: of :meth:`cells` of the video.
            frames: how many the video has.
            length: frames of the clips, of the cell's stride.

        Returns:
            Numbers of frames; none where clips so long have their middle in other cells alone.
        """
        span = self.length * cell.stride
        number, half = cell.start // span, length * cell.stride
        # Twice the middle of a clip from `start` is 2 start + half; the cell has those from 2 number span on.
        first = max(0, -((half - 2 * number * span) // 2))
        last = frames - 1 - (length - 1) * cell.stride
        if number + 1 < self._count(frames, cell.stride):
            last = min(last, (2 * (number + 1) * span - half + 1) // 2 - 1)
        return range(first, max(first, last + 1))

    def _count(self, frames: int, stride: int) -> int:
        if frames <= (self.length - 1) * stride:
            return 0
        return max(1, frames // (self.length * stride))
