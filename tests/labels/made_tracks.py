"""Tracks made by hand, and track models that know where every point goes, for tests of pseudo-tracks."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from refine_motion.labels.track_codec import TrackLabel, mean_step
from refine_motion.models.pips_chain import ChainedModel, WindowPrediction
from refine_motion.models.track_base import TrackModel
from refine_motion.motion.grid import pixel_grid
from refine_motion.motion.on_demand import TargetPyramid
from refine_motion.types import Evidence, Tracks
from tests.labels.made import EVIDENCE

# What the models below are told, of points by their places in frame 0: places at a time, and whether they are seen.
Move = Callable[[Tensor, int], Tensor]
Seen = Callable[[Tensor, int], Tensor]


def made_tracks(
    places: Tensor,
    seen: Tensor | None = None,
    seen_back: Tensor | None = None,
    size: tuple[int, int] = (256, 448),
    motion: Tensor | None = None,
    **evidence: Tensor,
) -> TrackLabel:
    """A label of given places ``(S, N, 2)``, seen everywhere and without error unless told otherwise.

    Args:
        places: in pixels.
        seen: ``(S, N)`` bool.
        seen_back: ``(S, N)`` bool.
        size: ``(H, W)``.
        motion: the dominant motion, where it is not to be fitted.
        **evidence: fields that are not zero; both speeds are that of the places when not given.
    """
    ones = torch.ones(places.shape[:2], dtype=torch.bool)
    speed = mean_step(places)
    fields = dict.fromkeys(EVIDENCE, torch.zeros(places.shape[1]))
    fields |= {"speed": speed, "backward_speed": speed} | evidence
    return TrackLabel(
        size,
        places,
        ones if seen is None else seen,
        ones if seen_back is None else seen_back,
        Evidence(**fields),
        motion,
    )


def straight(steps: Tensor, frames: int = 8, start: Tensor | None = None) -> Tensor:
    """Places ``(S, N, 2)`` of points that go by ``steps (N, 2)`` from each frame to the next."""
    start = torch.zeros_like(steps) if start is None else start
    return start + torch.arange(frames).view(-1, 1, 1) * steps


def ramps(frames: int = 8, size: tuple[int, int] = (64, 96)) -> Tensor:
    """Frames ``(S, 3, H, W)`` uint8 off which the models below read their time, and in which view they are shown."""
    shown = pixel_grid(*size).expand(frames, 2, *size)
    time = torch.arange(frames).view(-1, 1, 1, 1).expand(frames, 1, *size)
    return torch.cat((time, shown), dim=1).to(torch.uint8)


def always(places: Tensor, time: int) -> Tensor:
    """Seen at all times."""
    return torch.ones(len(places), dtype=torch.bool)


class _Told(nn.Module):
    """What both models do: lead points of one shown frame to others.

    Args:
        move: where points are; the place in frame 0 must be found by going back from there again and again.
        seen: where they are seen.
        strayed: added to places on the way back, by places in frame 0 and time.
        seen_back: where they are seen on the way back, if not as on the way there.
    """

    def __init__(self, move: Move, seen: Seen = always, strayed: Move | None = None, seen_back: Seen | None = None):
        super().__init__()
        self.move, self.seen, self.strayed = move, seen, strayed
        self.seen_back = seen if seen_back is None else seen_back
        self.parameter = nn.Parameter(torch.zeros(1))
        # Of each call.
        self.asked: list[Tensor] = []

    def lead(self, frames: Tensor, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Places ``(S, N, 2)`` and whether they are seen ``(S, N)`` of shown points ``xy`` of the first frame."""
        self.asked.append(xy)
        times = [round(frame[0].mean().item()) for frame in frames]
        factor, offset = _shown(frames[0])
        here = xy * factor + offset
        origin = here
        for _ in range(30):
            origin = origin - (self.move(origin, times[0]) - here)
        back = times[-1] < times[0]
        places, seen = [], []
        for number, time in enumerate(times):
            place = self.move(origin, time)
            if back and self.strayed is not None and number:
                place = place + self.strayed(origin, time)
            places.append((place - offset) / factor)
            seen.append((self.seen_back if back else self.seen)(origin, time))
        return torch.stack((xy, *places[1:])), torch.stack(seen)


def _shown(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Factor and offset ``(2,)`` by which shown coordinates of a frame of :func:`ramps` are those of the frame."""
    _, x, y = frame.double()
    height, width = x.shape
    across = (x[height // 2, -5] - x[height // 2, 4]) / (width - 9)
    down = (y[-5, width // 2] - y[4, width // 2]) / (height - 9)
    factor = torch.stack((across, down))
    return factor.float(), torch.stack((x[height // 2, 4] - 4 * across, y[4, width // 2] - 4 * down)).float()


class ToldWindows(_Told, ChainedModel):
    """A model of windows that is told where points go; see :class:`_Told`."""

    name, stride, min_side, min_frames, channels, chunk = "told", 1, 16, 8, 3, 5

    def encode(self, frames: Tensor) -> Tensor:
        return frames.float()

    def pyramid(self, maps: Tensor) -> TargetPyramid:
        return TargetPyramid(maps.flatten(0, 1), 1)

    def predict(
        self,
        maps: Tensor,
        xy: Tensor,
        iters: int,
        features: Tensor | None = None,
        *,
        pyramid: TargetPyramid | None = None,
    ) -> WindowPrediction:
        assert pyramid is not None
        # The pyramid is of the same frames in the same order.
        assert torch.equal(pyramid.targets[0][:, :-1].transpose(1, 2), maps[0].flatten(2))
        places, seen = self.lead(maps[0], xy[0])
        return WindowPrediction([places[None]], 16.0 * seen[None] - 8, xy, [])


class ToldTracks(_Told, TrackModel):
    """Any other track model that is told where points go; see :class:`_Told`."""

    name, stride, min_side, min_frames = "told tracks", 1, 24, 1

    def begin(self, queries: Tensor, confidence: bool = True) -> _Following:
        return _Following(self, queries)


class _Following:
    def __init__(self, model: ToldTracks, queries: Tensor):
        self.model, self.queries = model, queries
        self.frames: list[Tensor] = []

    def add(self, frame: Tensor) -> None:
        self.frames.append(frame.float())

    def finish(self) -> Tracks:
        frames = torch.stack(self.frames)
        xy = torch.full((len(frames), len(self.queries), 2), torch.nan)
        # Before its query, a point may be said to be seen or not.
        visible = torch.ones(len(frames), len(self.queries), dtype=torch.bool)
        for number, (begin, *place) in enumerate(self.queries.tolist()):
            places, seen = self.model.lead(frames[int(begin) :], torch.tensor([place]))
            xy[int(begin) :, number], visible[int(begin) :, number] = places[:, 0], seen[:, 0]
        return Tracks(xy, visible)
