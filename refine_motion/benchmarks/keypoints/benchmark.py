"""The contract of a benchmark of joints."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from refine_motion.benchmarks.pictures import read_images


@dataclass(frozen=True)
class KeypointClip:
    """A clip with true joints.

    Attributes:
        name: of the clip, and of its file of predictions.
        images: the frames, in order.
        xy: ``(T, J, 2)`` float64 true places x, y in pixels, integers at pixel centres; T is the number of ``images``.
    """

    name: str
    images: Sequence[Path]
    xy: Tensor

    def frames(self) -> Iterator[Tensor]:
        """The frames in order: ``(3, H, W)`` uint8 RGB.

        Raises:
            BenchmarkError: one is damaged or of another size than the first.
        """
        return read_images(self.images)


class KeypointBenchmark(ABC):
    """Clips with true joints; the arguments of a subclass are the keys of ``data`` in YAML.

    Args:
        root: folder of the benchmark in its official layout.

    Attributes:
        joints: names of the joints, in order.
    """

    joints: tuple[str, ...]

    def __init__(self, root: str | None = None):
        self.root = root

    @property
    @abstractmethod
    def title(self) -> str:
        """What is scored and by which protocol, in one line."""

    @abstractmethod
    def clips(self) -> Iterable[KeypointClip]:
        """The clips, one after the other; no picture is decoded yet.

        Raises:
            BenchmarkError: there are none, or a file is missing or damaged.
        """
