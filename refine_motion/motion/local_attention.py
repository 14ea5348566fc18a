"""Attention restricted to a square window, in plain torch and with memory linear in the window.

A tile of target cells is multiplied with the one patch of the reference that holds the windows of all its cells; of the
products, those inside each cell's own window are read off as a strided view. Copying labels is the same the other way
round. No window is ever unfolded, which would take ``(2R + 1)^2`` copies of the features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.attention import Attention, at_least_float32, check_features

# Side of a tile in cells. A larger one multiplies more cells that lie in no window, a smaller one has less to multiply
# at a time.
_TILE = 8
# What stands in for minus infinity in the official code.
_OFFICIAL_OUTSIDE = -1e10


@dataclass(frozen=True)
class LocalAttention(Attention):
    """Each target cell looks at the reference cells at most ``radius`` rows and columns away from its own place.

    Attributes:
        radius: R in cells; a window has ``(2R + 1)^2`` of them, fewer at the border of the image.
    """

    radius: int = 6

    def __post_init__(self) -> None:
        """Refuse values that cannot work.

        Raises:
            ConfigError: the radius is negative; or see :class:`refine_motion.motion.attention.Attention`.
        """
        super().__post_init__()
        if self.radius < 0:
            raise ConfigError(f"attention.radius must be at least 0 cells, got {self.radius}")

    def logits(self, target: Tensor, references: Tensor) -> Tensor:
        """See :meth:`refine_motion.motion.attention.Attention.logits`.

        Returns:
            ``(B, h, w, n, 2R + 1, 2R + 1)``: the last two axes are the offsets (dy, dx) from -R to R; minus infinity
            where they lead out of the image.
        """
        check_features(target, references)
        return self._logits(target, self._surround(references), 0, target.shape[2])

    def copy(self, weights: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`refine_motion.motion.attention.Attention.copy`."""
        return _weighted_sum(weights, self._surround_labels(labels), self.radius)

    def attend(self, target: Tensor, references: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`refine_motion.motion.attention.Attention.attend`.

        It works in bands of rows, so that without gradients the memory does not grow with the height.
        """
        check_features(target, references)
        around, labels_around = self._surround(references), self._surround_labels(labels)
        height, copied = target.shape[2], []
        for top in range(0, height, _TILE):
            bottom = min(top + _TILE, height)
            reach = slice(top, bottom + 2 * self.radius)
            logits = self._logits(target[:, :, top:bottom], around[..., reach, :], top, height)
            copied.append(_weighted_sum(self._softmax(logits), labels_around[..., reach, :], self.radius))
        return torch.cat(copied, dim=2)

    def _surround(self, maps: Tensor, mode: str = "constant") -> Tensor:
        """``(B, n, C, h, w)`` with ``radius`` more cells on each side."""
        return F.pad(maps.flatten(0, 1), (self.radius,) * 4, mode=mode).unflatten(0, maps.shape[:2])

    def _surround_labels(self, labels: Tensor) -> Tensor:
        return self._surround(labels, "constant" if self.compat.exact_border else "replicate")

    def _logits(self, target: Tensor, around: Tensor, top: int, height: int) -> Tensor:
        """Logits of the target's rows from ``top`` on, given the references' ``radius`` cells further on each side."""
        dots = at_least_float32(_dot_products(self._scale(target), around, self.radius))
        if not self.compat.exact_border:
            return dots.masked_fill(dots == 0, _OFFICIAL_OUTSIDE)
        offset = torch.arange(-self.radius, self.radius + 1, device=dots.device)
        rows, columns = (torch.arange(side, device=dots.device)[:, None] + offset for side in target.shape[2:])
        out_y = (rows + top < 0) | (rows + top >= height)
        out_x = (columns < 0) | (columns >= target.shape[3])
        outside = out_y[:, None, None, :, None] | out_x[None, :, None, None, :]
        return dots.masked_fill(outside, -torch.inf)


def _dot_products(target: Tensor, around: Tensor, radius: int) -> Tensor:
    """Products of each cell with its window.

    Args:
        target: ``(B, C, h, w)``.
        around: ``(B, n, C, h + 2R, w + 2R)``.
        radius: R.

    Returns:
        ``(B, h, w, n, 2R + 1, 2R + 1)``.
    """
    height, width = target.shape[2:]
    tiled = F.pad(target, (0, -width % _TILE, 0, -height % _TILE))
    tiled = tiled.unflatten(3, (-1, _TILE)).unflatten(2, (-1, _TILE))
    cells = tiled.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)
    dots = cells[:, None] @ _patches(around, radius)
    # (B, n, rows of tiles, columns of tiles, row in the tile, column in the tile, dy, dx)
    windows = dots.contiguous().as_strided(*_windows(dots.shape[:4], radius))
    cells_first = windows.permute(0, 2, 4, 3, 5, 1, 6, 7)
    return cells_first.flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _weighted_sum(weights: Tensor, around: Tensor, radius: int) -> Tensor:
    """Sums over windows.

    Args:
        weights: ``(B, h, w, n, 2R + 1, 2R + 1)``.
        around: ``(B, n, L, h + 2R, w + 2R)``.
        radius: R.

    Returns:
        ``(B, L, h, w)`` in the type of the weights.
    """
    height, width = weights.shape[1:3]
    tiled = F.pad(weights, (0, 0) * 3 + (0, -width % _TILE, 0, -height % _TILE))
    tiled = tiled.unflatten(2, (-1, _TILE)).unflatten(1, (-1, _TILE))
    windows = tiled.permute(0, 5, 1, 3, 2, 4, 6, 7)
    side = _TILE + 2 * radius
    spread = weights.new_zeros(*windows.shape[:4], _TILE**2, side**2)
    spread = spread.as_strided_scatter(windows, *_windows(windows.shape[:4], radius))
    with torch.autocast(weights.device.type, enabled=False):
        patches = _patches(around.to(weights.dtype), radius).transpose(4, 5)
        summed = (spread @ patches).sum(dim=1)
    cells = summed.unflatten(3, (_TILE, _TILE)).permute(0, 5, 1, 3, 2, 4)
    return cells.flatten(4, 5).flatten(2, 3)[:, :, :height, :width]


def _patches(around: Tensor, radius: int) -> Tensor:
    """Of ``(B, n, C, h + 2R, w + 2R)`` the patch of each tile: ``(B, n, tile rows, tile columns, C, side * side)``."""
    height, width = (side - 2 * radius for side in around.shape[3:])
    side = _TILE + 2 * radius
    padded = F.pad(around, (0, -width % _TILE, 0, -height % _TILE))
    patches = padded.unfold(3, side, _TILE).unfold(4, side, _TILE)
    return patches.permute(0, 1, 3, 4, 2, 5, 6).flatten(5)


def _windows(leading: Sequence[int], radius: int) -> tuple[list[int], list[int]]:
    """Size and stride under which contiguous products of tiles and patches show each cell's own window.

    Of cell (y, x) of a tile, the candidate (dy, dx) is at (y + dy, x + dx) of the patch: a diagonal.

    Args:
        leading: the four axes before those of tile cells and patch cells.
        radius: R.
    """
    window, side = 2 * radius + 1, _TILE + 2 * radius
    size = [*leading, _TILE, _TILE, window, window]
    stride = [_TILE**2 * side**2] * 4
    for axis in (2, 1, 0):
        stride[axis] = stride[axis + 1] * leading[axis + 1]
    return size, [*stride, _TILE * side**2 + side, side**2 + 1, side, 1]
