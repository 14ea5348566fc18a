"""Points followed by an optical-flow model: flows over several distances in time, linked where they are verified.

Flow from one frame to the next drifts, and flow over a long time loses what changes its look. So every frame is reached
over several distances at once, and now and then from the frame of the query itself; of the ways whose forward and
backward flow agree, the one with the smallest error so far is taken, and where none does, the smallest of all: a point
that is hidden stays near where it was last seen, and is found again. The idea is that of MFT
(Neoral, Serych, Matas, WACV 2024, arXiv 2305.12998), with the cycle error in the place of its learnt uncertainty, so
that any flow model will do.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.models.track_base import Following, Recorder, TrackModel
from refine_motion.motion.confidence import confidence
from refine_motion.motion.cycle import cycle_threshold
from refine_motion.motion.grid import sample
from refine_motion.types import Tracks

# A way is verified by the unsquared rule of arXiv 2401.00850 with UnFlow's constants, five times its own.
_ALPHA, _BETA = 0.01, 0.5
# Every so many frames a point is linked to the frame of its query. That is a matter of each point's own time, so no
# track depends on the other points; and a frame costs an eighth of a flow for every frame that has queries.
_RETURN = 8


@dataclass(frozen=True)
class _Past:
    """A frame gone by.

    Attributes:
        features: of the frame.
        xy: ``(N, 2)`` where the points were.
        known: ``(N,)`` bool: those that can be linked from here.
        error: ``(N,)`` accumulated cycle error.
    """

    features: FrameFeatures
    xy: Tensor
    known: Tensor
    error: Tensor


class LinkedFlow(TrackModel):
    """A track model made of a flow model.

    Args:
        flow: the model, in eval mode.
        distances: frames over which flow is computed, besides that from the frame of the query; 1 must be among them.
        iters: iterations of the flow model.

    Raises:
        ConfigError: a distance of 1 is missing, or one is below it.
    """

    min_frames = 1

    def __init__(self, flow: FlowModel, distances: tuple[int, ...] = (1, 2, 4, 8), iters: int = 12):
        super().__init__()
        if 1 not in distances or min(distances) < 1:
            raise ConfigError(f"distances of linked flow must be at least 1, and 1 among them, got {list(distances)}")
        self.flow, self.distances, self.iters = flow, tuple(sorted(set(distances))), iters
        self.name = f"linked {flow.name}"
        self.stride, self.min_side = flow.stride, flow.min_side

    def begin(self, queries: Tensor, confidence: bool = True) -> Following:
        """See :meth:`TrackModel.begin`; what is seen is told from the cycle error, so confidence costs nothing."""
        return _Links(self, queries)


class _Links:
    """State between frames."""

    def __init__(self, model: LinkedFlow, queries: Tensor):
        self.model = model
        self.device = next(model.parameters()).device
        self.record = Recorder(queries)
        self.asked = queries[:, 0].long().cpu()
        self.query = queries[:, 1:].float().cpu()
        self.verified = torch.zeros(len(queries))
        self.past: deque[_Past] = deque(maxlen=max(model.distances))
        # Frames of queries, by number, each with the points that are asked for in it.
        self.origins: dict[int, _Past] = {}

    def add(self, frame: Tensor) -> None:
        """Lead all points on to this frame."""
        number = len(self.record)
        self.record.add_frame()
        features = self.model.flow.encode(frame[None].to(self.device))
        count = len(self.asked)
        best = _Best(count)
        for distance in self.model.distances:
            if distance <= len(self.past):
                best.take(self._link(self.past[-distance], features))
        for begin, origin in self.origins.items():
            elapsed = number - begin
            if elapsed % _RETURN == 0 and elapsed not in self.model.distances:
                best.take(self._link(origin, features))
        new = self.asked == number
        xy = torch.where(new[:, None], self.query, best.xy)
        visible, error = best.visible | new, torch.where(new, 0.0, best.error)
        begun = self.asked <= number
        self.verified += visible & begun & ~new
        points = torch.nonzero(begun)[:, 0]
        trust = confidence(error, self.verified, number - self.asked)
        self.record.note(
            number,
            points,
            xy=xy[points],
            visible=visible[points],
            confidence=trust[points],
            cycle_error=torch.where(new, 0.0, best.step)[points],
        )
        here = _Past(features, xy, visible & begun, error)
        self.past.append(here)
        if new.any():
            self.origins[number] = _Past(features, xy, new, torch.zeros(count))

    def _link(self, source: _Past, target: FrameFeatures) -> _Link:
        """All points carried from one frame to another."""
        forward, backward = self.model.flow.match_both(source.features, target, self.model.iters)
        start = source.xy.nan_to_num().T[None, :, None].to(forward)
        there = sample(forward, start, "border")
        end = start + there
        back = sample(backward, end, "border")
        error = torch.hypot(*(there + back)[0])[0]
        speed, speed_back = (torch.hypot(*vectors[0])[0] for vectors in (there, back))
        height, width = forward.shape[-2:]
        x, y = end[0, :, 0]
        inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        agree = inside & (error <= cycle_threshold(speed, speed_back, _ALPHA, _BETA))
        step = error.cpu()
        return _Link(end[0, :, 0].T.cpu(), agree.cpu() & source.known, step, torch.hypot(source.error, step))

    def finish(self) -> Tracks:
        """Everything."""
        count = len(self.record)
        if not count:
            raise VideoError("a video without frames cannot be tracked")
        if (self.asked >= count).any():
            frame = int(self.asked.max())
            raise ConfigError(f"a point is asked for in frame {frame}, but the video has frames 0 to {count - 1}")
        return self.record.tracks()


@dataclass(frozen=True)
class _Link:
    """Where points are by one flow.

    Attributes:
        xy: ``(N, 2)``.
        agree: ``(N,)`` bool: known at the start, and verified by the way back.
        step: ``(N,)`` cycle error.
        error: ``(N,)`` with all errors before it.
    """

    xy: Tensor
    agree: Tensor
    step: Tensor
    error: Tensor


class _Best:
    """The best link to one frame so far, of each point."""

    def __init__(self, count: int):
        self.xy = torch.full((count, 2), torch.nan)
        self.visible = torch.zeros(count, dtype=torch.bool)
        self.step, self.error = torch.zeros(count), torch.full((count,), torch.inf)

    def take(self, link: _Link) -> None:
        """Take a link where it is the first that is verified, or better among its like."""
        better = (link.agree & ~self.visible) | ((link.agree == self.visible) & (link.error < self.error))
        self.xy = torch.where(better[:, None], link.xy, self.xy)
        self.step, self.error = torch.where(better, link.step, self.step), torch.where(better, link.error, self.error)
        self.visible = self.visible | link.agree
