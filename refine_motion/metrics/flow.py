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
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from refine_motion.metrics.functional.flow import (
    end_point_error_map,
    exact_dtype,
    known_pixels,
    moves_at,
    near_motion_boundary,
    outliers,
    wauc_map,
)

# The sums and counts behind one metric, as plain numbers.
Sums = dict[str, float]


class _PixelMean(Metric):
    """Mean of a value per pixel over a region of pixels; subclasses say which value and which region.

    The pixels of all images are pooled (Sintel; KITTI's Fl-all), unless a subclass says ``per_image``: then the value
    is a mean over images of the mean of each (KITTI's end-point error, WAUC).

    Attributes:
        per_image: whether images weigh the same, and not pixels.
        skipped_images: number of images so far without any pixel to score. They take no part in the mean; when no
            image has a pixel the value is nan.
    """

    is_differentiable = False
    full_state_update = False
    per_image = False

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
            target: true flow, or ``(B, K, 2, H, W)``: K true vectors for each pixel.
            valid: where the truth is known, ``(B, H, W)`` or ``(H, W)``; without it, where both components are finite
                and below 1000 px.

        Raises:
            ValueError: when the shapes do not fit one another.
        """
        self._take(*self._values_and_region(pred, target, known_pixels(target, valid)))

    def _take(self, values: Tensor, region: Tensor) -> None:
        # An unscored pixel may hold nan, so no product with the mask.
        sums = torch.where(region, values, 0).flatten(-2).sum(dim=-1, dtype=exact_dtype(values))
        counts = region.flatten(-2).sum(dim=-1)
        self.skipped_images += (counts == 0).sum()
        if self.per_image:
            sums, counts = torch.where(counts > 0, sums / counts, 0), counts > 0
        total = sums.sum()
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


class ImageEndPointError(EndPointError):
    """Mean over images of the mean end-point error of each, in pixels: the EPE of the KITTI protocol.

    >>> metric = ImageEndPointError()
    >>> metric.update(torch.zeros(2, 1, 1), torch.tensor([[[3.0]], [[0.0]]]))
    >>> metric.update(torch.zeros(2, 1, 3), torch.ones(2, 1, 3) * torch.tensor([1.0, 0.0]).view(2, 1, 1))
    >>> metric.compute()
    tensor(2.)
    """

    per_image = True


class WeightedAreaUnderCurve(_PixelMean):
    """WAUC: mean over images of the weighted share of pixels with an error of at most 0.05, 0.1 … 5 px; 0 to 100.

    The definition is that of :func:`refine_motion.metrics.functional.flow.wauc_map`. The mean over images is that of
    hmorimitsu/ptlflow; the server of the Spring benchmark pools the pixels that it samples, as many from each image.

    >>> metric = WeightedAreaUnderCurve()
    >>> metric.update(torch.zeros(2, 1, 2), torch.tensor([[[0.0, 6.0]], [[0.0, 0.0]]]))
    >>> metric.compute()
    tensor(50.)
    """

    higher_is_better = True
    per_image = True

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return wauc_map(end_point_error_map(pred, target)), known


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


class MatchedEndPointError(_PixelMean):
    """End-point error of the pixels that are visible in the second frame, or of those that are not, in pixels.

    Args:
        matched: whether it is of the visible ones.

    >>> metric = MatchedEndPointError(matched=False)
    >>> metric.update(torch.zeros(2, 1, 2), torch.tensor([[[5.0, 20.0]], [[0.0, 0.0]]]), None, torch.tensor([[1, 0]]))
    >>> metric.compute()
    tensor(20.)
    """

    higher_is_better = False

    def __init__(self, matched: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.matched = matched

    def _values_and_region(self, pred: Tensor, target: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        return end_point_error_map(pred, target), known

    def update(self, pred: Tensor, target: Tensor, valid: Tensor | None = None, matched: Tensor | None = None) -> None:
        """Take in estimates and truth.

        Args:
            pred: see :meth:`EndPointError.update`.
            target: likewise.
            valid: likewise.
            matched: where the pixel is visible in the second frame, the shape of ``valid``; without it nothing is
                scored, and the value stays nan.

        Raises:
            ValueError: when the shapes do not fit one another.
        """
        if matched is None:
            return
        visible = known_pixels(target, matched)
        values, known = self._values_and_region(pred, target, known_pixels(target, valid))
        self._take(values, known & (visible if self.matched else ~visible))


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
    """The metrics of a flow benchmark under their customary names; pooled over pixels where nothing else is said.

    ``epe``, ``px1_acc``, ``px3_acc``, ``px5_acc`` (0 to 1), ``fl_all`` (per cent), ``epe_s0_10``, ``epe_s10_40``,
    ``epe_s40`` (by true speed), ``epe_boundary``, ``wauc`` (0 to 100, mean over images), ``epe_image`` (mean over
    images), ``epe_matched`` and ``epe_unmatched`` (nan unless ``update`` is given ``matched=``).

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
        "wauc": WeightedAreaUnderCurve(),
        "epe_image": ImageEndPointError(),
        "epe_matched": MatchedEndPointError(),
        "epe_unmatched": MatchedEndPointError(matched=False),
    }
    # torchmetrics merges metrics whose states agree after the first batch, and updates only one of them from then on:
    # a first batch of small motion would make "all pixels" and "slow pixels" one metric for the whole run.
    return MetricCollection(metrics, compute_groups=False)


def sums_of(metrics: MetricCollection) -> dict[str, Sums]:
    """The sums and counts behind each metric, as plain numbers that can be kept by image and sent between processes."""
    return {
        name: {state: value.item() for state, value in cast(dict[str, Tensor], metric.metric_state).items()}
        for name, metric in metrics.items()
    }


def from_sums(parts: Iterable[dict[str, Sums]]) -> MetricCollection:
    """The flow metrics of several images together, from what :func:`sums_of` gave for each.

    >>> metrics, shares = flow_metrics(), []
    >>> for error in (1.0, 4.0):
    ...     metrics.reset()
    ...     metrics.update(torch.tensor([[[error]], [[0.0]]]), torch.zeros(2, 1, 1))
    ...     shares.append(sums_of(metrics))
    >>> from_sums(shares).compute()["epe"]
    tensor(2.5000)
    """
    metrics = flow_metrics()
    listed = list(parts)
    for name, metric in metrics.items():
        for state, value in cast(dict[str, Tensor], metric.metric_state).items():
            total = sum(part[name][state] for part in listed)
            setattr(metric, state, torch.tensor(total, dtype=value.dtype))
        metric._update_count = len(listed)  # else torchmetrics warns of a metric without data
    return metrics
