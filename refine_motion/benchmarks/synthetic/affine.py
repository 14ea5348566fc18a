"""Affine maps of coordinate fields."""

from __future__ import annotations

from torch import Tensor


def affine(matrix: Tensor, xy: Tensor) -> Tensor:
    """``matrix`` applied to every coordinate.

    Args:
        matrix: ``(..., 2, 3)`` linear part and translation.
        xy: ``(2, h, w)``.

    Returns:
        ``(..., 2, h, w)`` in the dtype and on the device of ``xy``.
    """
    # Not a matrix product: training code lowers the precision of those (TF32, bf16) for the whole process.
    columns = matrix.to(xy)[..., None, None]
    found = columns[..., 0, :, :] * xy[0]
    found += columns[..., 1, :, :] * xy[1]
    found += columns[..., 2, :, :]
    return found
