"""One model's flow for one pair of frames, padded as the benchmark's protocol says."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.benchmarks.flow_pair import Padding


class EstimatesFlow(Protocol):
    """What is evaluated: a :class:`refine_motion.models.base.FlowModel` in eval mode, or anything with its ``flow``."""

    def flow(self, a: Tensor, b: Tensor, iters: int = ...) -> Tensor:
        """``(1, 3, H, W)`` uint8 RGB frames to ``(1, 2, H, W)`` flow in pixels."""


class ZeroFlow:
    """Says that nothing moves: the least that a model must be better than."""

    def flow(self, a: Tensor, b: Tensor, iters: int = 1) -> Tensor:
        """``(N, 2, H, W)`` zeros for any frames ``(N, 3, H, W)``."""
        return torch.zeros((len(a), 2, *a.shape[-2:]), device=a.device)


def estimate_flow(model: EstimatesFlow, a: Tensor, b: Tensor, iters: int, padding: Padding = "even") -> Tensor:
    """Flow from frame a to frame b, on the device of the model.

    Args:
        model: in eval mode.
        a: ``(3, H, W)`` uint8 RGB.
        b: likewise.
        iters: refinement iterations.
        padding: where the frames are filled up, by their edge pixels, to a multiple of the model's stride. ``even``:
            left and right, top and bottom alike, which models do themselves. ``kitti``: left and right alike, but all
            of the height at the bottom (``InputPadder`` of princeton-vl/RAFT; the truth of KITTI begins below the sky).

    Returns:
        ``(2, H, W)`` float32, pixels.
    """
    device = next(model.parameters()).device if isinstance(model, torch.nn.Module) else a.device
    frames = torch.stack((a, b)).to(device)
    height, width = frames.shape[-2:]
    left = 0
    if padding == "kitti":
        stride = getattr(model, "stride", 8)
        left, bottom = -width % stride // 2, -height % stride
        # Replication is not made for uint8; models take either.
        frames = F.pad(frames.float(), (left, -width % stride - left, 0, bottom), mode="replicate")
    with torch.no_grad():
        flow = model.flow(frames[:1], frames[1:], iters=iters)[0].float()
    return flow[:, :height, left : left + width]
