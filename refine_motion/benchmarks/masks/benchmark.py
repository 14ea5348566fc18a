"""The contract of a benchmark of masks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.benchmarks.pictures import read_images
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.functional.masks import VOID
from refine_motion.video.palette import read_mask


@dataclass(frozen=True)
class MaskSequence:
    """A video with true masks.

    Attributes:
        name: of the sequence, and of its folder of predictions.
        images: the frames, in order.
        annotations: the true mask of each frame; test sets have that of the first alone.
        single: all numbers are one object, 1 (DAVIS 2016).
    """

    name: str
    images: Sequence[Path]
    annotations: Sequence[Path]
    single: bool = False

    @property
    def scored(self) -> range:
        """Numbers of the frames that count: all but the first and the last."""
        return range(1, len(self.images) - 1)

    def frames(self) -> Iterator[Tensor]:
        """The frames in order: ``(3, H, W)`` uint8 RGB.

        Raises:
            BenchmarkError: one is damaged or of another size than the first.
        """
        return read_images(self.images)

    def truth(self, number: int, size: tuple[int, int] | None = None, with_void: bool = False) -> Tensor:
        """The true mask of a frame.

        Args:
            number: of the frame, from 0.
            size: ``(H, W)`` that it has to have.
            with_void: leave void, of which nobody says what it is, at 255.

        Returns:
            ``(H, W)`` uint8 ids of objects; the background is 0, and so is void unless it is asked for.

        Raises:
            BenchmarkError: it is missing, damaged or of another size.
        """
        file = self.annotations[number]
        if not file.is_file():
            raise BenchmarkError(
                f"{file}: missing, so {self.name} cannot be scored; complete the masks, or take a split that has all "
                "of them (the test sets have the first alone)"
            )
        ids = read_mask(file, size)
        void = ids == VOID
        truth = self.joined(torch.where(void, 0, ids))
        return torch.where(void, VOID, truth) if with_void else truth

    def joined(self, ids: Tensor) -> Tensor:
        """Ids as they are scored: all objects in one where that is the protocol."""
        return (ids > 0).to(torch.uint8) if self.single else ids

    def object_name(self, number: int) -> str:
        """Of an object, from 1, in tables."""
        return self.name if self.single else f"{self.name}_{number}"


class MaskBenchmark(ABC):
    """Videos with true masks; the arguments of a subclass are the keys of ``data`` in YAML.

    Args:
        root: folder of the benchmark in its official layout.
    """

    def __init__(self, root: str | None = None):
        self.root = root

    @property
    @abstractmethod
    def title(self) -> str:
        """What is scored and by which protocol, in one line."""

    @abstractmethod
    def sequences(self) -> Iterable[MaskSequence]:
        """The sequences, one after the other; nothing is decoded yet.

        Raises:
            BenchmarkError: there are none, or one is missing.
        """
