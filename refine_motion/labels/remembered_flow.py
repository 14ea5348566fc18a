"""Flow of the pairs of one window, each computed once, whatever way through the window asks for it."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from refine_motion.models.base import FlowModel, FrameFeatures


class RememberedFlow(FlowModel):
    """A flow model that keeps what it has found of the frames of a window.

    Points are led through a window there and back, first a few and then more; all of these ways link the same pairs of
    frames.

    Args:
        flow: the model; it belongs to the teacher.
    """

    def __init__(self, flow: FlowModel):
        super().__init__()
        # In a tuple, so that its parameters are registered once.
        self._flow = (flow,)
        # The device is asked of the parameters.
        self.device_of = next(flow.parameters())
        self.name, self.stride, self.min_side = flow.name, flow.stride, flow.min_side
        self._features: dict[bytes, FrameFeatures] = {}
        self._pairs: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}

    def encode(self, frames: Tensor) -> FrameFeatures:
        """See :class:`FlowModel`; of one frame at a time."""
        key = hashlib.sha256(frames.cpu().contiguous().numpy().tobytes()).digest()
        if key not in self._features:
            self._features[key] = self._flow[0].encode(frames)
        return self._features[key]

    def match_both(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, tolerance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """See :class:`FlowModel`; features are those that :meth:`encode` gave."""
        a, b = id(features_a), id(features_b)
        if (a, b, iters) not in self._pairs:
            forward, backward = self._flow[0].match_both(features_a, features_b, iters, tolerance)
            self._pairs[a, b, iters], self._pairs[b, a, iters] = (forward, backward), (backward, forward)
        return self._pairs[a, b, iters]

    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        """See :class:`FlowModel`; not remembered."""
        return self._flow[0].match(features_a, features_b, iters, init)

    @torch.no_grad()
    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        """See :class:`FlowModel`; not remembered."""
        return self._flow[0].flow(a, b, iters)
