"""The sequence loss of stage 2, and how any loss of pixels becomes that of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.motion.grid import length

MAX_SPEED = 400.0
# A sample with hardly any label must not weigh as much per pixel as one that is full of them.
MIN_SHARE = 0.05


def weighted_l1(flow: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean over x and y of ``|flow - target|``, summed over each sample's own pixels by their weight.

    Args:
        flow: ``(B, 2, H, W)`` in pixels.
        target: ``(B, 2, H, W)`` in pixels.
        weight: ``(B, 1, H, W)`` of 0 and more, 0 where there is no label.

    Returns:
        ``(B,)`` sum in pixels.

    Raises:
        ValueError: the shapes do not belong together. A weight without its own channel axis would broadcast over the
            batch, which is how the published code mixes the masks of a batch.
    """
    _check_shapes(flow, target, weight)
    return ((flow - target).abs().mean(dim=1, keepdim=True) * weight).flatten(1).sum(dim=1)


def sequence_loss(flows: Sequence[Tensor], target: Tensor, weight: Tensor, gamma: float) -> Tensor:
    """Exponentially weighted L1 over the iterations (RAFT, arXiv 2003.12039), normalised per sample.

    ``mean_b sum_i gamma^(I - 1 - i) weighted_l1_i,b / max(weight of b, 5 % of the pixels)``: equal under gradient
    accumulation and over processes, since nothing of a sample depends on its batch.

    Args:
        flows: one ``(B, 2, H, W)`` per iteration, coarse to fine, in pixels.
        target: ``(B, 2, H, W)`` labels in pixels.
        weight: ``(B, 1, H, W)`` of 0 and more, as a rule about 1; labels beyond 400 px are left out, as published.
        gamma: weight of each earlier iteration relative to the next, in (0, 1].

    Returns:
        Scalar, in pixels.
    """
    weight = weight * (length(target)[:, None] < MAX_SPEED)
    whole = weight.flatten(1).sum(dim=1).clamp(min=MIN_SHARE * weight[0].numel())
    with torch.autocast(target.device.type, enabled=False):
        total = sum(w * weighted_l1(flow.float(), target, weight) for w, flow in _weighted(flows, gamma))
    return (total / whole).mean()


def official_sequence_loss(flows: Sequence[Tensor], target: Tensor, weight: Tensor, gamma: float) -> Tensor:
    """The loss as the published code of arXiv 2401.00850 computes it, for comparison.

    Its mask broadcasts over the batch, so that every sample is weighted by the mean of all samples' masks, and its mean
    is over all pixels, labelled or not. The value is that of its ``(B, B, 2, H, W)`` product without making one.

    Args:
        flows: one ``(B, 2, H, W)`` per iteration, coarse to fine, in pixels.
        target: ``(B, 2, H, W)`` labels in pixels.
        weight: ``(B, 1, H, W)``; a label counts wherever it is above 0, and labels beyond 400 px are left out, as
            published.
        gamma: weight of each earlier iteration relative to the next, in (0, 1].

    Returns:
        Scalar, in pixels; it depends on how samples are grouped into batches.
    """
    _check_shapes(flows[0], target, weight)
    shared = ((weight > 0) & (length(target)[:, None] < MAX_SPEED)).float().mean(dim=0, keepdim=True)
    with torch.autocast(target.device.type, enabled=False):
        losses = [w * (shared * (flow.float() - target).abs()).mean() for w, flow in _weighted(flows, gamma)]
    return torch.stack(losses).sum()


def sample_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over the samples of each one's mean over its own mask, which counts as 5 % of the pixels at least.

    Args:
        values: ``(B, H, W)``.
        mask: ``(B, H, W)`` bool.

    Returns:
        Scalar; like :func:`sequence_loss`, equal under gradient accumulation and over processes.
    """
    whole = mask.flatten(1).sum(dim=1).clamp(min=MIN_SHARE * mask[0].numel())
    return (torch.where(mask, values, 0).flatten(1).sum(dim=1) / whole).mean()


def _weighted(flows: Sequence[Tensor], gamma: float) -> list[tuple[float, Tensor]]:
    return [(gamma ** (len(flows) - 1 - i), flow) for i, flow in enumerate(flows)]


def _check_shapes(flow: Tensor, target: Tensor, weight: Tensor) -> None:
    batch, _, height, width = flow.shape
    if target.shape != flow.shape or weight.shape != (batch, 1, height, width):
        raise ValueError(
            f"target must be {tuple(flow.shape)} and weight {(batch, 1, height, width)}, "
            f"got {tuple(target.shape)} and {tuple(weight.shape)}"
        )
