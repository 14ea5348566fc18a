"""All-pairs correlation pyramid and its look-up (RAFT, Teed and Deng, ECCV 2020, arXiv 2003.12039)."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.grid import sample


class Correlation(Protocol):
    """What an update looks correlations up in: all pairs, or those on demand."""

    def lookup(self, coords: Tensor) -> Tensor:
        """Correlation in a window around each position's current target, see :class:`CorrelationPyramid`."""
        ...


def all_pairs(features_a: Tensor, features_b: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Scaled dot product of every position of ``a`` with every position of ``b``.

    Args:
        features_a: ``(B, C, H, W)``.
        features_b: ``(B, C, H, W)``.
        dtype: in which the products are taken; that of the features when not given.

    Returns:
        ``(B, H * W, H * W)`` in the dtype of the features: rows are positions of ``a``, columns of ``b``; divided by
        ``sqrt(C)``.
    """
    # Scaled before the product, which is the cheaper place by far.
    rows = (features_a * features_a.shape[1] ** -0.5).flatten(2).transpose(1, 2)
    return (rows.to(dtype or rows.dtype) @ features_b.flatten(2).to(dtype or rows.dtype)).to(rows.dtype)


def pyramid_bytes(batch: int, positions: int, levels: int = 4) -> int:
    """Memory of a float32 :class:`CorrelationPyramid` in bytes: quadratic in the number of positions."""
    return round(4 * batch * positions**2 * sum(0.25**level for level in range(levels)))


class CorrelationPyramid:
    """The correlation of each source position with the targets, at several scales of the target.

    Args:
        volume: ``(B, H * W, H * W)`` from :func:`all_pairs`.
        size: ``(H, W)`` of both feature maps.
        levels: number of scales; each halves the target by average pooling.
        radius: look-up window radius in cells of each scale.
    """

    def __init__(self, volume: Tensor, size: tuple[int, int], levels: int = 4, radius: int = 4):
        batch, positions = volume.shape[:2]
        self.radius = radius
        level = volume.reshape(batch * positions, 1, *size)
        self.levels = [level]
        for _ in range(levels - 1):
            level = F.avg_pool2d(level, 2, stride=2)
            self.levels.append(level)

    def lookup(self, coords: Tensor) -> Tensor:
        """Correlation in a window around each position's current target.

        Args:
            coords: ``(B, 2, H, W)`` target (x, y) of each source position, in cells of the finest scale.

        Returns:
            ``(B, levels * (2r + 1)^2, H, W)``. Within a level the first window axis moves in x and the second in y:
            the official order, on which published weights depend.
        """
        batch, _, height, width = coords.shape
        r = self.radius
        offset = torch.arange(-r, r + 1, device=coords.device, dtype=coords.dtype)
        window = torch.stack(torch.meshgrid(offset, offset, indexing="ij"))
        centre = coords.permute(0, 2, 3, 1).reshape(-1, 2, 1, 1)
        found = [
            sample(level, centre / 2**i + window).reshape(batch, height, width, -1)
            for i, level in enumerate(self.levels)
        ]
        return torch.cat(found, dim=-1).permute(0, 3, 1, 2).contiguous()
