"""Values per pixel and regions of pixels, from which the optical-flow metrics are made; pure functions.

Every metric is the mean of such a value over such a region. With the estimate :math:`\\hat f`, the truth
:math:`f` and the region of known truth :math:`V`:

.. math:: e(x) = \\lVert \\hat f(x) - f(x) \\rVert_2, \\qquad m(x) = \\lVert f(x) \\rVert_2

===================  ==================================================================================
metric               definition
===================  ==================================================================================
end-point error      mean of e over V
accuracy at k px     share of V with e < k
Fl-all               per cent of V with e > 3 px and e > 0.05 m
speed bin            mean of e over V where low <= m < high
near boundaries      mean of e over V near a motion boundary of f (see :func:`near_motion_boundary`)
===================  ==================================================================================

Shapes are ``(B, 2, H, W)`` or ``(2, H, W)`` for flow in pixels, channel 0 = x to the right and 1 = y down, and the same
without the channel for masks. Definitions follow princeton-vl/RAFT ``evaluate.py`` (EPE, 1/3/5 px, Fl-all) and the
MPI-Sintel benchmark (speed bins).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from refine_motion.motion.grid import length

BOUNDARY_STEP = 1.0
BOUNDARY_RADIUS = 5
_LARGEST_KNOWN = 1000.0


def end_point_error_map(pred: Tensor, target: Tensor) -> Tensor:
    """End-point error of each pixel.

    Args:
        pred: estimated flow, ``(B, 2, H, W)`` or ``(2, H, W)``, pixels.
        target: true flow of the same shape.

    Returns:
        ``(B, H, W)`` or ``(H, W)`` float, pixels, 0 or more.

    Raises:
        ValueError: when the shapes differ or are not those of a flow map.

    >>> end_point_error_map(torch.tensor([[[3.0]], [[4.0]]]), torch.zeros(2, 1, 1))
    tensor([[5.]])
    """
    _check_shapes(pred, target)
    return _length(pred - target)


def known_pixels(target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pixels whose truth is known: ``valid`` where given, else both components finite and below 1000 px.

    The 1000 px rule is that of RAFT for truth without a mask; Middlebury marks unknown flow by values above 1e9.

    Args:
        target: true flow, ``(B, 2, H, W)`` or ``(2, H, W)``, pixels.
        valid: bool, or a number that is 0.5 or more where known, ``(B, H, W)`` or ``(H, W)``.

    Returns:
        bool, the shape of ``target`` without its channels.

    Raises:
        ValueError: when ``valid`` has another shape. It is never broadcast: a mask ``(B, 1, H, W)`` would silently
            mix the samples of a batch.

    >>> known_pixels(torch.tensor([[[1.0, 2e9, float("nan")]], [[0.0, 2e9, 0.0]]]))
    tensor([[ True, False, False]])
    """
    if valid is None:
        return (target.abs() < _LARGEST_KNOWN).all(dim=-3)
    expected = (*target.shape[:-3], *target.shape[-2:])
    if valid.shape != expected:
        raise ValueError(f"valid has shape {tuple(valid.shape)}; a flow of {tuple(target.shape)} needs {expected}")
    return valid if valid.dtype == torch.bool else valid >= 0.5


def outliers(pred: Tensor, target: Tensor) -> Tensor:
    """KITTI's outliers: an error above 3 px and above 5 % of the true speed (both strict); bool ``(..., H, W)``.

    A flow that is not a number counts as an outlier.

    >>> outliers(torch.tensor([[[84.0, 83.0]], [[0.0, 0.0]]]), torch.tensor([[[80.0, 79.0]], [[0.0, 0.0]]]))
    tensor([[False,  True]])
    """
    error = end_point_error_map(pred, target)
    speed = _length(target)
    return ~((error <= 3.0) | (error <= 0.05 * speed))


def moves_at(target: Tensor, low: float, high: float) -> Tensor:
    """Pixels whose true speed lies in ``[low, high)`` px per frame; bool ``(..., H, W)``."""
    speed = _length(target)
    return (speed >= low) & (speed < high)


def near_motion_boundary(target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pixels at most 5 px from a motion boundary of the true flow.

    A pixel lies *on* a boundary when the true flow of one of its four neighbours differs from its own by more than
    1 px (Euclidean norm of the difference of the two vectors: the one-sided finite difference along x or y), so a
    boundary is two pixels wide and marks both sides alike. *Near* is a Chebyshev distance of at most 5 px: the boundary
    dilated by an 11 x 11 box. A pair of pixels with an unknown member makes no boundary.

    This is our definition. It follows the construction of Middlebury's "disc" region (Baker et al., IJCV 2011: gradient
    of the true flow, threshold, dilation by a box) with a threshold and a box that are stated here, so its values
    compare with one another and not with published tables.

    Args:
        target: true flow, ``(B, 2, H, W)`` or ``(2, H, W)``, pixels.
        valid: where it is known (see :func:`known_pixels`).

    Returns:
        bool, ``(B, H, W)`` or ``(H, W)``.

    >>> step = torch.zeros(2, 1, 16)
    >>> step[0, :, 8:] = 2.0
    >>> near_motion_boundary(step).int().tolist()
    [[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]]
    """
    known = known_pixels(target, valid)
    edge = torch.zeros_like(known)
    for dim in (-2, -1):
        n = target.shape[dim] - 1
        step = _length(target.narrow(dim, 1, n) - target.narrow(dim, 0, n))
        is_boundary = (step > BOUNDARY_STEP) & known.narrow(dim, 1, n) & known.narrow(dim, 0, n)
        edge.narrow(dim, 1, n).logical_or_(is_boundary)
        edge.narrow(dim, 0, n).logical_or_(is_boundary)
    batch = edge.to(target.dtype).reshape(-1, 1, *edge.shape[-2:])
    size, r = 2 * BOUNDARY_RADIUS + 1, BOUNDARY_RADIUS
    # A box is separable: two line filters instead of one of size x size.
    wide = F.max_pool2d(batch, (1, size), stride=1, padding=(0, r))
    return F.max_pool2d(wide, (size, 1), stride=1, padding=(r, 0)).reshape(edge.shape) > 0


def _length(flow: Tensor) -> Tensor:
    return length(flow) if flow.ndim == 4 else length(flow[None])[0]


def _check_shapes(pred: Tensor, target: Tensor) -> None:
    if target.ndim not in (3, 4) or target.shape[-3] != 2:
        raise ValueError(f"a flow has shape (B, 2, H, W) or (2, H, W), not {tuple(target.shape)}")
    if pred.shape != target.shape:
        raise ValueError(f"estimate and truth differ in shape: {tuple(pred.shape)} and {tuple(target.shape)}")
