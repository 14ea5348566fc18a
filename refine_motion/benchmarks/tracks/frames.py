"""Frames of videos that labels speak of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from refine_motion.errors import BenchmarkError

# A hand may set a point a little beyond the picture; so much of a side, and the labels are of frames of another size.
_BEYOND = 0.25


def check_places(xy: Tensor, size: tuple[int, int], source: str) -> None:
    """Refuse labels of frames of another size.

    Args:
        xy: ``(..., 2)`` places that are marked; what is not a number is not.
        size: ``(H, W)`` of the frames.
        source: the file, for the message.

    Raises:
        BenchmarkError: a place lies a quarter of a side beyond the frame.
    """
    height, width = size
    beyond = (xy < xy.new_tensor([width, height]) * -_BEYOND) | (xy > xy.new_tensor([width, height]) * (1 + _BEYOND))
    far = xy[beyond.any(dim=-1)]
    if len(far):
        raise BenchmarkError(
            f"{source}: a point at x {far[0, 0]:g}, y {far[0, 1]:g}, but the frames have {width} x {height} pixels; "
            "get labels and frames from one release"
        )


def existing_frames(paths: Iterable[Path], reason: str) -> list[Path]:
    """The paths themselves, when all are there.

    The first that is missing ends it, so labels of a frame of any number, however wrong, cost no more than there are
    files.

    Args:
        paths: of the frames, in order; may be made one after the other.
        reason: why they are needed and what to do, for the message.

    Raises:
        BenchmarkError: one is missing.
    """
    found = []
    for path in paths:
        # Unlike pathlib's, this one also says no to a name that is too long.
        if not os.path.isfile(path):
            raise BenchmarkError(f"{path}: missing, but {reason}")
        found.append(path)
    return found
