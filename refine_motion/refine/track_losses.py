"""Losses of track models: the three that PIPs is trained with, as published, and one for its features alone.

PIPs: Harley et al., ECCV 2022, arXiv 2204.04153. Refining Pre-Trained Motion Models (arXiv 2401.00850) trains with the
places and the score maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.models.pips_layers import sample_extrapolating
from refine_motion.refine.losses import MIN_SHARE

_EPSILON = 1e-6


def fullness(valid: Tensor) -> Tensor:
    """What the mean over its points is worth of each sample: less than 1 where hardly any point is known.

    Times this, a mean is a sum over what is known divided by that, or by 5 % of all points where that is more.

    Args:
        valid: ``(B, S, N)`` of 0 or 1.

    Returns:
        ``(B,)`` in [0, 1].
    """
    return (valid.flatten(1).mean(dim=1) / MIN_SHARE).clamp(max=1)


def track_sequence_loss(predictions: Sequence[Tensor], target: Tensor, valid: Tensor, gamma: float = 0.8) -> Tensor:
    """Mean over the iterations of the L1 distance, earlier ones weighted less.

    ``1/I sum_i gamma^(I - 1 - i) mean_valid(mean_xy |P_i - P|)``.

    Args:
        predictions: ``(B, S, N, 2)`` in pixels for each iteration.
        target: ``(B, S, N, 2)`` in pixels.
        valid: ``(B, S, N)`` of 0 or 1: where the target is known.
        gamma: weight of each earlier iteration relative to the next, in (0, 1].

    Returns:
        Scalar, in pixels.
    """
    count = len(predictions)
    losses = [
        gamma ** (count - 1 - i) * _masked_mean(_difference(places, target, valid).abs().mean(dim=-1), valid > 0)
        for i, places in enumerate(predictions)
    ]
    return torch.stack(losses).sum() / count


def visibility_loss(logits: Tensor, visible: Tensor, valid: Tensor) -> Tensor:
    """Balanced logistic loss: the mean over what is seen plus the mean over what is hidden.

    Args:
        logits: ``(B, S, N)``, above 0 for seen.
        visible: ``(B, S, N)`` of 0 or 1.
        valid: ``(B, S, N)`` of 0 or 1.

    Returns:
        Scalar.
    """
    return _balanced(logits, visible > 0, valid > 0)


def score_map_loss(score_maps: Sequence[Tensor], target: Tensor, visible: Tensor, valid: Tensor) -> Tensor:
    """Balanced logistic loss of score maps that should be high in the target's cell and low elsewhere.

    Args:
        score_maps: ``(B, S, N, h, w)`` for each iteration.
        target: ``(B, S, N, 2)`` (x, y) in cells; the nearest cell counts.
        visible: ``(B, S, N)`` of 0 or 1; hidden points do not count, nor those outside the map.
        valid: ``(B, S, N)`` of 0 or 1.

    Returns:
        Scalar; 0 where no point counts.
    """
    height, width = score_maps[0].shape[-2:]
    x, y = target.nan_to_num(nan=-1.0).round().long().unbind(dim=-1)
    counted = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (visible > 0) & (valid > 0)
    cell = (y * width + x)[counted][:, None]
    here = elsewhere = torch.zeros((), device=target.device)
    for maps in score_maps:
        scores = maps[counted].flatten(1)
        own = scores.gather(1, cell)
        # Without a map of ones and zeros, which is as large as the scores.
        here = here + F.softplus(-own).sum()
        elsewhere = elsewhere + F.softplus(scores).sum() - F.softplus(own).sum()
    count = len(score_maps) * len(cell)
    return here / (_EPSILON + count) + elsewhere / (_EPSILON + count * (height * width - 1))


def matching_loss(maps: Tensor, target: Tensor, visible: Tensor) -> Tensor:
    """How surely a point's features of the first frame find it among all cells of each later one.

    Cross-entropy over the cells, as in contrastive learning of features (InfoNCE, van den Oord et al., arXiv
    1807.03748). The score maps' own loss takes the mean over thousands of cells that nobody would mistake for the
    point; this one dwells on those that somebody would.

    Args:
        maps: ``(B, S, C, h, w)`` features.
        target: ``(B, S, N, 2)`` (x, y) in cells; the four around count by their nearness.
        visible: ``(B, S, N)`` of 0 or 1; hidden points do not count, nor those outside the map.

    Returns:
        Scalar; 0 where no point counts.
    """
    height, width = maps.shape[-2:]
    source = sample_extrapolating(maps[:, 0], target[:, 0]) * maps.shape[2] ** -0.5
    scores = torch.einsum("bnc,bschw->bsnhw", source, maps[:, 1:]).flatten(3)
    places, inside = target[:, 1:], visible[:, 1:] > 0
    x, y = places.nan_to_num(nan=-1.0).unbind(dim=-1)
    counted = inside & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    scores, x, y = scores[counted], x[counted], y[counted]
    x0, y0 = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    fx, fy = x - x0, y - y0
    cell = (y0 * width + x0).long()[:, None] + torch.tensor([0, 1, width, width + 1], device=maps.device)
    near = torch.stack(((1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy), dim=1)
    found = scores.gather(1, cell) - scores.logsumexp(dim=1, keepdim=True)
    return -(near * found).sum() / max(len(cell), 1)


def _difference(places: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Zero where the target is not known, which may be no number there."""
    return torch.where(valid[..., None] > 0, places - target, 0.0)


def _balanced(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    loss = F.softplus(torch.where(positive, -logits, logits))
    return _masked_mean(loss, positive & valid) + _masked_mean(loss, ~positive & valid)


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """With the small number in the denominator that the official code has."""
    return (values * mask).sum() / (_EPSILON + mask.sum())
