"""What rules look at: labels of any length, a displacement in one frame pair or a track through a window."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from refine_motion.types import Evidence


class Label(Protocol):
    """Labels of one frame pair or window. Its parts are ``(N, ...)``, an entry for each label."""

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)`` of the frames in pixels."""
        ...

    @property
    def xy(self) -> Tensor:
        """``(N, 2)`` where each is in the first frame, in pixels."""
        ...

    @property
    def flow(self) -> Tensor:
        """``(N, 2)`` displacement from the first frame to the last, in pixels."""
        ...

    @property
    def evidence(self) -> Evidence:
        """Fields ``(N,)``."""
        ...

    @property
    def relative(self) -> Tensor:
        """``(N, 2)`` displacement less the dominant motion at its place, in pixels."""
        ...
