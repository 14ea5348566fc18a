"""Optical-flow metrics as torchmetrics classes, over the pure functions of :mod:`.functional.flow`.

States are sums and counts, so values of several processes (or several sequences, through ``merge_state``) are added and
give what one process with all the pixels gives.

**Precision.** A benchmark has 10^8 pixels and more; a float32 sum would stop taking in small errors, and a float64
state does not exist on Apple's GPUs. So a sum is kept in two states: its whole pixels as int64, which is exact, and the
remainder of each update, below 1, as float32. Both merge by plain addition, which is what torchmetrics does in
``forward``, in ``merge_state`` and between processes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from refine_motion.metrics.functional.flow import (
    end_point_error_map,
    known_pixels,
    moves_at,
    near_motion_boundary,
    outliers,
)


class _PixelMean(Metric):
    """Mean of a value per pixel over a region of pixels; subclasses say which value and which region.

    The pixels of all images are pooled (Sintel; KITTI's Fl-all). KITTI's end-point error, a mean over images of the
    mean of each, is the mean of the rows that an evaluation with a sequence per pair gives.

    Attributes:
        skipped_images: number of images so far without any pixel to score. They take no part in the mean; when no
            image has a pixel the value is nan.
    """

    is_differentiable = False
    full_state_update = False

    whole: Tensor
    remainder: Tensor
    count: Tensor
    skipped_images: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("whole", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("remainder", torch.zeros((), dtype=torch.float32), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("skipped_images", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Value of each pixel and the pixels that count, both ``(..., H, W)``."""

    def update(self, pred: Tensor, target: Tensor, valid: Tensor | None = None) -> None:
        """Take in estimates and truth, ``(B, 2, H, W)`` or ``(2, H, W)`` in pixels.

        Args:
            pred: estimated flow.
            target: true flow.
            valid: where the truth is known, ``(B, H, W)`` or ``(H, W)``; without it, where both components are finite
                and below 1000 px.

        Raises:
            ValueError: when the shapes do not fit one another.
        """
        values, region = self._values_and_region(pred, target, known_pixels(target, valid))
        # Float64 where the device has it; an unscored pixel may hold nan, so no product with the mask.
        exact = torch.float32 if values.device.type == "mps" else torch.float64
        total = torch.where(region, values, 0).sum(dtype=exact)
        counts = region.flatten(-2).sum(dim=-1)
        self.skipped_images += (counts == 0).sum()
        # A sum that is not finite cannot be an integer: it goes through the remainder and stays visible in the value.
        whole = torch.where(total.isfinite(), total.floor(), 0)
        self.whole += whole.to(torch.int64)
        self.remainder += (total - whole).to(torch.float32)
        self.count += counts.sum()

    def compute(self) -> Tensor:
        """The mean so far, float32; nan when no pixel was scored."""
        total = self.whole.cpu().double() + self.remainder.cpu().double()
        return (total / self.count.cpu()).float().to(self.count.device)


class EndPointError(_PixelMean):
    r"""Mean end-point error, :math:`\lVert \hat f - f \rVert_2`, in pixels.

    >>> metric = EndPointError()
    >>> metric.update(torch.ones(1, 2, 4, 5), torch.zeros(1, 2, 4, 5))
    >>> metric.compute()
    tensor(1.4142)
    """

    higher_is_better = False

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return end_point_error_map(pred, target), known


class PixelAccuracy(_PixelMean):
    """Share of pixels with an error strictly below ``threshold`` px; 0 to 1.

    Args:
        threshold: pixels; 1, 3 and 5 are customary.

    >>> metric = PixelAccuracy(threshold=1)
    >>> metric.update(torch.tensor([[[0.0, 1.0]], [[0.0, 0.0]]]), torch.zeros(2, 1, 2))
    >>> metric.compute()
    tensor(0.5000)
    """

    higher_is_better = True

    def __init__(self, threshold: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.threshold = threshold

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return (end_point_error_map(pred, target) < self.threshold).float(), known


class FlAll(_PixelMean):
    """Per cent of pixels with an error above 3 px and above 5 % of the true speed (KITTI 2015); 0 to 100.

    >>> metric = FlAll()
    >>> metric.update(torch.full((2, 1, 1), 4.0), torch.zeros(2, 1, 1))
    >>> metric.compute()
    tensor(100.)
    """

    higher_is_better = False

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return 100 * outliers(pred, target).float(), known


class SpeedEndPointError(_PixelMean):
    """End-point error where the true speed lies in ``[low, high)`` px per frame, in pixels (MPI-Sintel's s0-10 etc.).

    Args:
        low: smallest speed, included.
        high: largest speed, excluded.

    >>> metric = SpeedEndPointError(10, 40)
    >>> metric.update(torch.zeros(2, 1, 2), torch.tensor([[[5.0, 20.0]], [[0.0, 0.0]]]))
    >>> metric.compute()
    tensor(20.)
    """

    higher_is_better = False

    def __init__(self, low: float, high: float = math.inf, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.low, self.high = low, high

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return end_point_error_map(pred, target), known & moves_at(target, self.low, self.high)


class BoundaryEndPointError(_PixelMean):
    """End-point error at most 5 px from a motion boundary of the true flow, in pixels.

    The definition is that of :func:`refine_motion.metrics.functional.flow.near_motion_boundary`.

    >>> step = torch.zeros(2, 8, 32)
    >>> step[0, :, 16:] = 2.0
    >>> metric = BoundaryEndPointError()
    >>> metric.update(torch.zeros(2, 8, 32), step)
    >>> metric.compute()
    tensor(1.)
    """

    higher_is_better = False

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return end_point_error_map(pred, target), known & near_motion_boundary(target, known)


def flow_metrics() -> MetricCollection:
    """The metrics of a flow benchmark, pooled over pixels, under their customary names.

    ``epe``, ``px1_acc``, ``px3_acc``, ``px5_acc`` (0 to 1), ``fl_all`` (per cent), ``epe_s0_10``, ``epe_s10_40``,
    ``epe_s40`` (by true speed) and ``epe_boundary``.

    >>> metrics = flow_metrics()
    >>> metrics.update(torch.ones(1, 2, 4, 5), torch.zeros(1, 2, 4, 5))
    >>> round(float(metrics.compute()["epe"]), 4)
    1.4142
    """
    metrics: dict[str, Metric | MetricCollection] = {
        "epe": EndPointError(),
        "px1_acc": PixelAccuracy(1),
        "px3_acc": PixelAccuracy(3),
        "px5_acc": PixelAccuracy(5),
        "fl_all": FlAll(),
        "epe_s0_10": SpeedEndPointError(0, 10),
        "epe_s10_40": SpeedEndPointError(10, 40),
        "epe_s40": SpeedEndPointError(40),
        "epe_boundary": BoundaryEndPointError(),
    }
    # torchmetrics merges metrics whose states agree after the first batch, and updates only one of them from then on:
    # a first batch of small motion would make "all pixels" and "slow pixels" one metric for the whole run.
    return MetricCollection(metrics, compute_groups=False)
