"""Labels carried by points that are tracked through the whole video."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.models.track_base import TrackModel
from refine_motion.motion.grid import pixel_grid
from refine_motion.motion.label_maps import to_cells, to_pixels
from refine_motion.propagation.settings import PropagationSettings
from refine_motion.types import Tracks

# Places that vote at a time, so that their distances to all points fit into memory.
_AT_ONCE = 1024
# Of a point that is exactly at a place, the distance in pixels: it outvotes all others.
_LEAST = 1e-4


class TrackMatcher:
    """Follows points, and for masks lets the points near a place vote on its label.

    For masks, points are a grid over the first frame, each with the mean label of the square around it. In every frame
    the nearest visible points vote at the places of that grid, each with the inverse of its distance, and the result is
    enlarged; where no point is visible, the hidden ones vote. Labels come after the last frame; the memory holds the
    tracks.

    Args:
        model: in eval mode.
        settings: those of a track model.
    """

    def __init__(self, model: TrackModel, settings: PropagationSettings):
        self.model, self.spacing, self.neighbours = model, settings.spacing, settings.neighbours
        self.min_side, self.min_frames = model.min_side, model.min_frames

    @property
    def about(self) -> str:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        return (
            f"{self.model.name}: points followed through the whole video; masks by a point every {self.spacing} px, "
            f"{self.neighbours} of which vote"
        )

    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`.

        Raises:
            VideoError: the video is too short for the model.
        """
        height, width = maps.shape[-2:]
        padded = F.pad(
            maps[None].float().cpu(), (0, -width % self.spacing, 0, -height % self.spacing), mode="replicate"
        )
        size = (padded.shape[-2], padded.shape[-1])
        rows, columns = (side // self.spacing for side in size)
        places = (pixel_grid(rows, columns) + 0.5) * self.spacing - 0.5
        places = places.flatten(1).T
        labels = to_cells(padded, (rows, columns), "area")[0].flatten(1)
        # The middle of a last square that is cut off may lie outside.
        tracks = self._follow(torch.minimum(places, torch.tensor([width - 1.0, height - 1.0])), frames)
        for xy, visible in zip(tracks.xy[1:], tracks.visible[1:], strict=True):
            voting = visible if visible.any() else torch.ones_like(visible)
            votes = _vote(places, xy[voting], labels[:, voting], self.neighbours)
            yield to_pixels(votes.view(1, -1, rows, columns), size)[0, :, :height, :width]

    def carry_points(self, points: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`.

        A point on the outer half of a pixel at the edge is moved to that pixel; there is no estimate of one that is
        further outside. Hidden points are where the model takes them to be.

        Raises:
            VideoError: the video is too short for the model.
        """
        first = next(frames)
        last = torch.tensor([first.shape[2] - 1.0, first.shape[1] - 1.0])
        xy = points.float().cpu()
        inside = ((xy >= -0.5) & (xy <= last + 0.5)).all(dim=1)
        found = torch.full((len(points), 2), torch.nan)
        if not inside.any():
            for _ in frames:
                yield found.clone()
            return
        tracks = self._follow(torch.minimum(xy[inside].clamp(min=0), last), chain([first], frames))
        for places in tracks.xy[1:]:
            found = found.clone()
            found[inside] = places
            yield found

    def _follow(self, xy: Tensor, frames: Iterator[Tensor]) -> Tracks:
        return self.model.follow(frames, torch.cat((torch.zeros(len(xy), 1), xy), dim=1), confidence=False)


def _vote(places: Tensor, points: Tensor, labels: Tensor, neighbours: int) -> Tensor:
    """Labels ``(L, M)`` of places ``(M, 2)``, given points ``(N, 2)`` and their labels ``(L, N)``."""
    found = []
    for some in places.split(_AT_ONCE):
        # By matrix products it would be off by a tenth of a pixel.
        distance = torch.cdist(some, points, compute_mode="donot_use_mm_for_euclid_dist")
        near, who = distance.topk(min(neighbours, len(points)), dim=1, largest=False)
        weight = 1 / near.clamp(min=_LEAST)
        weight = weight / weight.sum(dim=1, keepdim=True)
        found.append((labels[:, who] * weight).sum(dim=2))
    return torch.cat(found, dim=1)
