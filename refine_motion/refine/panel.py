"""Who decides on candidates: judges over both halves of what is held out, and what no candidate may make worse."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

import torch

from refine_motion.models.base import FlowModel, MotionModel
from refine_motion.models.pips import Pips
from refine_motion.refine.datamodule import VideoLabelDataModule
from refine_motion.refine.decision import LEAST_GAIN, LEAST_TRACK_GAIN, Guard
from refine_motion.refine.gain import Gain
from refine_motion.refine.holdout import Part
from refine_motion.refine.judge import Judge
from refine_motion.refine.judging import FlowJudge
from refine_motion.refine.speed_test import MADE, SpeedTest
from refine_motion.refine.track_datamodule import TrackDataModule
from refine_motion.refine.track_judging import TrackJudge
from refine_motion.refine.track_speed_test import TrackSpeedTest

# A model is run on about so many pixels of each half: two frames of 1080p, or eight of 384x512.
_PIXELS, _FEWEST, _MOST = 1_500_000, 2, 8
# Windows of tracks hold several frames each; more of them are needed, and each is cheap.
_FEWEST_WINDOWS, _MOST_WINDOWS = 4, 12
# A loss that is put up with, as a logarithm of errors. Made motion is not the domain's own, and a model that bends to
# the domain may lose a little of it.
_SPEED_LOSS = math.log(1.05)
# Where less than this share of what was learnt from moves faster than so many pixels, nothing tells how a model does at
# speed. Trained on flow up to 1 px, a model was 7 to 13 % worse at 20 px; a quarter of the way did no harm and kept
# about half of the gain. Tracks go on over several frames.
SLOW_FLOW, SLOW_TRACKS, LEAST_MOVING = 2.0, 0.5, 0.01
# Of tracks, no more than this share of the way to the trained weights is taken. On 48 clips of eight made domains, one
# training each, all of the way gave 2.7 points of delta_avg, three quarters 2.4 and half 2.2; but the worst clip lost
# 1.0 and 0.4, and half-way none did. Held-out labels do not tell: what harms a clip is as good as the rest on them.
LARGEST_TRACK_SHARE = 0.5

Model = TypeVar("Model", bound=MotionModel)


class Panel(ABC, Generic[Model]):
    """Compares models with the original.

    Args:
        model: the original; it is copied.
        iters: iterations of the models.
        device: where they run.

    Attributes:
        slow: of what was learnt from, in pixels: hardly anything may be slower for a candidate to be taken whole.
        least_gain: that a candidate has to show to be taken.
        pooled: whether it has to show it on both halves of what is held out together; else on each of them.
        largest: share of the way from the original to trained weights that a candidate may go at most.
    """

    slow: float
    least_gain: float
    pooled: bool
    largest: float

    def __init__(self, model: Model, iters: int, device: torch.device):
        self.iters, self.device = iters, device
        self.original: Model = copy.deepcopy(model).to(device).eval()

    @abstractmethod
    def judge(self, part: Part) -> Judge[Model]:
        """As many held-out items of a part as there is time for."""

    @abstractmethod
    def is_slow(self) -> bool:
        """Whether hardly anything that was learnt from is faster than :attr:`slow`."""

    @abstractmethod
    def speeds(self, model: Model) -> dict[float, Gain]:
        """Gain over the original on made motion, by its speed in pixels a frame."""

    def guards(self, model: Model) -> dict[str, Guard]:
        """What a candidate must not make worse besides what the judges see."""
        return {f"motion of {speed:g} px": Guard(change, _SPEED_LOSS) for speed, change in self.speeds(model).items()}


class FlowPanel(Panel[FlowModel]):
    """Judges models of flow; see :class:`Panel`.

    Args:
        model: see there.
        data: gives the held-out pairs.
        iters: see there.
        device: see there.
    """

    slow, least_gain, pooled, largest = SLOW_FLOW, LEAST_GAIN, False, 1.0

    def __init__(self, model: FlowModel, data: VideoLabelDataModule, iters: int, device: torch.device):
        super().__init__(model, iters, device)
        self.data = data
        self._test: SpeedTest | None = None

    def judge(self, part: Part) -> FlowJudge:
        """See :class:`Panel`."""
        first = self.data.held_out_samples(part, 1)
        pixels = first[0]["region"].numel() if len(first) else 1
        samples = self.data.held_out_samples(part, min(_MOST, max(_FEWEST, _PIXELS // pixels)))
        units = [f"{part} {window}" for window, _ in samples.samples]
        return FlowJudge(samples, units, self.original, self.iters, self.device)

    def is_slow(self) -> bool:
        """See :class:`Panel`."""
        return self.data.share_faster_than(self.slow) < LEAST_MOVING

    def speeds(self, model: FlowModel) -> dict[float, Gain]:
        """See :class:`Panel`."""
        if self._test is None:
            frames = [sample["image_a"] for sample in self.data.held_out_samples("decide", MADE)]
            self._test = SpeedTest(frames, self.original, self.iters, self.device)
        return self._test.gains(model)


class TrackPanel(Panel[Pips]):
    """Judges models of tracks; see :class:`Panel`.

    Args:
        model: see there.
        data: gives the held-out windows.
        iters: see there.
        device: see there.
    """

    # Of a few short videos a half is some three windows, and half-way hardly anything is chosen there.
    slow, least_gain, pooled, largest = SLOW_TRACKS, LEAST_TRACK_GAIN, True, LARGEST_TRACK_SHARE

    def __init__(self, model: Pips, data: TrackDataModule, iters: int, device: torch.device):
        super().__init__(model, iters, device)
        self.data = data
        self._test: TrackSpeedTest | None = None

    def _samples(self, part: Part, most: int) -> list[dict[str, Any]]:
        return list(self.data.held_out_samples(part, most))

    def judge(self, part: Part) -> TrackJudge:
        """See :class:`Panel`."""
        first = self._samples(part, 1)
        pixels = first[0]["frames"][:, 0].numel() if first else 1
        most = min(_MOST_WINDOWS, max(_FEWEST_WINDOWS, 4 * _PIXELS // pixels))
        return TrackJudge(self._samples(part, most), self.original, self.iters, self.device)

    def is_slow(self) -> bool:
        """See :class:`Panel`."""
        return self.data.share_faster_than(self.slow) < LEAST_MOVING

    def speeds(self, model: Pips) -> dict[float, Gain]:
        """See :class:`Panel`."""
        if self._test is None:
            frames = [sample["frames"][0] for sample in self._samples("decide", MADE)]
            self._test = TrackSpeedTest(frames, self.original, self.iters, self.device)
        return self._test.gains(model)
