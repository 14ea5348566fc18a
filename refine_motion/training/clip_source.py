"""Clips to learn from without labels: of videos, or of anything else that makes them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor
from torch.utils.data import Dataset


class ClipSource(ABC):
    """Makes clips by their number, the same on every process, without end.

    ``refine_motion.benchmarks.source_domain`` has one of procedural scenes.
    """

    @abstractmethod
    def training(self, frames: int, size: tuple[int, int], seed: int) -> Dataset[dict[str, Tensor]]:
        """Clips to learn from.

        Args:
            frames: T of each.
            size: ``(H, W)`` in pixels.
            seed: another one makes others, or another order.

        Returns:
            Item n is ``{"frames": (T, 3, H, W) uint8 RGB}``.
        """

    @abstractmethod
    def held_out(self, frames: int, size: tuple[int, int], count: int) -> Dataset[dict[str, Tensor]]:
        """Clips that no training sees, whatever its seed; at most ``count``."""

    def settings(self) -> dict[str, object]:
        """What the clips depend on besides what is asked for, as JSON can hold it."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}
