"""How many labels a rule keeps, and how fast they are: against the threshold, and video by video."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.opened import OpenedLabels, evenly
from refine_motion.labels.select import SPEED_EDGES, CycleRule, LabelRule, select
from refine_motion.labels.weighted import WeightedLabels
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA

_POINTS = 9
_PER_VIDEO = 8


@dataclass(frozen=True)
class YieldCurve:
    """What is kept at several strengths of the cycle rule.

    Attributes:
        scales: ``(S,)`` multiples of the paper's rule, ascending.
        shares: ``(S, B)`` kept pixels of each speed bin over all pixels of the frames, 0..1; the bins are those of
            ``refine_motion.labels.select.SPEED_EDGES``.
    """

    scales: Tensor
    shares: Tensor

    @property
    def balance(self) -> Tensor:
        """``(S, B)`` share of each speed bin among the kept pixels; rows sum to 1, or are 0 where nothing is kept."""
        return self.shares / self.shares.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)


def yield_curve(labels: Iterable[FlowLabel], filters: Sequence[LabelRule], ceiling: float = 4.0) -> YieldCurve:
    """Try the cycle rule from a quarter of the paper's, or less, up to what is stored.

    Args:
        labels: labels to measure on.
        filters: the other rules stay as they are; a cycle rule among them is what is varied, else one is put first.
        ceiling: what the store holds at all, in multiples of the paper's rule.
    """
    steps = torch.logspace(0, 1, _POINTS, base=ceiling / min(0.25, ceiling / 4), dtype=torch.float64)
    scales = steps * min(0.25, ceiling / 4)
    kept = torch.zeros(len(scales), len(SPEED_EDGES) + 1, dtype=torch.float64)
    pixels = 0
    for label in labels:
        pixels += label.size[0] * label.size[1]
        for row, scale in zip(kept, scales.tolist(), strict=True):
            weight = select(_with_cycle_rule(filters, scale), label, seed=0)
            row += _per_speed(label.evidence.speed[weight > 0])
    return YieldCurve(scales, kept / max(pixels, 1))


def _with_cycle_rule(filters: Sequence[LabelRule], scale: float) -> list[LabelRule]:
    rule = CycleRule(PAPER_ALPHA * scale, PAPER_BETA * scale)
    if not any(isinstance(one, CycleRule) for one in filters):
        return [rule, *filters]
    return [rule if isinstance(one, CycleRule) else one for one in filters]


def _per_speed(speed: Tensor) -> Tensor:
    return torch.bincount(torch.bucketize(speed, torch.tensor(SPEED_EDGES), right=True), minlength=len(SPEED_EDGES) + 1)


@dataclass(frozen=True)
class VideoYield:
    """Labels of one video.

    Attributes:
        pairs: labelled pairs.
        stored_share: stored pixels over all pixels, 0..1.
        kept_share: pixels that pass the filters over all pixels, 0..1.
        median_speed: of the kept pixels, in pixels; NaN where none is kept.
        bytes: size on disk of its labels.
    """

    pairs: int
    stored_share: float
    kept_share: float
    median_speed: float
    bytes: int


def video_yields(opened: OpenedLabels, filters: Sequence[LabelRule]) -> dict[str, VideoYield]:
    """Yield of every video by its content key; shares and speed are measured on up to 8 evenly spaced pairs of each.

    Raises:
        LabelError: a label is damaged.
    """
    found = {}
    weighted = WeightedLabels(opened.store, filters, opened.keys)
    for video in opened.videos:
        keys = [key for key in opened.keys if key.video == video]
        pixels = stored = 0
        speeds = []
        for key in evenly(keys, _PER_VIDEO):
            label, weight = weighted.read(key)
            pixels += label.size[0] * label.size[1]
            stored += len(label.flow)
            speeds.append(label.evidence.speed[weight > 0])
        kept = torch.cat(speeds)
        found[video] = VideoYield(
            pairs=len(keys),
            stored_share=stored / pixels,
            kept_share=len(kept) / pixels,
            median_speed=kept.median().item(),
            bytes=sum(opened.store.path(key).stat().st_size for key in keys),
        )
    return found


def video_table(yields: Mapping[str, VideoYield], names: Mapping[str, str]) -> Table:
    """The yields as a table, the lowest kept share first.

    Args:
        yields: by content key.
        names: what to call each video.
    """
    table = Table("video", title="Pseudo-labels of each video", box=SIMPLE_HEAD)
    for column in ("pairs", "stored", "kept", "median speed", "on disk"):
        table.add_column(column, justify="right")
    for key, one in sorted(yields.items(), key=lambda item: item[1].kept_share):
        table.add_row(
            escape(names[key]),
            f"{one.pairs:,}",
            f"{one.stored_share:.1%}",
            f"{one.kept_share:.1%}",
            "none kept" if one.kept_share == 0 else f"{one.median_speed:.2f} px",
            f"{one.bytes / 2**20:,.1f} MiB",
        )
    return table
