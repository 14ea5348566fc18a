"""Frames of videos that labels speak of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from refine_motion.errors import BenchmarkError


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
