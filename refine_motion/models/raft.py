"""RAFT, small and large (Teed and Deng, ECCV 2020, arXiv 2003.12039), equal to the official outputs.

Parameters carry the official names, so that official checkpoints load without a map. Frame features are computed once
per frame, whatever pairs it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from refine_motion.models.base import FlowModel, FrameFeatures, Padder, check_frames, resize_flow
from refine_motion.models.raft_layers import (
    BottleneckBlock,
    ConvGRU,
    Encoder,
    FlowHead,
    GatePass,
    MotionEncoder,
    ResidualBlock,
    SepConvGRU,
)
from refine_motion.motion.correlation import Correlation, CorrelationPyramid, all_pairs, pyramid_bytes
from refine_motion.motion.grid import length, pixel_grid
from refine_motion.motion.on_demand import OnDemandCorrelation


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

    def forward(self, h: Tensor, passes: list[GatePass], correlation: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden state ``(N, hidden, h, w)`` and change of flow ``(N, 2, h, w)`` in cells."""
        motion = self.encoder(flow, correlation)
        for gate_pass in passes:
            h = gate_pass(h, motion)
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
        padded, size = self._prepare(frames)
        # On a CPU, the activations of several frames at once do not fit its caches: measured at twice the time.
        parts = padded.split(1) if padded.device.type == "cpu" else (padded,)
        matching, context = (torch.cat([net(part) for part in parts]) for net in (self.fnet, self.cnet))
        return FrameFeatures(matching, context, size)

    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        """See :meth:`FlowModel.match`."""
        return self._every(
            features_a.context, self._correlate(features_a.matching, features_b.matching), features_a.size, iters, init
        )

    def match_both(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, tolerance: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """See :meth:`FlowModel.match_both`."""
        return (
            self._one_way(features_a, features_b, iters, tolerance),
            self._one_way(features_b, features_a, iters, tolerance),
        )

    def _one_way(self, source: FrameFeatures, target: FrameFeatures, iters: int, tolerance: float) -> Tensor:
        # The reverse volume is the transpose of this one, but pooling a transposed view was measured to take longer
        # than the product does; and so only one of them is in memory.
        correlation = self._correlate(source.matching, target.matching)
        return self._last(source.context, correlation, source.size, iters, tolerance)

    @torch.no_grad()
    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        """See :meth:`FlowModel.flow`."""
        context, correlation, size = self._encode_pair(a, b)
        return self._last(context, correlation, size, iters, tolerance=0.0)

    def flow_sequence(self, a: Tensor, b: Tensor, iters: int = 12) -> list[Tensor]:
        """See :meth:`FlowModel.flow_sequence`."""
        context, correlation, size = self._encode_pair(a, b)
        return self._every(context, correlation, size, iters, init=None)

    def _encode_pair(self, a: Tensor, b: Tensor) -> tuple[Tensor, Correlation, tuple[int, int]]:
        """Context and correlation of one direction, for which the second frame needs no context."""
        frames, size = self._prepare(torch.cat((a, b)))
        matching_a, matching_b = self.fnet(frames).chunk(2)
        return self.cnet(frames[: a.shape[0]]), self._correlate(matching_a, matching_b), size

    def _prepare(self, frames: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Frames as the encoders take them, and their size in pixels."""
        check_frames(frames, self.min_side)
        size = (frames.shape[-2], frames.shape[-1])
        return Padder(*size, self.stride).pad(2 * (frames.float() / 255) - 1), size

    def _takes_all_pairs(self, matching: Tensor) -> bool:
        if self.options.correlation != "auto":
            return self.options.correlation == "all_pairs"
        batch, _, height, width = matching.shape
        return pyramid_bytes(batch, height * width, LEVELS) <= self.options.memory_limit * 2**30

    def _correlate(self, a: Tensor, b: Tensor) -> Correlation:
        # What the encoders gave is what autocast computes in.
        dtype = a.dtype if self.options.correlation_dtype == "autocast" else torch.float32
        with torch.autocast(a.device.type, enabled=False):
            if not self._takes_all_pairs(a):
                return OnDemandCorrelation(a.float(), b.float(), LEVELS, self.config.radius, dtype)
            volume = all_pairs(a.float(), b.float(), dtype)
            return CorrelationPyramid(volume, (a.shape[-2], a.shape[-1]), LEVELS, self.config.radius)

    def _every(
        self, context: Tensor, correlation: Correlation, size: tuple[int, int], iters: int, init: Tensor | None
    ) -> list[Tensor]:
        """Full-resolution flow after every iteration."""
        _check_iters(iters)
        padder = Padder(*size, self.stride)
        hidden, passes, start = self._begin(context)
        coords = start
        if init is not None:
            coords = start + resize_flow(padder.pad(init.float()), (start.shape[-2], start.shape[-1]))

        def step(hidden: Tensor, coords: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            hidden, coords = self._step(hidden, coords, start, passes, correlation)
            return hidden, coords, padder.unpad(self._upsample(coords - start, hidden))

        flows = []
        for _ in range(iters):
            # Each iteration learns from its own correction only, as published.
            coords = coords.detach()
            if self.options.checkpointing and torch.is_grad_enabled():
                hidden, coords, flow = checkpoint(step, hidden, coords, use_reentrant=False, preserve_rng_state=False)
            else:
                hidden, coords, flow = step(hidden, coords)
            flows.append(flow)
        return flows

    def _last(
        self, context: Tensor, correlation: Correlation, size: tuple[int, int], iters: int, tolerance: float
    ) -> Tensor:
        """Full-resolution flow after the last iteration; only this one is up-sampled."""
        _check_iters(iters)
        hidden, passes, start = self._begin(context)
        coords = start
        going = torch.ones(context.shape[0], 1, 1, 1, dtype=torch.bool, device=context.device)
        for _ in range(iters):
            new_hidden, new_coords = self._step(hidden, coords, start, passes, correlation)
            if tolerance == 0:
                hidden, coords = new_hidden, new_coords
                continue
            moved = self.stride * length(new_coords - coords).mean(dim=(1, 2)).view(-1, 1, 1, 1)
            # A sample that came to rest keeps its state, whatever company it is in.
            hidden, coords = torch.where(going, new_hidden, hidden), torch.where(going, new_coords, coords)
            going = going & (moved >= tolerance)
            if not going.any():
                break
        return Padder(*size, self.stride).unpad(self._upsample(coords - start, hidden))

    def _begin(self, context: Tensor) -> tuple[Tensor, list[GatePass], Tensor]:
        """First hidden state, the prepared recurrent unit, and every cell's own place ``(N, 2, h, w)``."""
        hidden, rest = context.split((self.config.hidden, self.config.context), dim=1)
        grid = pixel_grid(context.shape[-2], context.shape[-1], device=context.device)
        return hidden.tanh(), self.update_block.gru.passes(rest.relu()), grid.expand(context.shape[0], -1, -1, -1)

    def _step(
        self, hidden: Tensor, coords: Tensor, start: Tensor, passes: list[GatePass], correlation: Correlation
    ) -> tuple[Tensor, Tensor]:
        # Positions and look-ups keep float32: half precision has steps of up to 4 px at 1000 px.
        with torch.autocast(coords.device.type, enabled=False):
            found = correlation.lookup(coords)
        hidden, change = self.update_block(hidden, passes, found, coords - start)
        return hidden, coords + change.float()

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


def _check_iters(iters: int) -> None:
    if iters < 1:
        raise ValueError(f"iters must be at least 1, got {iters}")


def raft_small() -> FlowModel:
    """RAFT-small, 990,162 parameters."""
    return Raft("raft_small", SMALL)


def raft_large() -> FlowModel:
    """RAFT, 5,257,536 parameters."""
    return Raft("raft_large", LARGE)
