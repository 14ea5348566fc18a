"""RAFT, small and large (Teed and Deng, ECCV 2020, arXiv 2003.12039), equal to the official outputs.

Parameters carry the official names, so that official checkpoints load without a map. Frame features are computed once
per frame, and both directions of a pair share one correlation volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.base import FlowModel, FrameFeatures, Padder, check_frames, resize_flow
from refine_motion.models.raft_layers import (
    BottleneckBlock,
    ConvGRU,
    Encoder,
    FlowHead,
    MotionEncoder,
    ResidualBlock,
    SepConvGRU,
)
from refine_motion.motion.correlation import CorrelationPyramid, all_pairs
from refine_motion.motion.grid import pixel_grid


@dataclass(frozen=True)
class RaftConfig:
    """What distinguishes the two published sizes."""

    block: type[ResidualBlock] | type[BottleneckBlock]
    widths: tuple[int, int, int]
    matching: int
    hidden: int
    context: int
    context_norm: str
    radius: int
    correlation_widths: tuple[int, ...]
    flow_widths: tuple[int, int]
    motion: int
    gru: type[ConvGRU] | type[SepConvGRU]
    head: int
    convex_upsampling: bool


SMALL = RaftConfig(
    block=BottleneckBlock,
    widths=(32, 64, 96),
    matching=128,
    hidden=96,
    context=64,
    context_norm="none",
    radius=3,
    correlation_widths=(96,),
    flow_widths=(64, 32),
    motion=82,
    gru=ConvGRU,
    head=128,
    convex_upsampling=False,
)
LARGE = RaftConfig(
    block=ResidualBlock,
    widths=(64, 96, 128),
    matching=256,
    hidden=128,
    context=128,
    context_norm="batch",
    radius=4,
    correlation_widths=(256, 192),
    flow_widths=(128, 64),
    motion=128,
    gru=SepConvGRU,
    head=256,
    convex_upsampling=True,
)

LEVELS = 4


class UpdateBlock(nn.Module):
    """One refinement iteration: look-up and flow in, new hidden state and change of flow out."""

    def __init__(self, config: RaftConfig):
        super().__init__()
        lookup = LEVELS * (2 * config.radius + 1) ** 2
        self.encoder = MotionEncoder(lookup, config.correlation_widths, config.flow_widths, config.motion)
        self.gru = config.gru(config.hidden, config.context + config.motion)
        self.flow_head = FlowHead(config.hidden, config.head)
        if config.convex_upsampling:
            self.mask = nn.Sequential(
                nn.Conv2d(config.hidden, 256, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(256, 64 * 9, 1)
            )

    def forward(self, h: Tensor, context: Tensor, correlation: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden state ``(N, hidden, h, w)`` and change of flow ``(N, 2, h, w)`` in cells."""
        motion = self.encoder(flow, correlation)
        h = self.gru(h, torch.cat((context, motion), dim=1))
        return h, self.flow_head(h)


class Raft(FlowModel):
    """RAFT of either size.

    Args:
        name: the name in the registry.
        config: :data:`SMALL` or :data:`LARGE`.
    """

    stride = 8
    # The coarsest of the four levels needs at least one cell: 8 pixels a cell, halved three times.
    min_side = 57

    def __init__(self, name: str, config: RaftConfig):
        super().__init__()
        self.name = name
        self.config = config
        self.fnet = Encoder(config.block, config.widths, config.matching, "instance")
        self.cnet = Encoder(config.block, config.widths, config.hidden + config.context, config.context_norm)
        self.update_block = UpdateBlock(config)

    def encode(self, frames: Tensor) -> FrameFeatures:
        """See :meth:`FlowModel.encode`."""
        check_frames(frames, self.min_side)
        size = (frames.shape[-2], frames.shape[-1])
        padded = Padder(*size, self.stride).pad(2 * (frames.float() / 255) - 1)
        return FrameFeatures(self.fnet(padded), self.cnet(padded), size)

    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        """See :meth:`FlowModel.match`."""
        return self._refine(features_a, self._volume(features_a, features_b), iters, init, every=True)

    def match_both(self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int) -> tuple[Tensor, Tensor]:
        """See :meth:`FlowModel.match_both`: the reverse volume is the transpose of the forward one."""
        volume = self._volume(features_a, features_b)
        forward = self._refine(features_a, volume, iters, None, every=False)[-1]
        backward = self._refine(features_b, volume.transpose(1, 2), iters, None, every=False)[-1]
        return forward, backward

    @torch.no_grad()
    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        """See :meth:`FlowModel.flow`."""
        features = self.encode(torch.cat((a, b)))
        features_a, features_b = features[: a.shape[0]], features[a.shape[0] :]
        return self._refine(features_a, self._volume(features_a, features_b), iters, None, every=False)[-1]

    @staticmethod
    def _volume(features_a: FrameFeatures, features_b: FrameFeatures) -> Tensor:
        with torch.autocast(features_a.matching.device.type, enabled=False):
            return all_pairs(features_a.matching.float(), features_b.matching.float())

    def _refine(
        self, source: FrameFeatures, volume: Tensor, iters: int, init: Tensor | None, every: bool
    ) -> list[Tensor]:
        """Full-resolution flow after every iteration, or after the last one only."""
        if iters < 1:
            raise ValueError(f"iters must be at least 1, got {iters}")
        height, width = source.matching.shape[-2:]
        padder = Padder(*source.size, self.stride)
        hidden, context = source.context.split((self.config.hidden, self.config.context), dim=1)
        hidden, context = hidden.tanh(), context.relu()
        pyramid = CorrelationPyramid(volume, (height, width), LEVELS, self.config.radius)
        start = pixel_grid(height, width, device=volume.device).expand(volume.shape[0], -1, -1, -1)
        coords = start if init is None else start + resize_flow(padder.pad(init.float()), (height, width))

        flows = []
        for iteration in range(iters):
            # Each iteration learns from its own correction only, as published.
            coords = coords.detach()
            # Positions and look-ups keep float32: half precision has steps of up to 4 px at 1000 px.
            with torch.autocast(volume.device.type, enabled=False):
                correlation = pyramid.lookup(coords)
            hidden, change = self.update_block(hidden, context, correlation, coords - start)
            coords = coords + change.float()
            if every or iteration == iters - 1:
                flows.append(padder.unpad(self._upsample(coords - start, hidden)))
        return flows

    def _upsample(self, flow: Tensor, hidden: Tensor) -> Tensor:
        """``(N, 2, h, w)`` in cells to ``(N, 2, 8h, 8w)`` float32 in pixels."""
        if not self.config.convex_upsampling:
            # The published small network was trained with corner-aligned up-sampling.
            return self.stride * F.interpolate(flow, scale_factor=self.stride, mode="bilinear", align_corners=True)
        # The quarter is the published scaling of the mask's gradients.
        mask = 0.25 * self.update_block.mask(hidden).float()
        batch, _, height, width = flow.shape
        weights = mask.view(batch, 1, 9, 8, 8, height, width).softmax(dim=2)
        neighbours = F.unfold(self.stride * flow, 3, padding=1).view(batch, 2, 9, 1, 1, height, width)
        fine = (weights * neighbours).sum(dim=2)
        return fine.permute(0, 1, 4, 2, 5, 3).reshape(batch, 2, 8 * height, 8 * width)


def raft_small() -> FlowModel:
    """RAFT-small, 990,162 parameters."""
    return Raft("raft_small", SMALL)


def raft_large() -> FlowModel:
    """RAFT, 5,257,536 parameters."""
    return Raft("raft_large", LARGE)
