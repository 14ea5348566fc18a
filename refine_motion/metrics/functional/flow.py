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
matched, unmatched   mean of e over V where the pixel is visible in the second frame, or is not
WAUC                 per cent, with weights that fall with e (see :func:`wauc_map`)
near boundaries      mean of e over V near a motion boundary of f (see :func:`near_motion_boundary`)
===================  ==================================================================================

Shapes are ``(B, 2, H, W)`` or ``(2, H, W)`` for flow in pixels, channel 0 = x to the right and 1 = y down, and the same
without the channel for masks. Definitions follow princeton-vl/RAFT ``evaluate.py`` (EPE, 1/3/5 px, Fl-all) and the
MPI-Sintel benchmark (speed bins).

**Several true vectors per pixel.** The Spring benchmark has the truth at twice the size of the frames, four vectors for
each of their pixels. Such a truth is ``(B, K, 2, H, W)``, and with f_k its vectors, as in cv-stuttgart/springwebsite
``evaluation.py``, e is the least of the K errors, m in Fl-all the largest of the K speeds, m in the speed bins their
mean, and a pixel is known where all K are. Boundaries are those of the first.
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
        target: true flow of the same shape, or ``(B, K, 2, H, W)``: the nearest of K true vectors counts.

    Returns:
        ``(B, H, W)`` or ``(H, W)`` float, pixels, 0 or more.

    Raises:
        ValueError: when the shapes differ or are not those of a flow map.

    >>> end_point_error_map(torch.tensor([[[3.0]], [[4.0]]]), torch.zeros(2, 1, 1))
    tensor([[5.]])
    """
    _check_shapes(pred, target)
    if target.ndim == 5:
        return _length(pred[:, None] - target).amin(dim=1)
    return _length(pred - target)


def wauc_map(error: Tensor) -> Tensor:
    r"""What each pixel adds to the weighted area under the curve of accuracies; its mean over an image is the WAUC.

    .. math:: \frac{100}{\sum_i w_i} \sum_{i=1}^{100} w_i\, [e \le i/20], \qquad w_i = 1 - \frac{i-1}{100}

    So 100 where the error is at most 0.05 px, 0 where it is above 5 px or not a number. The measure of the VIPER and
    Spring benchmarks (cv-stuttgart/springwebsite ``evaluation.py``).

    Args:
        error: end-point errors in pixels, any shape.

    Returns:
        The shape of ``error``, 0 to 100; float64 where the device has it.

    >>> wauc_map(torch.tensor([0.0, 2.5, 5.01])).round(decimals=3)
    tensor([100.0000,  26.2570,   0.0000], dtype=torch.float64)
    """
    # In float64, because 1/20 px and most of its multiples are no float32.
    exact = error.to(exact_dtype(error))
    limits = torch.arange(1, 101, device=error.device, dtype=exact.dtype) / 20
    weights = 1 - torch.arange(100, device=error.device, dtype=exact.dtype) / 100
    # An error between two limits gets the weights of all limits from the next one on.
    share = F.pad(weights.flip(0).cumsum(0).flip(0), (0, 1)) * (100 / weights.sum())
    return share[torch.bucketize(exact.nan_to_num(nan=torch.inf, posinf=torch.inf), limits)]


def exact_dtype(values: Tensor) -> torch.dtype:
    """The type in which to sum: float64, or float32 on Apple's GPUs, which have nothing better."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def known_pixels(target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Pixels whose truth is known: ``valid`` where given, else both components finite and below 1000 px.

    The 1000 px rule is that of RAFT for truth without a mask; Middlebury marks unknown flow by values above 1e9.

    Args:
        target: true flow, ``(B, 2, H, W)``, ``(2, H, W)`` or ``(B, K, 2, H, W)``, pixels.
        valid: bool, or a number that is 0.5 or more where known, ``(B, H, W)`` or ``(H, W)``.

    Returns:
        bool, ``(B, H, W)`` or ``(H, W)``.

    Raises:
        ValueError: when ``valid`` has another shape. It is never broadcast: a mask ``(B, 1, H, W)`` would silently
            mix the samples of a batch.

    >>> known_pixels(torch.tensor([[[1.0, 2e9, float("nan")]], [[0.0, 2e9, 0.0]]]))
    tensor([[ True, False, False]])
    """
    if valid is None:
        known = (target.abs() < _LARGEST_KNOWN).all(dim=-3)
        return known.all(dim=1) if target.ndim == 5 else known
    expected = (*(target.shape[:1] if target.ndim > 3 else ()), *target.shape[-2:])
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
    speed = _length(target).amax(dim=1) if target.ndim == 5 else _length(target)
    return ~((error <= 3.0) | (error <= 0.05 * speed))


def moves_at(target: Tensor, low: float, high: float) -> Tensor:
    """Pixels whose true speed lies in ``[low, high)`` px per frame; bool ``(..., H, W)``."""
    speed = _length(target).mean(dim=1) if target.ndim == 5 else _length(target)
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
    target = target[:, 0] if target.ndim == 5 else target
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
    if flow.ndim == 5:
        return length(flow.flatten(0, 1)).unflatten(0, flow.shape[:2])
    return length(flow) if flow.ndim == 4 else length(flow[None])[0]


def _check_shapes(pred: Tensor, target: Tensor) -> None:
    if target.ndim not in (3, 4, 5) or target.shape[-3] != 2:
        raise ValueError(f"a flow has shape (B, 2, H, W) or (2, H, W), not {tuple(target.shape)}")
    if pred.shape != (target[:, 0] if target.ndim == 5 else target).shape:
        raise ValueError(f"estimate and truth differ in shape: {tuple(pred.shape)} and {tuple(target.shape)}")
