"""Labels made by hand, for tests of the rules."""

from __future__ import annotations

import torch

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import LabelRule, select
from refine_motion.motion.dominant import affine_flow
from refine_motion.types import Evidence


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
    fields = dict.fromkeys(Evidence.__dataclass_fields__, torch.zeros(count))
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
