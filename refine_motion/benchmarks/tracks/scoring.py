"""The scores that several benchmarks share, of one video, by the metrics of :mod:`refine_motion.metrics.tracks`."""

from __future__ import annotations

import torch
from torch import Tensor

from refine_motion.benchmarks.tracks.benchmark import Column
from refine_motion.benchmarks.tracks.video import TrackVideo
from refine_motion.metrics.functional.tracks import QueryMode
from refine_motion.metrics.tracks import TapVid, TrackErrors
from refine_motion.types import Tracks

SURVIVAL = 50.0
TAP_COLUMNS = (Column("aj", "AJ", 100), Column("delta_avg", "d_avg", 100), Column("oa", "OA", 100))
ERROR_COLUMNS = (
    Column("ate", "ATE px", lower_is_better=True),
    Column("d_avg", "d_avg", 100),
    Column(f"survival_{SURVIVAL:g}", f"surv{SURVIVAL:g}", 100),
)
ERROR_NOTE = (
    "ATE: mean error in px of the scored size. Where frames are scaled to 256 x 256: d_avg, % of places nearer than 1, "
    f"2, 4, 8 and 16 px, the mean of these; surv{SURVIVAL:g}, % of a clip from a point's query until it is first "
    f"{SURVIVAL:g} px off."
)
# PIPs++ counts its thresholds in pixels of frames of this size.
_SIDE = 256
_SMALL = ("d_", "survival_")


def tap_scores(video: TrackVideo, tracks: Tracks, mode: QueryMode) -> dict[str, float]:
    """TAP-Vid's scores, 0..1; see :class:`refine_motion.metrics.tracks.TapVid`."""
    metric = TapVid(mode)
    target, visible, _ = video.truth()
    metric.update(tracks.xy, tracks.visible, target, visible, video.queries[:, 0])
    return plain(metric.compute())


def error_scores(video: TrackVideo, tracks: Tracks) -> dict[str, float]:
    """PIPs' and PIPs++'s scores; see :class:`refine_motion.metrics.tracks.TrackErrors`.

    Errors are in pixels of ``video.size``; ``d_avg``, ``d_1`` to ``d_16`` and survival are shares (0..1) after the
    frames are scaled to 256 x 256, as PIPs++ has them.
    """
    target, visible, valid = video.truth()
    asked = video.queries[:, 0]
    errors = TrackErrors(SURVIVAL)
    errors.update(tracks.xy, target, valid, visible, asked)
    small = small_scale(video.size)
    shares = TrackErrors(SURVIVAL)
    shares.update(tracks.xy * small, target * small, valid, visible, asked)
    found = plain(shares.compute())
    return plain(errors.compute()) | {name: value for name, value in found.items() if name.startswith(_SMALL)}


def small_scale(size: tuple[int, int]) -> Tensor:
    """Factors of x and y that bring frames of ``(H, W)`` to the size in which PIPs++ counts pixels: ``(2,)``."""
    return torch.tensor([_SIDE / size[1], _SIDE / size[0]])


def plain(values: dict[str, Tensor]) -> dict[str, float]:
    """Scores as numbers."""
    return {name: float(value) for name, value in values.items()}
