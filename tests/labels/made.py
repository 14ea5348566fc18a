"""Labels made by hand, for tests of the rules."""

from __future__ import annotations

import torch

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import LabelRule, select
from refine_motion.models.base import FrameFeatures
from refine_motion.models.options import MatchOptions
from refine_motion.motion.dominant import affine_flow
from refine_motion.motion.grid import pixel_grid
from refine_motion.types import Evidence

# What all labels have.
EVIDENCE = tuple(name for name in Evidence.__dataclass_fields__ if name != "embedding_error")


def made_label(
    flow: torch.Tensor,
    ratio: torch.Tensor | float = 0.0,
    size: tuple[int, int] | None = None,
    index: torch.Tensor | None = None,
    **evidence: torch.Tensor,
) -> FlowLabel:
    """A label of one row of pixels, or of the given ones.

    Args:
        flow: ``(N, 2)`` in pixels.
        ratio: cycle error over the paper's threshold.
        size: ``(H, W)``; one row when not given.
        index: ``(N,)`` place of each pixel; the first ones when not given.
        **evidence: fields that are not zero; ``backward_speed`` is the speed when not given.
    """
    count = len(flow)
    speed = torch.hypot(flow[:, 0], flow[:, 1])
    fields = dict.fromkeys(EVIDENCE, torch.zeros(count))
    fields |= {"speed": speed, "backward_speed": speed, "cycle_error": ratio * (0.002 * 2 * speed + 0.1)}
    index = torch.arange(count) if index is None else index
    return FlowLabel(size or (1, max(count, 1)), index, flow, Evidence(**(fields | evidence)))


def moving_right(speed: list[float] | torch.Tensor, **more: torch.Tensor) -> FlowLabel:
    """A label whose entries move to the right at the given speeds."""
    speed = torch.as_tensor(speed, dtype=torch.float32)
    return made_label(torch.stack((speed, torch.zeros(len(speed))), dim=1), **more)


def camera_and_object(
    camera: torch.Tensor, share: float, moves: tuple[float, float], size: tuple[int, int] = (40, 60)
) -> FlowLabel:
    """Every pixel of a frame that moves with a camera ``(2, 3)``, but for the first rows, which move against it."""
    count = size[0] * size[1]
    index = torch.arange(count)
    xy = torch.stack((index % size[1], index // size[1]), dim=1).float()
    flow = affine_flow(camera, xy)
    flow[: round(share * count)] += torch.tensor(moves)
    return made_label(flow, size=size)


def kept(rules: list[LabelRule], label: FlowLabel, seed: int = 0) -> list[bool]:
    """Which entries the rules keep."""
    return (select(rules, label, seed) > 0).tolist()


class Painted:
    """A model that reads motion off the colours of a frame, and off the third how it is shown: exact in every view.

    Attributes:
        seen: size of the frames of each call.
    """

    name, options, min_side = "painted", MatchOptions(), 8

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    @staticmethod
    def frames(flow: torch.Tensor) -> torch.Tensor:
        """Two frames ``(2, 3, H, W)`` that show flow ``(1, 2, H, W)`` there and its opposite back."""
        x, y = pixel_grid(*flow.shape[-2:])
        return torch.cat((flow, (x + 16 * y)[None, None]), dim=1).repeat(2, 1, 1, 1)

    def eval(self) -> Painted:
        return self

    def requires_grad_(self, wanted: bool) -> Painted:
        return self

    def state_dict(self) -> dict[str, torch.Tensor]:
        return {}

    def encode(self, frames: torch.Tensor) -> FrameFeatures:
        size = (frames.shape[-2], frames.shape[-1])
        self.seen.append(size)
        return FrameFeatures(frames, frames, size)

    def match_both(self, a: FrameFeatures, b: FrameFeatures, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        return self._read(a.matching), -self._read(b.matching)

    def _read(self, frames: torch.Tensor) -> torch.Tensor:
        ramp = frames[:, 2]
        height, width = ramp.shape[-2:]
        # Pixels of the frame for each that is shown; negative where it is mirrored.
        along_x = (ramp[:, :, -3] - ramp[:, :, 2]).mean() / (width - 5)
        along_y = (ramp[:, -3] - ramp[:, 2]).mean() / (height - 5) / 16
        return frames[:, :2] / torch.stack((along_x, along_y)).view(1, 2, 1, 1)
