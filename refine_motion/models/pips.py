"""PIPs, Persistent Independent Particles (Harley et al., ECCV 2022, arXiv 2204.04153), equal to the official outputs.

Parameters carry the official names, so that official checkpoints load without a map. Features are computed once per
frame, for all points and both directions of time; correlation is looked up where it is needed, and whole score maps are
made for the training loss only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.base import check_frames
from refine_motion.models.pips_chain import ChainedModel, WindowPrediction
from refine_motion.models.pips_layers import DeltaBlock, PipsEncoder, sample_extrapolating
from refine_motion.models.track_base import TrackModel
from refine_motion.motion.on_demand import TargetPyramid

LEVELS, RADIUS = 4, 3


@dataclass(frozen=True)
class PipsConfig:
    """What distinguishes the sizes.

    Attributes:
        frames: S, length of the window.
        stride: down-sampling of the features.
        widths: channels of the encoder's stages.
        fused: channels in which they are brought together.
        features: C, channels of a point's features.
        mixer: width of the mixer.
        depth: number of its blocks.
    """

    frames: int = 8
    stride: int = 4
    widths: tuple[int, int, int, int] = (64, 96, 128, 128)
    fused: int = 256
    features: int = 128
    mixer: int = 512
    depth: int = 12


SMALL = PipsConfig(widths=(32, 48, 64, 64), fused=128, features=64, mixer=256, depth=4)


class Pips(ChainedModel):
    """PIPs of any size.

    Args:
        name: the name in the registry.
        config: its sizes.
    """

    def __init__(self, name: str, config: PipsConfig):
        super().__init__()
        self.name, self.config = name, config
        self.stride, self.min_frames = config.stride, config.frames
        # The coarsest of the levels needs at least one cell.
        self.min_side = config.stride * 2 ** (LEVELS - 1)
        self.channels = config.features
        self.fnet = PipsEncoder(config.widths, config.fused, config.features, config.stride)
        lookup = LEVELS * (2 * RADIUS + 1) ** 2
        self.delta_block = DeltaBlock(config.frames, config.features, lookup, config.mixer, config.depth)
        self.norm = nn.GroupNorm(1, config.features)
        self.ffeat_updater = nn.Sequential(nn.Linear(config.features, config.features), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(config.features, 1))

    def encode(self, frames: Tensor) -> Tensor:
        """Features of each frame, once per frame whatever windows, points and directions it is used in.

        Args:
            frames: ``(N, 3, H, W)`` uint8, or float in 0..255.

        Returns:
            ``(N, C, h, w)``: a cell for every ``stride`` pixels, begun ones included.

        Raises:
            ValueError: the shape is not ``(N, 3, H, W)`` or a side is below ``min_side``.
        """
        check_frames(frames, self.min_side)
        dtype = frames.dtype if frames.is_floating_point() else torch.float32
        # To the right and below only, so that coordinates stay what they are.
        extra_h, extra_w = (-side % self.stride for side in frames.shape[-2:])
        scaled = 2 * (frames.to(dtype) / 255) - 1
        padded = F.pad(scaled, (0, extra_w, 0, extra_h), mode="replicate") if extra_h or extra_w else scaled
        # On a CPU, the activations of several frames at once do not fit its caches.
        parts = padded.split(1) if padded.device.type == "cpu" else (padded,)
        return torch.cat([self.fnet(part) for part in parts])

    def pyramid(self, maps: Tensor) -> TargetPyramid:
        """What windows are looked up in; all points of a window share one.

        Args:
            maps: ``(B, S, C, h, w)`` of :meth:`encode`.
        """
        maps = maps if maps.dtype == torch.float64 else maps.float()
        return TargetPyramid(maps.flatten(0, 1), LEVELS, maps.dtype)

    def predict(
        self,
        maps: Tensor,
        xy: Tensor,
        iters: int,
        features: Tensor | None = None,
        init: Tensor | None = None,
        locked: bool = True,
        score_maps: bool = False,
        *,
        pyramid: TargetPyramid | None = None,
    ) -> WindowPrediction:
        """Points through one window.

        Args:
            maps: ``(B, S, C, h, w)`` of :meth:`encode`.
            xy: ``(B, N, 2)`` where the points are in the first frame, in pixels.
            iters: number of iterations, at least 1.
            features: ``(B, N, C)`` of the points; those at their places in the first frame when not given.
            init: ``(B, S, N, 2)`` places in pixels to start from; standing still when not given.
            locked: keep the points where they are in the first frame. The official training does not.
            score_maps: whether to make them too.
            pyramid: of the maps, as of :meth:`pyramid`, where it is there already.

        Raises:
            ValueError: the window has another length than the model, or there is no iteration.
        """
        batch, frames = maps.shape[:2]
        if frames != self.config.frames or iters < 1:
            raise ValueError(
                f"{self.name} takes windows of {self.config.frames} frames and at least 1 iteration, "
                f"got {frames} and {iters}"
            )
        # Places and look-ups keep float32: half precision has steps of up to 1 cell at 1000 cells.
        with torch.autocast(maps.device.type, enabled=False):
            maps = maps if maps.dtype == torch.float64 else maps.float()
            xy = xy.to(maps.dtype)
            pyramid = self.pyramid(maps) if pyramid is None else pyramid
            start = (xy if init is None else init[:, 0].to(maps.dtype)) / self.stride
            if features is None:
                features = sample_extrapolating(maps[:, 0], start)
        coords = (xy[:, None].expand(-1, frames, -1, -1) if init is None else init.to(maps.dtype)) / self.stride
        first = coords[:, :1]
        points = features[:, None].expand(-1, frames, -1, -1)
        time = torch.linspace(0, frames, frames, device=maps.device, dtype=maps.dtype)
        found, scores = [], []
        cells = _all_scales(pyramid) if score_maps else None
        for _ in range(iters):
            # Each iteration learns from its own correction only, as published.
            coords = coords.detach()
            with torch.autocast(maps.device.type, enabled=False):
                source = points.to(maps.dtype) * self.config.features**-0.5
                if cells is not None:
                    score = source.flatten(0, 1) @ cells.flatten(2)
                    scores.append(score.unflatten(2, cells.shape[-2:]).unflatten(0, (batch, frames)))
                seen = pyramid.lookup(source.flatten(0, 1), coords.flatten(0, 1), RADIUS).unflatten(0, (batch, frames))
            motion = torch.cat(
                (coords - coords[:, :1], time.view(1, -1, 1, 1).expand(batch, -1, coords.shape[2], 1)), -1
            )
            delta = self.delta_block(*(_by_point(part) for part in (points, seen, motion)))
            delta = delta.unflatten(0, (batch, -1)).transpose(1, 2)
            change = self.norm(delta[..., 2:].flatten(0, 2)).view_as(points)
            points = points + self.ffeat_updater(change)
            coords = coords + delta[..., :2].to(coords.dtype)
            if locked:
                coords = torch.cat((first, coords[:, 1:]), dim=1)
            found.append(self.stride * coords)
        return WindowPrediction(found, self.vis_predictor(points)[..., 0], features, scores)


def _by_point(values: Tensor) -> Tensor:
    """``(B, S, N, X)`` to ``(B * N, S, X)``."""
    return values.transpose(1, 2).flatten(0, 1)


def _all_scales(pyramid: TargetPyramid) -> Tensor:
    """Sum ``(B * S, C, h, w)`` of the features of all scales at the finest size.

    A score map is the sum of the correlation with every scale, brought to the finest size; that is linear in the
    features, so these can be brought there once, instead of the maps of every point and iteration.
    """
    finest, *coarser = (
        target[:, :-1].transpose(1, 2).unflatten(2, size)
        for target, size in zip(pyramid.targets, pyramid.sizes, strict=True)
    )
    resized = [F.interpolate(one, pyramid.sizes[0], mode="bilinear", align_corners=True) for one in coarser]
    return finest + torch.stack(resized).sum(dim=0)


def pips() -> TrackModel:
    """PIPs as published, 28,677,713 parameters."""
    return Pips("pips", PipsConfig())


def pips_small() -> TrackModel:
    """PIPs at a tenth of the size, for CPUs."""
    model = Pips("pips_small", SMALL)
    # As many as it was trained with; with more it drifts away.
    model.iters = 4
    return model
