"""Track metrics as torchmetrics classes, over the pure functions of :mod:`.functional.tracks`.

A video is one update, and the value is the plain mean over videos, as in all published benchmarks of tracks. States are
float64 sums and counts, so several processes give what one gives; Apple's GPUs have no float64, so leave these metrics
on the CPU there, where tracks are anyway.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from refine_motion.metrics.functional.tracks import (
    THRESHOLDS,
    QueryMode,
    average_trajectory_error,
    correct_keypoints,
    correct_transfers,
    counted,
    distance,
    median_trajectory_error,
    survival,
    tap_vid,
    within_thresholds,
)


class _VideoMean(Metric):
    """Mean over videos of scores of each; a video in which a score is not a number takes no part in that one.

    Attributes:
        names: of the scores.
        videos: how many there were.
    """

    is_differentiable = False
    full_state_update = False
    names: tuple[str, ...]
    sums: Tensor
    counts: Tensor
    videos: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sums", torch.zeros(len(self.names), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(len(self.names), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("videos", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def _scores(self, *args: Any) -> dict[str, Tensor]:
        """Scores of one video by name."""

    def update(self, *args: Any) -> None:
        """Take in a video; see the class for the arguments."""
        scores = self._scores(*args)
        values = torch.stack([scores[name].double() for name in self.names]).to(self.sums.device)
        known = ~values.isnan()
        self.sums += torch.where(known, values, 0.0)
        self.counts += known
        self.videos += 1

    def compute(self) -> dict[str, Tensor]:
        """Means by name, float64; not a number where no video has the score."""
        return dict(zip(self.names, self.sums / self.counts, strict=True))

    def skipped(self) -> dict[str, int]:
        """Videos without each score."""
        return dict(zip(self.names, (self.videos - self.counts).tolist(), strict=True))


class TapVid(_VideoMean):
    """Average Jaccard, delta at each threshold and occlusion accuracy; see :func:`.functional.tracks.tap_vid`.

    ``update(pred, pred_visible, target, visible, query_frames)``: places ``(T, N, 2)``, visibility ``(T, N)`` bool,
    frame of each query ``(N,)``.

    Args:
        mode: which frames count: those after the query (``first``), or all but it (``strided``).

    >>> metric, place, seen = TapVid("first"), torch.zeros(3, 1, 2), torch.ones(3, 1, dtype=torch.bool)
    >>> metric.update(place + 3, seen, place, seen, torch.zeros(1))
    >>> float(metric.compute()["delta_avg"])
    0.4
    """

    higher_is_better = True
    names = (
        "aj",
        "delta_avg",
        "oa",
        *(f"delta_{k}" for k in THRESHOLDS),
        *(f"jaccard_{k}" for k in THRESHOLDS),
    )

    def __init__(self, mode: QueryMode, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mode: QueryMode = mode

    def _scores(
        self, pred: Tensor, pred_visible: Tensor, target: Tensor, visible: Tensor, query_frames: Tensor
    ) -> dict[str, Tensor]:
        return tap_vid(pred, pred_visible, target, visible, counted(query_frames, len(pred), self.mode))


class TrackErrors(_VideoMean):
    """What PIPs and PIPs++ report: ``d_avg`` and ``d_1`` to ``d_16``, survival, median and average trajectory error.

    ``update(pred, target, valid, visible, query_frames=None)``: places ``(T, N, 2)``, where the truth is known and
    where the point is seen ``(T, N)`` bool, frame of each query ``(N,)``, the first when it is not given.
    ``ate_visible`` is of tracks that are seen in every frame in which their place is known, ``ate_occluded`` of the
    others: PIPs' two columns of CroHD, where it is known in all frames.

    Args:
        survival_threshold: in pixels; part of the name of the score.
    """

    names: tuple[str, ...] = ()

    def __init__(self, survival_threshold: float = 50.0, **kwargs: Any) -> None:
        self.names = (
            "d_avg",
            *(f"d_{k}" for k in THRESHOLDS),
            f"survival_{survival_threshold:g}",
            "median_error",
            "ate",
            "ate_visible",
            "ate_occluded",
        )
        super().__init__(**kwargs)
        self.survival_threshold = survival_threshold
        self.add_state("skipped_tracks", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    skipped_tracks: Tensor

    def _scores(
        self, pred: Tensor, target: Tensor, valid: Tensor, visible: Tensor, query_frames: Tensor | None = None
    ) -> dict[str, Tensor]:
        away = distance(pred, target)
        median, skipped = median_trajectory_error(away, valid)
        self.skipped_tracks += skipped
        throughout = (visible | ~valid).all(dim=0)
        return within_thresholds(away, valid) | {
            f"survival_{self.survival_threshold:g}": survival(away, valid, self.survival_threshold, query_frames),
            "median_error": median,
            "ate": average_trajectory_error(away, valid),
            "ate_visible": average_trajectory_error(away, valid & throughout),
            "ate_occluded": average_trajectory_error(away, valid & ~throughout),
        }


class TransferredKeypoints(_VideoMean):
    """BADJA's PCK-T, per cent; see :func:`.functional.tracks.correct_transfers`.

    ``update(pred, target, visible, areas)``: places ``(T, N, 2)``, visibility ``(T, N)``, areas ``(T,)``.
    """

    higher_is_better = True
    names = ("pck_t",)

    def _scores(self, pred: Tensor, target: Tensor, visible: Tensor, areas: Tensor) -> dict[str, Tensor]:
        found, all_of_them = correct_transfers(distance(pred, target), visible, areas)
        return {"pck_t": 100 * found.double() / all_of_them}


class CorrectKeypoints(Metric):
    """PCK of JHMDB, per cent: the mean over joints of the share found in all frames of all clips together.

    See :func:`.functional.tracks.correct_keypoints`. ``compute`` gives ``pck_<alpha>`` by name.

    Args:
        joints: how many a clip has.
        alphas: shares of the box's diagonal, times 0.6.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    found: Tensor
    estimated: Tensor

    def __init__(self, joints: int, alphas: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alphas = tuple(alphas)
        self.add_state("found", torch.zeros(len(self.alphas), joints, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("estimated", torch.zeros(joints, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, pred: Tensor, target: Tensor) -> None:
        """Take in a clip: places ``(T, J, 2)`` in pixels, estimated and true."""
        found, estimated = correct_keypoints(pred, target, torch.tensor(self.alphas, device=pred.device))
        self.found += found.to(self.found.device)
        self.estimated += estimated.to(self.estimated.device)

    def per_joint(self) -> Tensor:
        """``(A, J)`` per cent."""
        return 100 * self.found.double() / self.estimated

    def compute(self) -> dict[str, Tensor]:
        """Means over the joints by name, per cent; joints that were never estimated take no part."""
        means = self.per_joint().nanmean(dim=1)
        return {f"pck_{alpha:g}": mean for alpha, mean in zip(self.alphas, means, strict=True)}
