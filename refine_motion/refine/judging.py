"""Errors of models on held-out pairs that need no ground truth, all on pixels that the original model chose."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from refine_motion.labels.clusters import cluster_of
from refine_motion.models.base import FlowModel
from refine_motion.motion.census import census_error
from refine_motion.motion.cycle import cycle_error, cycle_threshold
from refine_motion.motion.dominant import affine_flow, fit_dominant_motion
from refine_motion.motion.grid import in_bounds, length, pixel_grid
from refine_motion.refine.judge import CYCLE, LABELS, LOOK, MOVING, Judge, Sums, block_of

# Errors below which a difference is nothing, in pixels and in census error.
_FLOORS = {LABELS: 0.02, CYCLE: 0.02, LOOK: 0.002, MOVING: 0.05}
# A wild guess counts as one of so many pixels, lest a few of them outweigh a frame; against a label, of so many more
# than its speed, so that fast motion that is missed and fast motion that is half found still differ.
_MOST = 20.0
# UnFlow's own rule for what is consistent, five times the paper's: what is compared must not be the easy pixels alone.
_ALPHA, _BETA = 0.01, 0.5
# With fewer labels than this share of the frame, what moves by itself tells nothing.
_LEAST_MOVING = 0.002


@dataclass(frozen=True)
class HeldPair:
    """A held-out pair.

    Attributes:
        image_a: ``(1, 3, H, W)`` uint8.
        image_b: ``(1, 3, H, W)`` uint8.
        label: ``(1, 2, H, W)`` flow in pixels.
        masks: ``(1, H, W)`` bool of each kind of error.
    """

    image_a: Tensor
    image_b: Tensor
    label: Tensor
    masks: Mapping[str, Tensor]


class FlowJudge(Judge[FlowModel]):
    """Compares flow models with the original one on some held-out pairs.

    Args:
        samples: as of :meth:`VideoLabelDataModule.held_out_samples`.
        units: see :class:`Judge`.
        original: the model before the refinement.
        iters: iterations of every model.
        device: where they run.
    """

    def __init__(
        self,
        samples: Iterable[Mapping[str, Any]],
        units: Sequence[Hashable],
        original: FlowModel,
        iters: int,
        device: torch.device,
    ):
        super().__init__(units, _FLOORS)
        self.iters, self.device = iters, device
        self.pairs: list[HeldPair] = []
        before = []
        for sample in samples:
            a, b = sample["image_a"][None], sample["image_b"][None]
            label, weight, region = sample["flow"][None], sample["weight"], sample["region"]
            flows = self._flows(original, a, b)
            self.pairs.append(HeldPair(a, b, label, _masks(flows, label, weight, region)))
            before.append(_maps(a, b, label, flows))
        ones = [torch.ones_like(pair.label[:, 0]) for pair in self.pairs]
        self.weights = self._in_blocks([dict.fromkeys(_FLOORS, one) for one in ones])
        self.original = self._in_blocks(before)

    def moving_share(self, pixels: float) -> float:
        """See :class:`Judge`."""
        speeds = [length(pair.label)[pair.masks[LABELS]] for pair in self.pairs]
        moving, known = sum(int((s > pixels).sum()) for s in speeds), sum(s.numel() for s in speeds)
        return moving / known if known else 1.0

    def errors(self, model: FlowModel) -> dict[str, Sums]:
        """See :class:`Judge`."""
        return self._in_blocks(
            [_maps(p.image_a, p.image_b, p.label, self._flows(model, p.image_a, p.image_b)) for p in self.pairs]
        )

    @torch.no_grad()
    def _flows(self, model: FlowModel, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        features = model.encode(torch.cat((a, b)).to(self.device))
        forward, backward = model.match_both(features[[0]], features[[1]], self.iters)
        return forward.cpu(), backward.cpu()

    def _in_blocks(self, maps: Sequence[Mapping[str, Tensor]]) -> dict[str, Sums]:
        items = []
        for found, pair in zip(maps, self.pairs, strict=True):
            size = (pair.label.shape[-2], pair.label.shape[-1])
            block = block_of(pixel_grid(*size).permute(1, 2, 0), size)[None]
            items.append({kind: (found[kind], pair.masks[kind], block) for kind in _FLOORS})
        return self.summed(items)


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
    return {LABELS: known, CYCLE: seen, LOOK: seen, MOVING: moving}


def _maps(a: Tensor, b: Tensor, label: Tensor, flows: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Every kind of error ``(1, H, W)``."""
    forward, backward = flows
    # Not a number is no flow at all.
    distance = torch.minimum(length(forward - label).nan_to_num(nan=torch.inf), _MOST + length(label))
    return {
        LABELS: distance,
        CYCLE: cycle_error(forward, backward).nan_to_num(nan=_MOST).clamp(max=_MOST),
        LOOK: census_error(a, b, forward),
        MOVING: distance,
    }
