"""Charts of pseudo-labels: their evidence, and their yield against the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import matplotlib
import torch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from torch import Tensor

from refine_motion.labels.codec import COLOUR, GRADIENT, FlowLabel, LogQuantiser
from refine_motion.labels.select import ColourRule, CycleRule, LabelFilter, MinSpeed, select
from refine_motion.labels.summary import SPEED_EDGES
from refine_motion.labels.yields import YieldCurve, cycle_ratio
from refine_motion.types import Evidence
from refine_motion.viz.notebook import DROPPED, KEPT, NotebookFigure

_PLAIN = FuncFormatter(lambda value, _: f"{value:.2g}")
_THRESHOLD = {"linestyle": "--", "linewidth": 1.2}


def _levels(quantiser: LogQuantiser, step: int) -> Tensor:
    """Bin edges half-way between stored levels, ``step`` levels a bin: finer ones would show the rounding as a comb."""
    levels = quantiser.decode(torch.arange(1, 2**quantiser.bits)).double()
    return torch.cat(((levels[:-1] * levels[1:]).sqrt(), levels[-1:]))[::step]


# Title of the axis, the values, edges of the bins, and what marks a threshold there.
_EVIDENCE: tuple[tuple[str, Callable[[Evidence], Tensor], Tensor, type[LabelFilter] | None, str], ...] = (
    (
        "cycle error over the threshold of the paper's rule",
        cycle_ratio,
        torch.logspace(-6, 3, 46, base=2),
        CycleRule,
        "looseness",
    ),
    ("colour error, grey levels of 255", lambda e: e.colour_error, _levels(COLOUR, 2), ColourRule, "max_error"),
    ("speed, px per frame pair", lambda e: e.speed, torch.logspace(-4, 8, 49, base=2), MinSpeed, "pixels"),
    ("image gradient, grey levels per px", lambda e: e.gradient, _levels(GRADIENT, 1), None, ""),
)


def draw_evidence(labels: Iterable[FlowLabel], filters: Sequence[LabelFilter]) -> NotebookFigure:
    """A histogram of each kind of evidence over all stored pixels, dropped ones stacked on kept ones.

    Args:
        labels: labels to count; values beyond an axis count in its outermost bin.
        filters: what training applies; a dashed line marks the threshold of a rule about this evidence.
    """
    counts = [torch.zeros(2, len(edges) - 1, dtype=torch.float64) for _, _, edges, _, _ in _EVIDENCE]
    for label in labels:
        kept = select(filters, label.evidence, seed=0)
        for count, (_, values, edges, _, _) in zip(counts, _EVIDENCE, strict=True):
            bins = torch.bucketize(values(label.evidence).double(), edges[1:-1].double().contiguous())
            count[0] += torch.bincount(bins[kept], minlength=len(edges) - 1)
            count[1] += torch.bincount(bins[~kept], minlength=len(edges) - 1)
    figure = NotebookFigure(11, 5.4)
    for axes, count, (title, _, edges, rule, number) in zip(figure.subplots(2, 2).flat, counts, _EVIDENCE, strict=True):
        kept, stored = 100 * count[0] / count.sum().clamp(min=1), 100 * count.sum(dim=0) / count.sum().clamp(min=1)
        axes.stairs(kept.numpy(), edges.numpy(), fill=True, color=KEPT, label="kept")
        axes.stairs(stored.numpy(), edges.numpy(), baseline=kept.numpy(), fill=True, color=DROPPED, label="dropped")
        for one in filters:
            if rule is not None and isinstance(one, rule):
                axes.axvline(getattr(one, number), color="black", **_THRESHOLD, label=f"your {rule.__name__}")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(_PLAIN)
        seen = count.sum(dim=0).nonzero().flatten().tolist() or [0, -2]
        axes.set_xlim(edges[seen[0]], edges[seen[-1] + 1])
        axes.set_xlabel(title)
        axes.set_ylabel("stored pixels, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=9)
    return figure


def draw_yield(curve: YieldCurve, filters: Sequence[LabelFilter]) -> NotebookFigure:
    """Kept share, and share of each speed among the kept pixels, against the strength of the cycle rule.

    Args:
        curve: what was measured.
        filters: what training applies; a dashed line marks its cycle rule.
    """
    lows = (0.0, *SPEED_EDGES)
    names = [f"{low:g} to {high:g} px" for low, high in zip(lows, SPEED_EDGES, strict=False)] + [
        f"over {lows[-1]:g} px"
    ]
    colours = matplotlib.colormaps["viridis"](torch.linspace(0, 0.95, len(names)).numpy())
    figure = NotebookFigure(11, 3.6)
    left, right = figure.subplots(1, 2)
    left.plot(curve.scales, 100 * curve.shares.sum(dim=1), "o-", color=KEPT, markersize=4, clip_on=False)
    left.set_ylim(0, 100)
    left.set_ylabel("kept, % of all pixels")
    right.stackplot(curve.scales, 100 * curve.balance.T, labels=names, colors=colours)
    right.set_ylim(0, 100)
    right.set_ylabel("% of the kept pixels")
    right.legend(title="speed", reverse=True, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    for axes, colour in ((left, "black"), (right, "white")):
        for one in filters:
            if isinstance(one, CycleRule):
                axes.axvline(one.looseness, color=colour, **_THRESHOLD, label="your CycleRule")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(curve.scales[::2].tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.set_xlim(curve.scales[0], curve.scales[-1])
        axes.set_xlabel("threshold, multiples of the paper's cycle rule")
        axes.spines[["top", "right"]].set_visible(False)
    if left.get_legend_handles_labels()[0]:
        left.legend(frameon=False, fontsize=9)
    return figure
