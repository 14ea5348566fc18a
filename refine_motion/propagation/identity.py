"""The least that carrying labels must be better than."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor


class IdentityMatcher:
    """Keeps the labels of the first frame where they are."""

    about = "identity: the labels of the first frame, kept where they are"
    min_side = 1
    min_frames = 1

    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        next(frames)
        for _ in frames:
            yield maps

    # Points stay as maps do.
    carry_points = carry_maps
