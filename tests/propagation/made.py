"""Models whose answers are known, and scenes to carry labels through."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from refine_motion.models.base import FlowModel, FrameFeatures
from refine_motion.models.corrflow import CorrFlow
from refine_motion.models.track_base import Recorder, TrackModel
from refine_motion.types import Tracks


class Pixels(CorrFlow):
    """An encoder whose features are the 48 values of a cell's pixels, with the mean taken away, of length 1."""

    def __init__(self) -> None:
        super().__init__("pixels", (4, 4, 4, 4))
        self.encoded = 0

    def encode(self, frames: Tensor) -> Tensor:
        self.encoded += len(frames)
        extra_h, extra_w = (-side % self.stride for side in frames.shape[-2:])
        cells = F.pixel_unshuffle(F.pad(frames.float(), (0, extra_w, 0, extra_h), mode="replicate"), self.stride)
        return F.normalize(cells - cells.mean(dim=1, keepdim=True), dim=1)


class Steady(FlowModel):
    """Every pixel moves by one step from each frame to the next, whose numbers the first pixel of each frame tells."""

    name, stride, min_side = "steady", 1, 2

    def __init__(self, x: float, y: float):
        super().__init__()
        self.step, self.encoded = torch.tensor([x, y]), 0
        self.nothing = nn.Parameter(torch.zeros(1))

    def encode(self, frames: Tensor) -> FrameFeatures:
        self.encoded += len(frames)
        return FrameFeatures(frames.float(), frames.float(), (frames.shape[-2], frames.shape[-1]))

    def match(
        self, features_a: FrameFeatures, features_b: FrameFeatures, iters: int, init: Tensor | None = None
    ) -> list[Tensor]:
        apart = features_b.matching[0, 0, 0, 0] - features_a.matching[0, 0, 0, 0]
        assert abs(apart) == 1
        flow = (apart * self.step).view(1, 2, 1, 1).expand(1, 2, *features_a.size)
        return [torch.full_like(flow, torch.nan)] * (iters - 1) + [flow]

    def match_both(self, *args: object) -> tuple[Tensor, Tensor]:
        raise AssertionError("one direction is enough")

    def flow(self, a: Tensor, b: Tensor, iters: int = 12) -> Tensor:
        raise AssertionError("frames are encoded once, and their features matched")


class Drifting(TrackModel):
    """Every point moves by one step a frame; those that start left of ``hidden`` are not seen after the first."""

    name, stride, min_side, min_frames = "drifting", 1, 2, 3

    def __init__(self, x: float, y: float, hidden: float = -1.0):
        super().__init__()
        self.step, self.hidden = torch.tensor([x, y]), hidden
        self.asked = torch.zeros(0, 3)

    def begin(self, queries: Tensor, confidence: bool = True) -> _Drift:
        self.asked = queries
        return _Drift(self, queries)


class _Drift:
    def __init__(self, model: Drifting, queries: Tensor):
        self.model, self.record = model, Recorder(queries)

    def add(self, frame: Tensor) -> None:
        time, queries = len(self.record), self.record.queries
        self.record.add_frame()
        seen = (queries[:, 1] >= self.model.hidden) | (time == 0)
        xy = queries[:, 1:] + time * self.model.step
        self.record.note(time, torch.arange(len(queries)), xy=xy, visible=seen)

    def finish(self) -> Tracks:
        return self.record.tracks()


def numbered(count: int, height: int, width: int) -> Tensor:
    """Black frames ``(T, 3, H, W)`` whose first pixel tells their number."""
    frames = torch.zeros(count, 3, height, width, dtype=torch.uint8)
    frames[:, 0, 0, 0] = torch.arange(count)
    return frames


def texture(height: int, width: int, seed: int = 0) -> Tensor:
    """A frame ``(3, H, W)`` of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)


def disc(height: int, width: int, x: float, y: float, radius: float) -> Tensor:
    """Label maps ``(2, H, W)`` of the background and a disc."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    inside = ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).float()
    return torch.stack((1 - inside, inside))


def overlap(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks ``(H, W)``."""
    a, b = a.bool(), b.bool()
    return ((a & b).sum() / (a | b).sum()).item()


def centre(mask: Tensor) -> Tensor:
    """Mean row and column of a mask ``(H, W)``."""
    return torch.nonzero(mask).double().mean(dim=0)
