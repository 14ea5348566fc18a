"""A model's own ways there and back through one window."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.models.pips import Pips


@torch.no_grad()
def both_ways(model: Pips, frames: Tensor, xy: Tensor, iters: int) -> tuple[Tensor, Tensor]:
    """Points through a window, and back from where they ended.

    Args:
        model: in eval mode.
        frames: ``(S, 3, H, W)``.
        xy: ``(N, 2)`` in the first frame, in pixels.
        iters: iterations of the model.

    Returns:
        Places there and back ``(S, N, 2)``, both in the order of the frames.
    """
    device = next(model.parameters()).device
    maps = model.encode(frames.to(device))[None]
    there = model.predict(maps, xy[None].to(device), iters).coords[-1][0].float()
    back = model.predict(maps.flip(1), there[None, -1], iters).coords[-1][0].float()
    return there, back.flip(0)
