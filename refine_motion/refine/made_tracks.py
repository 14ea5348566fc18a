"""Clips with exact tracks made of the user's own frames, so that a track model does not forget faster motion."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Pixels a frame, and the largest way through a clip as a share of the smaller side: of a point that goes farther hardly
# any start remains from which it stays in view.
_SLOWEST, _FASTEST, _LARGEST = 1.0, 12.0, 0.5


def random_shift(frame: Tensor, length: int, points: int, seed: int) -> tuple[Tensor, Tensor]:
    """A frame that moves steadily, whole pixels at a time so that it is not resampled, and points that lie still in it.

    What leaves on one side comes in on the other, so that the clip keeps the size of the frame. Slow motion is as
    likely as fast, by its logarithm.

    Args:
        frame: ``(3, H, W)`` uint8.
        length: S, frames of the clip, at least 2.
        points: N.
        seed: of speed, direction and points.

    Returns:
        ``(S, 3, H, W)`` uint8, and places ``(S, N, 2)`` in pixels, in view throughout.
    """
    generator = torch.Generator().manual_seed(seed)
    speed_share, turn = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    size = torch.tensor([frame.shape[-1], frame.shape[-2]])
    fastest = min(_FASTEST, _LARGEST * size.min().item() / (length - 1))
    # In a small frame nothing may be as fast as the slowest elsewhere.
    slowest = min(_SLOWEST, fastest)
    speed, angle = slowest * (fastest / slowest) ** speed_share, math.tau * turn
    step = speed * torch.tensor([math.cos(angle), math.sin(angle)])
    way = (torch.arange(length)[:, None] * step).round()
    frames = torch.stack([frame.roll((int(y), int(x)), dims=(-2, -1)) for x, y in way.tolist()])
    low, high = (-way).amax(dim=0), size - 1 - way.amax(dim=0)
    start = low + (high - low) * torch.rand(points, 2, generator=generator)
    return frames, start + way[:, None]
