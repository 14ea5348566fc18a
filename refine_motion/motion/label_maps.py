"""Label maps between pixels and the coarser cells that attention copies on; pixel-edge geometry throughout."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.compat import FIXED, Compat


def one_hot(ids: Tensor, classes: int) -> Tensor:
    """A map of label ids as one map of 0 and 1 for each label.

    Args:
        ids: ``(B, H, W)`` int64 in ``0..classes - 1``.
        classes: L, number of labels.

    Returns:
        ``(B, L, H, W)`` float32.
    """
    maps = torch.zeros(ids.shape[0], classes, *ids.shape[1:], device=ids.device)
    return maps.scatter_(1, ids[:, None], 1.0)


def to_cells(labels: Tensor, size: tuple[int, int], mode: str = "bilinear") -> Tensor:
    """Soft labels at the cells of a smaller map.

    Args:
        labels: ``(B, L, H, W)`` float.
        size: ``(h, w)`` of the cells.
        mode: ``"bilinear"`` reads the labels at the cells' centres, as published; ``"area"`` takes the mean over each
            cell.

    Returns:
        ``(B, L, h, w)``; sums over L stay what they are.
    """
    return F.interpolate(labels, size, mode=mode, align_corners=None if mode == "area" else False)


def ids_to_cells(
    ids: Tensor, size: tuple[int, int], classes: int, mode: str = "bilinear", compat: Compat = FIXED
) -> Tensor:
    """Label ids at the cells of a smaller map.

    Args:
        ids: ``(B, H, W)`` int64 in ``0..classes - 1``.
        size: ``(h, w)`` of the cells.
        classes: L, number of labels.
        mode: see :func:`to_cells`; the official rule knows bilinear values only.
        compat: whether ids become one-hot first, or are interpolated as the numbers that they are and cut off.

    Returns:
        ``(B, L, h, w)`` float32.
    """
    if compat.one_hot_first:
        return to_cells(one_hot(ids, classes), size, mode)
    mixed = F.interpolate(ids[:, None].float(), size, mode="bilinear", align_corners=False)
    return one_hot(mixed[:, 0].long(), classes)


def to_pixels(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Soft labels of cells at every pixel, bilinear.

    Args:
        labels: ``(B, L, h, w)`` float.
        size: ``(H, W)`` in pixels.

    Returns:
        ``(B, L, H, W)``; sums over L stay what they are.
    """
    return F.interpolate(labels, size, mode="bilinear", align_corners=False)
