"""Whole videos by a model that sees a window: chained where a point is seen, as in PIPs' ``chain_demo.py``."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.models.track_base import Following, Recorder, TrackModel
from refine_motion.motion.confidence import confidence
from refine_motion.motion.on_demand import TargetPyramid
from refine_motion.types import Tracks

# A window is left at its last frame in which the point is seen with this probability, or else with so much less, and so
# on; never before its third frame.
_SEEN, _LESS, _EARLIEST = 0.9, 0.02, 2
# A point counts as seen from this probability.
_VISIBLE = 0.5
# A step is verified where the ways there and back are at most so many pixels apart in all its frames: the threshold of
# arXiv 2401.00850 at 256x448.
_VERIFIED = 3.0


@dataclass(frozen=True)
class WindowPrediction:
    """Points in a window of S frames.

    Attributes:
        coords: places ``(B, S, N, 2)`` in pixels after each iteration.
        visibility: logits ``(B, S, N)``.
        features: ``(B, N, C)`` of the points, from which they can be followed in another window.
        score_maps: ``(B, S, N, h, w)`` before each iteration, where they were asked for.
    """

    coords: list[Tensor]
    visibility: Tensor
    features: Tensor
    score_maps: list[Tensor]


class ChainedModel(TrackModel):
    """A track model that sees windows of ``min_frames`` frames.

    A window begins where a point is, with the features that the point had in its first one. The next begins at the
    latest frame in which the point is surely seen, so each point has windows of its own; those that begin in one frame
    are treated together. Where confidence is wanted, every step is then repeated backward in time on the same features
    of the frames, from where it ended: how far apart the two ways are is the cycle error.

    Attributes:
        channels: C, of the features.
        iters: refinement iterations of :meth:`follow`.
        chunk: points that :meth:`follow` treats at a time.
    """

    channels: int
    iters: int = 6
    chunk: int = 512

    @abstractmethod
    def encode(self, frames: Tensor) -> Tensor:
        """Features ``(N, C, h, w)`` of frames ``(N, 3, H, W)``."""

    @abstractmethod
    def pyramid(self, maps: Tensor) -> TargetPyramid:
        """What a window ``(B, S, C, h, w)`` of features is looked up in."""

    @abstractmethod
    def predict(
        self,
        maps: Tensor,
        xy: Tensor,
        iters: int,
        features: Tensor | None = None,
        *,
        pyramid: TargetPyramid | None = None,
    ) -> WindowPrediction:
        """Points from ``xy (B, N, 2)`` in the first frame of a window ``(B, S, C, h, w)`` through all its frames."""

    def begin(self, queries: Tensor, confidence: bool = True) -> Following:
        """See :meth:`TrackModel.begin`."""
        return _Chain(self, queries, confidence)


@dataclass(frozen=True)
class _Window:
    """Frames of one window.

    Attributes:
        maps: ``(1, S, C, h, w)``.
        pyramid: of them.
    """

    maps: Tensor
    pyramid: TargetPyramid


class _Chain:
    """State between frames: the maps of one window, and where every point's next window begins."""

    def __init__(self, model: ChainedModel, queries: Tensor, confidence: bool):
        self.model, self.length, self.confidence = model, model.min_frames, confidence
        self.device = next(model.parameters()).device
        self.record = Recorder(queries)
        count = len(queries)
        # Of each point: squares of cycle errors, frames since its query, those that verified steps led to, and whether
        # all steps were verified so far.
        self.squares, self.frames, self.verified = torch.zeros(3, count)
        self.unbroken = torch.ones(count, dtype=torch.bool)
        self.begin = queries[:, 0].long().cpu()
        self.xy = queries[:, 1:].float().cpu().clone()
        self.features = torch.zeros(count, model.channels)
        self.known = torch.zeros(count, dtype=torch.bool)
        self.maps: deque[Tensor] = deque(maxlen=self.length)

    def add(self, frame: Tensor) -> None:
        """Take in a frame; a window that is now complete is treated."""
        self.record.add_frame()
        self.maps.append(self.model.encode(frame[None].to(self.device))[0])
        if len(self.maps) == self.length:
            self._window(len(self.record) - self.length)

    def finish(self) -> Tracks:
        """What remains, with the last frame repeated where a window goes beyond it."""
        count = len(self.record)
        if count < self.length:
            raise VideoError(
                f"a video of {count} frames is too short for {self.model.name}, which looks at {self.length} at a time"
            )
        late = self.begin >= count
        if (late & ~self.known).any():
            frame = int(self.record.queries[late & ~self.known][0, 0])
            raise ConfigError(f"a point is asked for in frame {frame}, but the video has frames 0 to {count - 1}")
        for begin in range(count - self.length + 1, count):
            self.maps.append(self.maps[-1])
            self._window(begin)
        tracks = self.record.tracks()
        return tracks if self.confidence else Tracks(tracks.xy, tracks.visible)

    def _window(self, begin: int) -> None:
        """Lead on all points whose window begins in this frame."""
        here = self.begin == begin
        if not here.any():
            return
        maps = torch.stack(list(self.maps))[None]
        window = _Window(maps, self.model.pyramid(maps))
        # Those that are new in this frame have no features yet.
        for group in (here & ~self.known, here & self.known):
            for points in torch.nonzero(group)[:, 0].split(self.model.chunk):
                if len(points):
                    self._lead(points, begin, window)

    def _lead(self, points: Tensor, begin: int, window: _Window) -> None:
        new = not self.known[points[0]]
        start = self.xy[points][None].to(self.device)
        features = None if new else self.features[points][None].to(self.device)
        found = self.model.predict(window.maps, start, self.model.iters, features, pyramid=window.pyramid)
        if new:
            self.features[points], self.known[points] = found.features[0].cpu(), True
        places, seen = found.coords[-1][0].float().cpu(), found.visibility[0].float().sigmoid().cpu()
        steps = next_window(seen)
        for offset in range(self.length):
            self.record.note(begin + offset, points, xy=places[offset], visible=seen[offset] > _VISIBLE)
        if self.confidence:
            self._note_confidence(points, begin, steps, places, window)
        self.xy[points] = places[steps, torch.arange(len(points))]
        self.begin[points] = begin + steps

    def _note_confidence(self, points: Tensor, begin: int, steps: Tensor, places: Tensor, window: _Window) -> None:
        # Beyond the end of the video the last frame is repeated: a step may lead there, but nothing counts there.
        real = steps.clamp(max=len(self.record) - 1 - begin)
        errors = self._verify(window, places, real)
        before = self._confidence(points)
        self._account(points, errors, real)
        after = self._confidence(points)
        for offset in range(self.length):
            within = offset <= steps
            sure = before if offset == 0 else torch.where(within, after, 0.0)
            self.record.note(begin + offset, points, confidence=sure)
            if offset:
                self.record.note(begin + offset, points, cycle_error=errors)

    def _account(self, points: Tensor, errors: Tensor, steps: Tensor) -> None:
        """Add a step of some points."""
        self.squares[points] += errors.square()
        self.frames[points] += steps
        self.unbroken[points] &= errors <= _VERIFIED
        self.verified[points] += self.unbroken[points] * steps

    def _confidence(self, points: Tensor) -> Tensor:
        return confidence(self.squares[points].sqrt(), self.verified[points], self.frames[points])

    def _verify(self, window: _Window, places: Tensor, steps: Tensor) -> Tensor:
        """Largest distance ``(K,)`` between the way there and the way back, over the frames of each point's step."""
        errors = torch.empty(places.shape[1])
        for step in steps.unique().tolist():
            chosen = torch.nonzero(steps == step)[:, 0]
            # From the end of the step to its start, which is repeated to fill the window.
            back = torch.arange(step, step - self.length, -1).clamp(min=0)
            end = places[step, chosen][None].to(self.device)
            maps, pyramid = window.maps[:, back], window.pyramid[back.to(self.device)]
            found = self.model.predict(maps, end, self.model.iters, pyramid=pyramid)
            ways = found.coords[-1][0].float().cpu()[: step + 1].flip(0) - places[: step + 1, chosen]
            errors[chosen] = ways.norm(dim=-1).amax(dim=0)
        return errors.nan_to_num(nan=torch.inf)


def next_window(seen: Tensor) -> Tensor:
    """Where the window after this one begins.

    Args:
        seen: ``(S, N)`` probability that each point is seen.

    Returns:
        ``(N,)`` offsets from the start of this window, 2 to S - 1: the latest frame in which the point is seen with a
        probability above 0.9; where there is none, above 0.88, and so on.
    """
    # What is not a number is not seen, and must not be searched for without end.
    seen = seen.nan_to_num()
    threshold, step = _SEEN, torch.zeros(seen.shape[1], dtype=torch.long)
    while not step.all():
        surely = seen[_EARLIEST:] > threshold
        offset = torch.arange(_EARLIEST, len(seen))[:, None] * surely
        step = torch.where(step == 0, offset.amax(dim=0), step)
        threshold -= _LESS
    return step
