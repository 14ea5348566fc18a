"""Whether a track model can still do motion that its new domain may not hold: a frame that is shifted steadily."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from refine_motion.models.pips import Pips
from refine_motion.motion.keypoints import grid
from refine_motion.refine.gain import Gain
from refine_motion.refine.track_ways import both_ways

# Pixels a frame; what a frame is too small for is left out.
_SPEEDS = (1.0, 4.0, 12.0)
_POINTS = 64
# Of what remains in view, the least share of each side, and the fewest points: a few tell nothing, and none at all has
# no mean.
_LEAST, _FEWEST = 0.5, 8
# Errors that are nothing, in pixels and as a share of the speed.
_FLOOR, _FLOOR_SHARE = 0.25, 0.01


class TrackSpeedTest:
    """Compares models with the original one on made motion, whole pixels at a time, so that no frame is resampled.

    Args:
        frames: ``(3, H, W)`` uint8 each.
        original: the model before the refinement.
        iters: iterations of every model.
        device: where they run.
    """

    def __init__(self, frames: Sequence[Tensor], original: Pips, iters: int, device: torch.device):
        self.iters, self.device = iters, device
        self.clips: dict[float, list[tuple[Tensor, Tensor]]] = {}
        length = original.config.frames
        for number, frame in enumerate(frames):
            for speed in _SPEEDS:
                clip = shifted(frame, speed, math.tau * (number + 0.37) / max(len(frames), 1), length)
                large = min(clip[0].shape[-2:]) >= max(original.min_side, _LEAST * min(frame.shape[-2:]))
                if large and clip[1].shape[1] >= _FEWEST:
                    self.clips.setdefault(speed, []).append(clip)
        self.original = {speed: self._error(original, clips) for speed, clips in self.clips.items()}

    def gains(self, model: Pips) -> dict[float, Gain]:
        """How much lower a model's errors are than the original's at each speed, without an interval."""
        found = {}
        for speed, clips in self.clips.items():
            floor = _FLOOR + _FLOOR_SHARE * speed
            value = math.log(self.original[speed] + floor) - math.log(self._error(model, clips) + floor)
            found[speed] = Gain(value, value, value)
        return found

    def _error(self, model: Pips, clips: Sequence[tuple[Tensor, Tensor]]) -> float:
        errors = []
        for frames, places in clips:
            there, _ = both_ways(model, frames, places[0], self.iters)
            # Not a number is no place at all.
            errors.append((there.cpu() - places).norm(dim=-1)[1:].mean().nan_to_num(nan=math.inf).item())
        return float(np.mean(errors))


def shifted(frame: Tensor, speed: float, angle: float, length: int) -> tuple[Tensor, Tensor]:
    """A window that moves over a frame, and points that lie still in the frame.

    Args:
        frame: ``(3, H, W)``.
        speed: of the points, in pixels a frame, up to the rounding to whole pixels.
        angle: of their way.
        length: frames.

    Returns:
        ``(length, 3, h, w)``, smaller by the way, and places ``(length, N, 2)``, in view throughout.
    """
    step = torch.tensor([math.cos(angle), math.sin(angle)]) * speed
    way = (torch.arange(length)[:, None] * step).round()
    # The window goes against the points.
    corner = -way - (-way).amin(dim=0)
    width, height = (torch.tensor([frame.shape[-1], frame.shape[-2]]) - corner.amax(dim=0)).long().tolist()
    frames = [frame[:, int(y) : int(y) + max(height, 0), int(x) : int(x) + max(width, 0)] for x, y in corner.tolist()]
    places = grid((max(height, 1), max(width, 1)), _POINTS) + way[:, None]
    inside = ((places >= 0) & (places <= torch.tensor([width - 1.0, height - 1.0]))).all(dim=-1).all(dim=0)
    return torch.stack(frames), places[:, inside]
