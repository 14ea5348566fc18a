"""Whether a model can still do motion that its new domain may not hold: made motion of several speeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.models.base import FlowModel
from refine_motion.motion.grid import length
from refine_motion.refine.dataset import crop_maps
from refine_motion.refine.gain import Gain
from refine_motion.refine.made_motion import MadePair, make_pair, speeds_for

# Pairs of every speed.
MADE = 3
# Height and width of what is used of a frame, its middle: a frame of 1080p takes seven times as long and tells no more.
_CROP = (480, 640)
# Errors that are nothing, in pixels and as a share of the speed: frames that are sampled are a little blurred, and a
# model that bends to the blur of its domain loses hundredths of a pixel here, which tells nothing.
_FLOOR, _FLOOR_SHARE = 0.25, 0.01


class SpeedTest:
    """Compares models with the original one on made motion.

    Args:
        frames: ``(3, H, W)`` uint8 each; where there are fewer than three, each is used in several directions.
        original: the model before the refinement.
        iters: iterations of every model.
        device: where they run.
    """

    def __init__(self, frames: Sequence[Tensor], original: FlowModel, iters: int, device: torch.device):
        self.iters, self.device = iters, device
        self.pairs: dict[float, list[MadePair]] = {}
        for number in range(MADE if frames else 0):
            frame = crop_maps({"image": frames[number % len(frames)]}, _CROP, 0.5, 0.5)["image"]
            for speed in speeds_for((frame.shape[-2], frame.shape[-1])):
                self.pairs.setdefault(speed, []).append(make_pair(frame, speed, number))
        self.original = {speed: self._errors(original, pairs) for speed, pairs in self.pairs.items()}

    def gains(self, model: FlowModel) -> dict[float, Gain]:
        """How much lower a model's errors are than the original's at each speed, without an interval.

        The object of a pair counts as much as all that is behind it.
        """
        found = {}
        for speed, pairs in self.pairs.items():
            floor = _FLOOR + _FLOOR_SHARE * speed
            gains = np.log(self.original[speed] + floor) - np.log(self._errors(model, pairs) + floor)
            value = float(np.nanmean(gains))
            found[speed] = Gain(value, value, value)
        return found

    @torch.no_grad()
    def _errors(self, model: FlowModel, pairs: Sequence[MadePair]) -> NDArray[np.float64]:
        """Mean end-point error in pixels ``(P, 2)`` of background and object; not a number where none is seen."""
        errors = []
        for pair in pairs:
            flow = model.flow(pair.image_a.to(self.device), pair.image_b.to(self.device), self.iters).cpu()
            # Not a number is no flow at all, and not the same as a part that is not seen.
            error = length(flow - pair.flow).nan_to_num(nan=torch.inf)
            errors.append([error[part].mean().item() for part in (pair.known & ~pair.object, pair.object)])
        return np.array(errors)
