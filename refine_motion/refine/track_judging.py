"""Errors of track models on held-out windows that need no ground truth, all on tracks that the teacher chose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from refine_motion.labels.clusters import cluster_of
from refine_motion.labels.track_codec import mean_step
from refine_motion.labels.track_rules import apart_pixels
from refine_motion.models.pips import Pips
from refine_motion.motion.patches import patch_error
from refine_motion.refine.judge import CYCLE, LABELS, LOOK, MOVING, Judge, Sums, block_of
from refine_motion.refine.track_ways import both_ways

# Errors below which a difference is nothing, in pixels and in census error.
_FLOORS = {LABELS: 0.05, CYCLE: 0.05, LOOK: 0.002, MOVING: 0.1}
# A wild guess counts as one of so many pixels, lest a few of them outweigh a window.
_MOST = 20.0


@dataclass(frozen=True)
class HeldWindow:
    """A held-out window.

    Attributes:
        frames: ``(S, 3, H, W)`` uint8.
        places: ``(S, N, 2)`` of the labels.
        masks: ``(S, N)`` bool of each kind of error.
        block: ``(S, N)`` of where the points begin.
    """

    frames: Tensor
    places: Tensor
    masks: Mapping[str, Tensor]
    block: Tensor


class TrackJudge(Judge[Pips]):
    """Compares track models with the original one on some held-out windows.

    Args:
        samples: as of :class:`refine_motion.refine.track_dataset.HeldOutTracks`.
        original: the model before the refinement.
        iters: iterations of every model.
        device: where they run.
    """

    def __init__(self, samples: Sequence[Mapping[str, Any]], original: Pips, iters: int, device: torch.device):
        super().__init__([sample["unit"] for sample in samples], _FLOORS)
        self.iters, self.device = iters, device
        self.windows = [_held(sample) for sample in samples]
        ones = [dict.fromkeys(_FLOORS, torch.ones_like(w.places[..., 0])) for w in self.windows]
        self.weights = self._in_blocks(ones)
        self.original = self.errors(original)

    def moving_share(self, pixels: float) -> float:
        """See :class:`Judge`."""
        masks = [window.masks[LABELS] for window in self.windows]
        steps = [mean_step(w.places, mask)[mask.any(dim=0)] for w, mask in zip(self.windows, masks, strict=True)]
        moving, known = sum(int((s > pixels).sum()) for s in steps), sum(s.numel() for s in steps)
        return moving / known if known else 1.0

    def errors(self, model: Pips) -> dict[str, Sums]:
        """See :class:`Judge`."""
        return self._in_blocks([self._maps(model, window) for window in self.windows])

    def _maps(self, model: Pips, window: HeldWindow) -> dict[str, Tensor]:
        there, back = (way.cpu() for way in both_ways(model, window.frames, window.places[0], self.iters))
        # Not a number is no place at all.
        distance = (there - window.places).norm(dim=-1).nan_to_num(nan=_MOST).clamp(max=_MOST)
        cycle = (there - back).norm(dim=-1).nan_to_num(nan=_MOST).clamp(max=_MOST)
        return {LABELS: distance, CYCLE: cycle, LOOK: patch_error(window.frames, there), MOVING: distance}

    def _in_blocks(self, maps: Sequence[Mapping[str, Tensor]]) -> dict[str, Sums]:
        return self.summed(
            [
                {kind: (found[kind], window.masks[kind], window.block) for kind in _FLOORS}
                for found, window in zip(maps, self.windows, strict=True)
            ]
        )


def _held(sample: Mapping[str, Any]) -> HeldWindow:
    frames, places, known = sample["frames"], sample["places"], sample["known"].clone()
    # In the first frame all models are right.
    known[0] = False
    size = (frames.shape[-2], frames.shape[-1])
    moving = known & (cluster_of(sample["flow"], sample["relative"], apart_pixels(size)) > 0)
    block = block_of(places[0], size).expand(len(places), -1)
    return HeldWindow(frames, places, {LABELS: known, CYCLE: known, LOOK: known, MOVING: moving}, block)
