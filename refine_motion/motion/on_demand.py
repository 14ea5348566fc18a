"""Correlation look-ups computed when they are asked for: linear in the number of positions, where all pairs are square.

Pooling the targets' features pools the correlation with them, because a dot product is linear; so each scale needs just
the pooled features, and each look-up just the dot products inside its windows. This is the memory-saving form that the
appendix of RAFT (arXiv 2003.12039) describes; values and gradients equal those of
:class:`refine_motion.motion.correlation.CorrelationPyramid` but for rounding.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Floats gathered at a time: what a cache holds. More was measured to be slower on a CPU.
_CHUNK = 2**20


class TargetPyramid:
    """Features of the targets at several scales, in which windows are looked up.

    Args:
        features: ``(B, C, H, W)`` of the targets.
        levels: number of scales; each halves the targets by average pooling.
        dtype: in which the dot products are taken.
    """

    def __init__(self, features: Tensor, levels: int, dtype: torch.dtype = torch.float32):
        self.dtype = dtype
        self.sizes: list[tuple[int, int]] = []
        self.targets: list[Tensor] = []
        for level in range(levels):
            if level:
                features = F.avg_pool2d(features, 2, stride=2)
            self.sizes.append((features.shape[-2], features.shape[-1]))
            # Positions first, so that the features of one position lie together; after the last one a row of zeros, for
            # what lies outside.
            self.targets.append(F.pad(features.flatten(2).transpose(1, 2), (0, 0, 0, 1)).to(dtype).contiguous())

    def __getitem__(self, index: Tensor) -> TargetPyramid:
        """Some of the targets, in another order."""
        chosen = copy.copy(self)
        chosen.targets = [target[index] for target in self.targets]
        return chosen

    def lookup(self, source: Tensor, centre: Tensor, radius: int) -> Tensor:
        """Dot products of each source with the targets in a window of every scale, bilinear between positions.

        Args:
            source: ``(B, N, C)``.
            centre: ``(B, N, 2)`` (x, y) of each source's window, in cells of the finest scale.
            radius: of the window, in cells of each scale.

        Returns:
            ``(B, N, levels * (2r + 1)^2)`` in the type of the centres. Within a level the first window axis moves in x
            and the second in y: the official order of RAFT and PIPs, on which published weights depend.
        """
        source = source.to(self.dtype).contiguous()
        found = [
            _window(source, target, size, centre / 2**level, radius)
            for level, (target, size) in enumerate(zip(self.targets, self.sizes, strict=True))
        ]
        return torch.cat(found, dim=-1)


class OnDemandCorrelation:
    """The correlation of each source position with the targets, at several scales of the target.

    Args:
        features_a: ``(B, C, H, W)`` of the source.
        features_b: ``(B, C, H, W)`` of the target.
        levels: number of scales; each halves the target by average pooling.
        radius: look-up window radius in cells of each scale.
        dtype: in which the dot products are taken; what is looked up is float32 or wider.
    """

    def __init__(
        self,
        features_a: Tensor,
        features_b: Tensor,
        levels: int = 4,
        radius: int = 4,
        dtype: torch.dtype = torch.float32,
    ):
        self.radius = radius
        scale = features_a.shape[1] ** -0.5
        self.source = (features_a * scale).flatten(2).transpose(1, 2).to(dtype).contiguous()
        self.pyramid = TargetPyramid(features_b, levels, dtype)

    def lookup(self, coords: Tensor) -> Tensor:
        """Correlation in a window around each position's current target.

        Args:
            coords: ``(B, 2, H, W)`` target (x, y) of each source position, in cells of the finest scale.

        Returns:
            ``(B, levels * (2r + 1)^2, H, W)``, ordered as that of ``CorrelationPyramid``.
        """
        batch, _, height, width = coords.shape
        found = self.pyramid.lookup(self.source, coords.flatten(2).transpose(1, 2), self.radius)
        return found.transpose(1, 2).reshape(batch, -1, height, width)


def _window(source: Tensor, target: Tensor, size: tuple[int, int], centre: Tensor, r: int) -> Tensor:
    """``(B, N, (2r + 1)^2)`` bilinear values around ``centre (B, N, 2)``."""
    height, width = size
    # All places of a window share one fraction: dot products at whole positions serve each up to four times.
    base = centre.detach().floor()
    fraction = (centre - base)[..., None, None, :]
    reach = torch.arange(-r, r + 2, device=centre.device)
    # Far outside, a position need not be told from one just outside; beyond 2^63 it could not be an integer.
    x = base[..., 0].clamp(-r - 2, width + r + 1).long()[..., None] + reach
    y = base[..., 1].clamp(-r - 2, height + r + 1).long()[..., None] + reach
    inside = ((x >= 0) & (x < width))[..., :, None] & ((y >= 0) & (y < height))[..., None, :]
    index = torch.where(inside, y[..., None, :] * width + x[..., :, None], height * width)
    side = 2 * r + 2
    dots = _WindowDots.apply(source, target, index.flatten(2)).unflatten(2, (side, side)).to(centre.dtype)
    fx, fy = fraction[..., 0], fraction[..., 1]
    along_x = dots[..., :-1, :] * (1 - fx) + dots[..., 1:, :] * fx
    return (along_x[..., :-1] * (1 - fy) + along_x[..., 1:] * fy).flatten(2)


class _WindowDots(torch.autograd.Function):
    """``dots[b, n, k] = source[b, n] . target[b, index[b, n, k]]``; nothing gathered outlives its chunk."""

    @staticmethod
    def forward(ctx: Any, source: Tensor, target: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(source, target, index)
        dots = source.new_empty(index.shape)
        for b, rows in _chunks(index, source.shape[-1]):
            gathered = target[b].index_select(0, index[b, rows].flatten()).unflatten(0, index[b, rows].shape)
            torch.matmul(gathered, source[b, rows, :, None], out=dots[b, rows, :, None])
        return dots

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        source, target, index = ctx.saved_tensors
        grad_source, grad_target = torch.empty_like(source), torch.zeros_like(target)
        for b, rows in _chunks(index, source.shape[-1]):
            flat = index[b, rows].flatten()
            gathered = target[b].index_select(0, flat).unflatten(0, index[b, rows].shape)
            grad_source[b, rows] = torch.matmul(grad[b, rows, None, :], gathered)[:, 0]
            grad_target[b].index_add_(0, flat, (grad[b, rows, :, None] * source[b, rows, None, :]).flatten(0, 1))
        return grad_source, grad_target, None


def _chunks(index: Tensor, channels: int) -> list[tuple[int, slice]]:
    """Sample and slice of its positions, each small enough to gather."""
    batch, positions, window = index.shape
    step = max(1, _CHUNK // (window * channels))
    return [(b, slice(start, start + step)) for b in range(batch) for start in range(0, positions, step)]
