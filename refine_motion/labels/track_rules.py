"""Rules for pseudo-tracks; those of :mod:`refine_motion.labels.select` and `balance` that look at evidence serve too.

Pixels are those of a stated frame size and grow with the root of the frame's area, so that one configuration fits
videos of any size.
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.clusters import APART_PIXELS
from refine_motion.labels.label import Label
from refine_motion.labels.select import LabelRule
from refine_motion.labels.track_codec import TrackLabel

# The threshold of arXiv 2401.00850 for Horse-30, and the frames in whose pixels it is.
PAPER_PIXELS, PAPER_SIZE = 3.0, (256, 448)
# The frames in whose pixels a track has to move against the dominant motion by more than APART_PIXELS in a window to
# count as moving by itself. Recipes were measured at this size.
APART_SIZE = (192, 256)


def pixels_at(pixels: float, at: tuple[int, int], size: tuple[int, int]) -> float:
    """A length in pixels of frames of one size ``(H, W)``, in those of another: by the root of their areas."""
    return pixels * math.sqrt(size[0] * size[1] / (at[0] * at[1]))


def apart_pixels(size: tuple[int, int]) -> float:
    """By how much a track has to move against the dominant motion to move by itself, in pixels of frames ``(H, W)``."""
    return pixels_at(APART_PIXELS, APART_SIZE, size)


class TrackRule(LabelRule):
    """A rule that keeps or drops whole tracks."""

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`.

        Raises:
            ConfigError: the labels are not tracks.
        """
        if not isinstance(label, TrackLabel):
            raise ConfigError(f"{type(self).__name__} is a rule for tracks; these are labels of flow")
        return torch.where(self.keep(label), weight, 0.0)

    @abstractmethod
    def keep(self, label: TrackLabel) -> Tensor:
        """``(N,)`` bool.

        Args:
            label: of one window.
        """


class AllFrames(TrackRule):
    """The ways there and back less than so many pixels apart in all known frames (arXiv 2401.00850).

    The published code counts every frame, hidden ones too: ``label.follow_hidden`` makes all of them known.

    Args:
        pixels: of frames of the size ``at``: 3 at 256x448 for Horse-30, 1.5 at 768x1280 for CroHD.
        at: ``(H, W)``.
    """

    def __init__(self, pixels: float = PAPER_PIXELS, at: tuple[int, int] = PAPER_SIZE):
        if pixels <= 0 or min(at) < 1:
            raise ConfigError(f"AllFrames: pixels and at must be positive, got {pixels} and {list(at)}")
        self.pixels, self.at = pixels, (at[0], at[1])

    @property
    def looseness(self) -> float:
        """How many times the paper's threshold for Horse-30 this one is."""
        return pixels_at(self.pixels, self.at, PAPER_SIZE) / PAPER_PIXELS

    def keep(self, label: TrackLabel) -> Tensor:
        """See :class:`TrackRule`."""
        return label.evidence.cycle_error < pixels_at(self.pixels, self.at, label.size)


class VisibilityAgreement(TrackRule):
    """Tracks on whose visibility the ways there and back agree, in at least a share of the frames.

    Args:
        share: in (0, 1].
    """

    def __init__(self, share: float = 1.0):
        if not 0 < share <= 1:
            raise ConfigError(f"VisibilityAgreement: share must be in (0, 1], got {share}")
        self.share = share

    def keep(self, label: TrackLabel) -> Tensor:
        """See :class:`TrackRule`."""
        return (label.seen == label.seen_back).float().mean(dim=0) >= self.share


class MinTrackSpeed(TrackRule):
    """Tracks that move faster than so many pixels a frame on average: the paper's re-balance.

    Args:
        pixels: of frames of the size ``at``; 5 at 256x448 as published.
        at: ``(H, W)``.
        official: divide the way by the number of frames, as the published code does, and not by that of the steps.
    """

    def __init__(self, pixels: float = 5.0, at: tuple[int, int] = PAPER_SIZE, official: bool = True):
        if pixels < 0 or min(at) < 1:
            raise ConfigError(f"MinTrackSpeed: pixels must not be negative and at positive, got {pixels}, {list(at)}")
        self.pixels, self.at, self.official = pixels, (at[0], at[1]), official

    def keep(self, label: TrackLabel) -> Tensor:
        """See :class:`TrackRule`."""
        frames = len(label.places)
        speed = label.evidence.speed * ((frames - 1) / frames if self.official else 1)
        return speed > pixels_at(self.pixels, self.at, label.size)


class LeastKnown(TrackRule):
    """Tracks that are known in at least so many frames after the first.

    Args:
        frames: at least 1.
    """

    def __init__(self, frames: int = 3):
        if frames < 1:
            raise ConfigError(f"LeastKnown: frames must be at least 1, got {frames}")
        self.frames = frames

    def keep(self, label: TrackLabel) -> Tensor:
        """See :class:`TrackRule`."""
        return label.known[1:].sum(dim=0) >= self.frames
