"""A track model that looks at the frames of a window under a view: points led there, and back from where they ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from refine_motion.labels.remembered_flow import RememberedFlow
from refine_motion.labels.track_views import TrackView
from refine_motion.labels.views import View
from refine_motion.models.linked_flow import LinkedFlow
from refine_motion.models.pips_chain import ChainedModel
from refine_motion.models.track_base import TrackModel

# A point counts as seen from this probability.
_VISIBLE = 0.5


@dataclass(frozen=True)
class Ways:
    """Points there and back through a window of S frames, in pixels of the frames as they are.

    Attributes:
        places: ``(S, N, 2)`` by the way there.
        seen: ``(S, N)`` bool.
        back: ``(S, N, 2)`` by the way back, in the order of the frames; that of ``places`` beyond :attr:`ends`.
        seen_back: ``(S, N)`` bool, true in the first frame, false beyond them.
        ends: ``(N,)`` frame in which each way back began.
    """

    places: Tensor
    seen: Tensor
    back: Tensor
    seen_back: Tensor
    ends: Tensor

    @property
    def cycle(self) -> Tensor:
        """``(S, N)`` distance between the ways in pixels, zero from where the way back began."""
        return (self.places - self.back).norm(dim=-1)

    def reversed(self) -> Ways:
        """The way back as the way there, and the other as the way back."""
        # The point was asked for where it was asked for.
        places, back = torch.cat((self.places[:1], self.back[1:])), torch.cat((self.back[:1], self.places[1:]))
        return Ways(places, self.seen_back, back, self.seen, self.ends)


class TrackLook(ABC):
    """One model and view on one window.

    Args:
        frames: ``(S, 3, H, W)`` uint8.
        view: how they are shown.
    """

    def __init__(self, frames: Tensor, view: View):
        self.view = view
        self.size = (frames.shape[-2], frames.shape[-1])
        self.shown_size = view.size(self.size)
        self.frames = view.show(frames)

    @torch.no_grad()
    def ways(self, xy: Tensor, follow_hidden: bool) -> Ways:
        """Lead points there and back.

        Args:
            xy: ``(N, 2)`` in the first frame.
            follow_hidden: begin every way back in the last frame, as published, and take all frames for seen; else in
                the last frame in which the way there sees the point.
        """
        there, seen = self._there(self._shown(xy))
        seen[0] = True
        if follow_hidden:
            seen = torch.ones_like(seen)
        time = torch.arange(len(seen))[:, None]
        ends = torch.where(seen, time, 0).amax(dim=0)
        back, seen_back = self._back(there, ends)
        if follow_hidden:
            seen_back = torch.ones_like(seen_back)
        seen_back[ends, torch.arange(len(ends))] = True
        # There the point is seen for certain, so a way back that ends elsewhere must count whatever it sees.
        seen_back[0] = True
        beyond = time > ends
        back = torch.where(beyond[..., None], there, back)
        places, back = self._undone(there), self._undone(back)
        # Shown places are rounded; the point was asked for where it was asked for.
        return Ways(torch.cat((xy[None], places[1:])), seen, back, seen_back & ~beyond, ends)

    @abstractmethod
    def _there(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        """Places ``(S, N, 2)`` and whether they are seen ``(S, N)``, on the CPU, of shown points of the first frame."""

    @abstractmethod
    def _back(self, places: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """The same of the ways back from ``places`` in the frames ``ends``; anything beyond these."""

    def _shown(self, xy: Tensor) -> Tensor:
        scale = self._scale()
        shown = (xy + 0.5) * scale - 0.5
        return torch.stack((self.shown_size[1] - 1 - shown[..., 0], shown[..., 1]), -1) if self.view.flip else shown

    def _undone(self, xy: Tensor) -> Tensor:
        if self.view.flip:
            xy = torch.stack((self.shown_size[1] - 1 - xy[..., 0], xy[..., 1]), dim=-1)
        return (xy + 0.5) / self._scale() - 0.5

    def _scale(self) -> Tensor:
        return torch.tensor([self.shown_size[1] / self.size[1], self.shown_size[0] / self.size[0]])


class WindowLook(TrackLook):
    """A model of windows; every frame is encoded once, for all points and both directions.

    Args:
        model: in eval mode; its windows are as long as the frames are many.
        frames: see :class:`TrackLook`.
        view: how they are shown and gone through.
    """

    def __init__(self, model: ChainedModel, frames: Tensor, view: TrackView):
        super().__init__(frames, view.view)
        self.model, self.iters, self.reversed = model, view.iters, view.reversed
        # Frames from the first of a sub-window to its last.
        self.reach = len(frames) - 1 if view.frames is None else view.frames - 1
        self.device = next(model.parameters()).device
        with torch.no_grad():
            self.maps = torch.cat([model.encode(frame[None].to(self.device)) for frame in self.frames])[None]
            self.pyramid = model.pyramid(self.maps)

    def ways(self, xy: Tensor, follow_hidden: bool) -> Ways:
        """See :meth:`TrackLook.ways`."""
        found = super().ways(xy, follow_hidden)
        return found.reversed() if self.reversed else found

    def _there(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        order = torch.arange(self.maps.shape[1])
        return self._predict(xy, order)

    def _back(self, places: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        back, seen = places.clone(), torch.zeros(places.shape[:2], dtype=torch.bool)
        last = len(places) - 1
        for end in ends.unique().tolist():
            chosen = torch.nonzero(ends == end)[:, 0]
            # The first frame is repeated where the way is shorter than a window.
            order = torch.arange(end, end - last - 1, -1).clamp(min=0)
            found, visible = self._predict(places[end, chosen], order)
            back[: end + 1, chosen] = found[: end + 1].flip(0)
            seen[: end + 1, chosen] = visible[: end + 1].flip(0)
        return back, seen

    def _predict(self, xy: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        parts = [self._lead(part, order) for part in xy.split(self.model.chunk)]
        places, seen = zip(*parts, strict=True)
        return torch.cat(places, dim=1), torch.cat(seen, dim=1)

    def _lead(self, xy: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Through the frames of an order, with the features that the points have in its first one."""
        places, seen, features = list[Tensor](), list[Tensor](), None
        last = len(order) - 1
        for first in range(0, last, self.reach):
            end = min(first + self.reach, last)
            # The last frame is repeated where a sub-window is shorter than a window.
            frames = order[torch.arange(first, first + last + 1).clamp(max=end)]
            start = (places[-1][-1] if places else xy)[None].to(self.device)
            pyramid = self.pyramid[frames.to(self.device)]
            found = self.model.predict(self.maps[:, frames], start, self.iters, features, pyramid=pyramid)
            features = found.features
            new = slice(1 if first else 0, end - first + 1)
            places.append(found.coords[-1][0, new].float().cpu())
            seen.append(found.visibility[0, new].float().sigmoid().cpu() > _VISIBLE)
        return torch.cat(places), torch.cat(seen)


