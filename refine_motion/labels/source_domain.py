"""Examples with true flow from the domain that a model was trained on, replayed so that it is not forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class SourceDomain(ABC):
    """A numbered collection of frame pairs with true flow, the same on every process.

    ``refine_motion.benchmarks.source_domain`` has two: any folder with truth, and procedural pairs.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    def scene(self, number: int) -> str:
        """Name of what an example shares its looks with; those of one scene are held out together."""
        return str(number)

    @abstractmethod
    def example(self, number: int) -> dict[str, Tensor]:
        """One example, whole.

        Returns:
            ``image_a``, ``image_b`` ``(3, H, W)`` uint8, ``flow (2, H, W)`` in pixels, ``valid (1, H, W)`` bool.
        """
