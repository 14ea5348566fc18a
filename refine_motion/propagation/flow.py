"""Labels carried by optical flow, from each frame to the next."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.motion.grid import sample, warp
from refine_motion.propagation.settings import PropagationSettings


class FlowMatcher:
    """Warps label maps by the flow from each frame back to the one before, and moves points by the flow onwards.

    Maps stay soft, at every pixel, and are read bilinearly; what comes from outside the picture gets the label of the
    pixel at its edge. Each frame is encoded once.

    Args:
        model: in eval mode.
        settings: those of a flow model.
    """

    min_frames = 1

    def __init__(self, model: FlowModel, settings: PropagationSettings):
        self.model, self.iters = model, settings.iters
        self.min_side = model.min_side

    @property
    def about(self) -> str:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        return f"{self.model.name}: flow to the frame before, {self.iters} iterations, soft labels"

    @torch.no_grad()
    def carry_maps(self, maps: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`."""
        maps = maps[None].to(self._device, torch.float32)
        for before, here in self._pairs(frames):
            maps = warp(maps, self.model.match(here, before, self.iters)[-1], "border")
            yield maps[0]

    @torch.no_grad()
    def carry_points(self, points: Tensor, frames: Iterator[Tensor]) -> Iterator[Tensor]:
        """See :class:`refine_motion.motion.propagate.Matcher`; outside the picture, the flow at its edge is taken."""
        xy = points.to(self._device, torch.float32).T[None, :, None]
        for before, here in self._pairs(frames):
            xy = xy + sample(self.model.match(before, here, self.iters)[-1], xy, "border")
            yield xy[0, :, 0].T

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device

    def _pairs(self, frames: Iterator[Tensor]) -> Iterator[tuple[FrameFeatures, FrameFeatures]]:
        """Features of each frame but the last, with those of the next."""
        before: FrameFeatures | None = None
        for frame in frames:
            here = self.model.encode(frame[None].to(self._device))
            if before is not None:
                yield before, here
            before = here
