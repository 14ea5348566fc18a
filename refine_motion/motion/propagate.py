"""Labels of the first frame carried through a video, whatever it is that tells where they go.

A matcher is what differs: features compared between frames, optical flow, tracks, or nothing at all (see
:mod:`refine_motion.propagation`). What goes in and what comes out is the same, so that all can be scored alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

from torch import Tensor


class Matcher(Protocol):
    """Carries labels from the first frame of a video to all others.

    Both methods take the frames in order, the first included, each ``(3, H, W)`` RGB, uint8 or float in 0..255, and
    look at each once. They yield on a device of their own choice.

    Attributes:
        min_side: smallest side of the frames in pixels that it can take.
        min_frames: shortest video that it can take.
    """

    min_side: int
    min_frames: int

    @property
    def about(self) -> str:
        """What it is and every setting that changes what it says, in one line, for results."""
        ...

    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """The label maps of every frame after the first, as of :func:`propagate`."""
        ...

    def carry_points(self, points: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """The points of every frame after the first, as of :func:`propagate`."""
        ...


def propagate(matcher: Matcher, first_labels: Tensor, video: Iterable[Tensor]) -> Iterator[Tensor]:
    """Carry labels through a video.

    The frames are read once, in order. Where the matcher can, labels come as soon as their frame is there, and the
    memory does not grow with the length of the video; a matcher of tracks speaks after the last frame.

    Args:
        matcher: what tells where labels go.
        first_labels: of the first frame. Either label maps ``(L, H, W)`` float, one for each label, the background
            included, that sum to 1 at every pixel; or points ``(N, 2)`` float x, y in pixels, integers at pixel
            centres.
        video: frames ``(3, H, W)`` RGB, uint8 or float in 0..255.

    Yields:
        The labels of every frame, of the same kind and shape; first those that were given. Maps keep summing to 1.
        Points are not a number in frames where there is no estimate.

    Raises:
        ValueError: the labels are of neither kind, or the frames are not all of one size, that of the label maps.
    """
    masks = first_labels.ndim == 3
    if not first_labels.is_floating_point() or not (masks or (first_labels.ndim == 2 and first_labels.shape[1] == 2)):
        raise ValueError(
            "labels must be float maps (L, H, W) or points (N, 2), got "
            f"{tuple(first_labels.shape)} {first_labels.dtype}"
        )
    frames = _of_one_size(video)
    first = next(frames, None)
    if first is None:
        return
    if masks and first_labels.shape[1:] != first.shape[1:]:
        raise ValueError(f"label maps are {tuple(first_labels.shape)}, but the frames {tuple(first.shape)}")
    yield first_labels
    carry = matcher.carry_maps if masks else matcher.carry_points
    yield from carry(first_labels, chain([first], frames))


def _of_one_size(video: Iterable[Tensor]) -> Iterator[Tensor]:
    shape = None
    for number, frame in enumerate(video):
        shape = shape or frame.shape
        if frame.ndim != 3 or frame.shape[0] != 3 or frame.shape != shape:
            raise ValueError(f"frame {number} is {tuple(frame.shape)}; it must be (3, H, W), and all of one size")
        yield frame