class TrackerLook(TrackLook):
    """Any other track model, which sees the frames and the reversed frames as two videos.

    Args:
        model: in eval mode.
        frames: see :class:`TrackLook`.
        view: see :class:`TrackLook`.
        times: ``(S,)`` which of the frames are those of the window, the first and the last among them; the others are
            looked at on the way. None is all of them.
    """

    def __init__(self, model: TrackModel, frames: Tensor, view: View, times: Tensor | None = None):
        super().__init__(frames, view)
        self.times = torch.arange(len(frames)) if times is None else times
        if isinstance(model, LinkedFlow):
            # All ways through the window link the same pairs of frames.
            model = LinkedFlow(RememberedFlow(model.flow), model.distances, model.iters)
        self.model = model

    def _there(self, xy: Tensor) -> tuple[Tensor, Tensor]:
        asked = torch.cat((torch.zeros(len(xy), 1), self._inside(xy)), dim=1)
        found = self.model.track(self.frames, asked, confidence=False)
        return found.xy[self.times], found.visible[self.times]

    def _back(self, places: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        last = len(self.frames) - 1
        # Led back from the border, a place outside does not come back.
        asked = self._inside(places[ends, torch.arange(len(ends))])
        asked_in = (last - self.times[ends])[:, None].float()
        found = self.model.track(self.frames.flip(0), torch.cat((asked_in, asked), dim=1), confidence=False)
        return found.xy.flip(0)[self.times], found.visible.flip(0)[self.times]

    def _inside(self, xy: Tensor) -> Tensor:
        """The nearest places that can be asked for: between the centres of the outermost pixels."""
        last = torch.tensor([self.shown_size[1] - 1, self.shown_size[0] - 1])
        return torch.minimum(xy.nan_to_num().clamp(min=0), last)
