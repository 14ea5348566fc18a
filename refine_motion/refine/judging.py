"""Errors of models on held-out pairs that need no ground truth, all on pixels that the original model chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from refine_motion.labels.clusters import cluster_of
from refine_motion.models.base import FlowModel
from refine_motion.motion.census import census_error
from refine_motion.motion.cycle import cycle_error, cycle_threshold
from refine_motion.motion.dominant import affine_flow, fit_dominant_motion
from refine_motion.motion.grid import in_bounds, length
from refine_motion.refine.gain import Errors, Gain, gain

# What counts for the gain, and its weight. The labels say most, as they come from more views than a model has; but they
# come from the teacher, and the census does not.
KINDS: Mapping[str, float] = {"labels": 0.6, "census": 0.4}
# Measured beside them: the original chose its pixels by just this error, and so looks better in it than it is. Of nine
# candidates the one with the lowest true error had a cycle error a third above the original's.
CYCLE = "cycle"
# Distance from the labels where they move against the dominant motion: what the many pixels behind them could hide.
MOVING = "moving"
# Errors below which a difference is nothing, in pixels and in census error.
_FLOORS = {"labels": 0.02, CYCLE: 0.02, "census": 0.002, MOVING: 0.05}
# A wild guess counts as one of so many pixels, lest a few of them outweigh a frame; against a label, of so many more
# than its speed, so that fast motion that is missed and fast motion that is half found still differ.
_MOST = 20.0
# UnFlow's own rule for what is consistent, five times the paper's: what is compared must not be the easy pixels alone.
_ALPHA, _BETA = 0.01, 0.5
_BLOCKS = 8
# With fewer labels than this share of the frame, what moves by itself tells nothing.
_LEAST_MOVING = 0.002

Sums = NDArray[np.float64]


@dataclass(frozen=True)
class HeldPair:
    """A held-out pair.

    Attributes:
        image_a: ``(1, 3, H, W)`` uint8.
        image_b: ``(1, 3, H, W)`` uint8.
        label: ``(1, 2, H, W)`` flow in pixels.
        masks: ``(1, H, W)`` bool of each kind of error.
        unit: what it shares frames with.
    """

    image_a: Tensor
    image_b: Tensor
    label: Tensor
    masks: Mapping[str, Tensor]
    unit: int


class Judge:
    """Compares models with the original one on some held-out pairs.

    Args:
        samples: as of :meth:`VideoLabelDataModule.held_out_samples`.
        units: of each sample.
        original: the model before the refinement.
        iters: iterations of every model.
        device: where they run.
    """

    def __init__(
        self,
        samples: Iterable[Mapping[str, Any]],
        units: Sequence[int],
        original: FlowModel,
        iters: int,
        device: torch.device,
    ):
        self.iters, self.device = iters, device
        self.pairs: list[HeldPair] = []
        before = []
        for sample, unit in zip(samples, units, strict=True):
            a, b = sample["image_a"][None], sample["image_b"][None]
            label, weight, region = sample["flow"][None], sample["weight"], sample["region"]
            flows = self._flows(original, a, b)
            self.pairs.append(HeldPair(a, b, label, _masks(flows, label, weight, region), unit))
            before.append(_maps(a, b, label, flows))
        ones = [torch.ones_like(pair.label[:, 0]) for pair in self.pairs]
        self.weights = self._in_blocks([dict.fromkeys(_FLOORS, one) for one in ones])
        self.original = self._in_blocks(before)

    def moving_share(self, pixels: float) -> float:
        """Share of the labelled pixels that move by more than this; 1 where there are none."""
        speeds = [length(pair.label)[pair.masks["labels"]] for pair in self.pairs]
        moving, known = sum(int((s > pixels).sum()) for s in speeds), sum(s.numel() for s in speeds)
        return moving / known if known else 1.0

    def errors(self, model: FlowModel) -> dict[str, Sums]:
        """Sum of every kind of error in each block of each pair, ``(P, B)``."""
        return self._in_blocks(
            [_maps(p.image_a, p.image_b, p.label, self._flows(model, p.image_a, p.image_b)) for p in self.pairs]
        )

    def gain(self, errors: Mapping[str, Sums], kinds: Mapping[str, float] = KINDS) -> Gain | None:
        """How much lower a model's errors are than the original's.

        Args:
            errors: of the model.
            kinds: what counts and how much.

        Returns:
            None where there is too little to tell.
        """
        if not self.pairs:
            return None
        parts = [
            (share, Errors(self.original[kind], errors[kind], self.weights[kind], _FLOORS[kind]))
            for kind, share in kinds.items()
        ]
        return gain(parts, [pair.unit for pair in self.pairs])

    def mean(self, errors: Mapping[str, Sums], kind: str) -> float:
        """Mean error over all pixels that count."""
        return float(errors[kind].sum() / max(self.weights[kind].sum(), 1))

    @torch.no_grad()
    def _flows(self, model: FlowModel, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        features = model.encode(torch.cat((a, b)).to(self.device))
        forward, backward = model.match_both(features[[0]], features[[1]], self.iters)
        return forward.cpu(), backward.cpu()

    def _in_blocks(self, maps: Sequence[Mapping[str, Tensor]]) -> dict[str, Sums]:
        return {
            kind: np.stack([_sums(found[kind], p.masks[kind]) for found, p in zip(maps, self.pairs, strict=True)])
            if maps
            else np.zeros((0, _BLOCKS**2))
            for kind in _FLOORS
        }


def _masks(flows: tuple[Tensor, Tensor], label: Tensor, weight: Tensor, region: Tensor) -> dict[str, Tensor]:
    """Where each kind of error counts, by the original model's flow both ways: a student cannot choose its pixels."""
    forward, backward = flows
    threshold = cycle_threshold(length(forward), length(backward), _ALPHA, _BETA)
    seen = region & in_bounds(forward) & (cycle_error(forward, backward) <= threshold)
    known = region & (weight > 0)
    moving = torch.zeros_like(known)
    y, x = known[0].nonzero(as_tuple=True)
    if len(x):
        xy, flow = torch.stack((x, y), dim=1).float(), label[0][:, y, x].T
        relative = flow - affine_flow(fit_dominant_motion(xy, flow, (known.shape[1], known.shape[2])), xy)
        moving[0, y, x] = cluster_of(flow, relative) > 0
        if moving.sum() < _LEAST_MOVING * moving.numel():
            moving[:] = False
    # Of the warped frame nothing is known where the original's flow leaves it, nor of the cycle.
    return {"labels": known, CYCLE: seen, "census": seen, MOVING: moving}


def _maps(a: Tensor, b: Tensor, label: Tensor, flows: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Every kind of error ``(1, H, W)``."""
    forward, backward = flows
    # Not a number is no flow at all.
    distance = torch.minimum(length(forward - label).nan_to_num(nan=torch.inf), _MOST + length(label))
    return {
        "labels": distance,
        CYCLE: cycle_error(forward, backward).nan_to_num(nan=_MOST).clamp(max=_MOST),
        "census": census_error(a, b, forward),
        MOVING: distance,
    }


def _sums(errors: Tensor, mask: Tensor) -> Sums:
    """Sum ``(B,)`` over the mask in each block of a frame."""
    height, width = errors.shape[-2:]
    y, x = (torch.arange(side) * _BLOCKS // side for side in (height, width))
    block = (y[:, None] * _BLOCKS + x).flatten()
    counted = torch.where(mask, errors, 0).double().flatten()
    return torch.zeros(_BLOCKS**2, dtype=torch.float64).index_add_(0, block, counted).numpy()
