"""Matchers as benchmarks and commands use them: masks of numbered objects, and points, through all frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.grid import resize_frames, resize_places
from refine_motion.motion.label_maps import one_hot
from refine_motion.motion.propagate import Matcher, propagate


class MaskPropagation:
    """A predictor of masks.

    Args:
        matcher: what carries labels.

    Attributes:
        about: see :class:`refine_motion.motion.propagate.Matcher`.
    """

    def __init__(self, matcher: Matcher):
        self.matcher, self.about = matcher, matcher.about

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """The mask of every frame: at each pixel the label with the largest share.

        Args:
            first: ``(H, W)`` uint8 numbers of the objects in the first frame, 0 for the background; any numbers.
            frames: see :func:`refine_motion.motion.propagate.propagate`.

        Yields:
            ``(H, W)`` uint8, on the CPU, with the same numbers.
        """
        numbers = torch.cat((torch.zeros(1, dtype=first.dtype), first.cpu().flatten())).unique()
        maps = one_hot(torch.searchsorted(numbers, first.cpu())[None], len(numbers))[0]
        for labels in propagate(self.matcher, maps, frames):
            yield numbers[labels.argmax(dim=0).cpu()]


class PointPropagation:
    """A predictor of points.

    Args:
        matcher: what carries labels.
        side: frames are brought to so many pixels on each side, whatever their shape, and places back again; the
            published protocol of JHMDB has 320. None keeps their own size.

    Attributes:
        about: see :class:`refine_motion.motion.propagate.Matcher`; with the size of the frames.

    Raises:
        ConfigError: frames of that size are too small for the matcher.
    """

    def __init__(self, matcher: Matcher, side: int | None = None):
        if side is not None and side < matcher.min_side:
            raise ConfigError(f"side {side}: the model needs frames of at least {matcher.min_side} px on each side")
        self.matcher, self.side = matcher, side
        self.about = f"{matcher.about}, frames of {'their own size' if side is None else f'{side} x {side} px'}"

    def __call__(self, first: Tensor, frames: Iterable[Tensor]) -> Tensor:
        """The points of every frame.

        Args:
            first: ``(N, 2)`` x, y in pixels.
            frames: see :func:`refine_motion.motion.propagate.propagate`, at least one.

        Returns:
            ``(T, N, 2)`` float64, on the CPU; (-1, -1) where there is no estimate.
        """
        stream = iter(frames)
        start = next(stream)
        own = (start.shape[1], start.shape[2])
        size = own if self.side is None else (self.side, self.side)
        shown = (resize_frames(frame[None], size)[0] for frame in chain([start], stream))
        carried = propagate(self.matcher, resize_places(first.double(), own, size), shown)
        found = torch.stack([resize_places(points.cpu().double(), size, own) for points in carried])
        return found.nan_to_num(nan=-1.0)
