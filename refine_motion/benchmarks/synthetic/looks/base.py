"""What every look has in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor


class Look(Protocol):
    """A change of the picture that leaves the motion of the scene where it is.

    A look depends on its parameters and the frame number alone: the same frame looks the same in any process, and on
    any device up to rounding.
    """

    def __call__(self, image: Tensor, depth: Tensor, t: int) -> Tensor:
        """The picture of frame ``t``.

        Args:
            image: ``(3, H, W)`` float32 RGB grey levels, about 0..255 and not necessarily clipped; left as it is.
            depth: ``(H, W)`` float32 distance in multiples of that of the nearest object, 1 or more.
            t: frame number.

        Returns:
            ``(3, H, W)`` float32 grey levels, which may leave 0..255 a little; on the device of ``image``.
        """
        ...


def apply(looks: Iterable[Look], image: Tensor, depth: Tensor, t: int) -> Tensor:
    """``looks`` one after another, from the scene to the viewer; see :class:`Look`."""
    for look in looks:
        image = look(image, depth, t)
    return image
