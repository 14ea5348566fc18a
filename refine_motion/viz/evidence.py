"""Charts of pseudo-labels: their evidence, and their yield against the threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from torch import Tensor

from refine_motion.labels.codec import COLOUR, EMBEDDING, GRADIENT, FlowLabel, LogQuantiser
from refine_motion.labels.select import (
    SPEED_EDGES,
    ColourRule,
    CycleRule,
    EmbeddingRule,
    LabelRule,
    MinSpeed,
    cycle_ratio,
    select,
)
from refine_motion.labels.yields import YieldCurve
from refine_motion.types import Evidence
from refine_motion.viz.notebook import DROPPED, KEPT, NotebookFigure

_PLAIN = FuncFormatter(lambda value, _: f"{value:.2g}")


@dataclass(frozen=True)
class _Kind:
    """One kind of evidence: the title of its axis, its values, its bins, and the threshold of a rule about it.

    One that not all labels have, ``always`` false, has no values where they have none.
    """

    title: str
    values: Callable[[Evidence], Tensor | None]
    edges: np.ndarray
    threshold: Callable[[LabelRule], float | None] = lambda rule: None
    always: bool = True


def _between_levels(quantiser: LogQuantiser) -> np.ndarray:
    """Bin edges half-way between stored levels: others would show the rounding as a comb."""
    levels = quantiser.decode(torch.arange(2**quantiser.bits)).double()
    above_knee = levels + quantiser.knee
    between = (above_knee[:-1] * above_knee[1:]).sqrt() - quantiser.knee
    return torch.cat((between, levels[-1:])).numpy()


_KINDS = (
    _Kind(
        "cycle error over the threshold of the paper's rule",
        cycle_ratio,
        np.logspace(-6, 3, 46, base=2),
        lambda rule: rule.looseness if isinstance(rule, CycleRule) else None,
    ),
    _Kind(
        "colour error, grey levels of 255",
        lambda evidence: evidence.colour_error,
        _between_levels(COLOUR),
        lambda rule: rule.max_error if isinstance(rule, ColourRule) else None,
    ),
    _Kind(
        "speed, px per frame pair",
        lambda evidence: evidence.speed,
        np.logspace(-4, 8, 49, base=2),
        lambda rule: rule.pixels if isinstance(rule, MinSpeed) else None,
    ),
    _Kind("image gradient, grey levels per px", lambda evidence: evidence.gradient, _between_levels(GRADIENT)),
    _Kind(
        "embedding error, px",
        lambda evidence: evidence.embedding_error,
        _between_levels(EMBEDDING),
        lambda rule: rule.pixels if isinstance(rule, EmbeddingRule) else None,
        always=False,
    ),
)


def draw_evidence(labels: Iterable[FlowLabel], filters: Sequence[LabelRule]) -> NotebookFigure:
    """A histogram of each kind of evidence that labels have, over all stored pixels, dropped ones on kept ones.

    Args:
        labels: labels to count; values beyond an axis count in its outermost bin.
        filters: what training applies; a dashed line marks the threshold of a rule about this evidence (of a cycle rule
            that is no multiple of the paper's, its looser part).
    """
    counts = [np.zeros((2, len(kind.edges) - 1)) for kind in _KINDS]
    for label in labels:
        kept = select(filters, label, seed=0) > 0
        for count, kind in zip(counts, _KINDS, strict=True):
            values = kind.values(label.evidence)
            if values is None:
                continue
            values = values.double().clamp(kind.edges[0], kind.edges[-1])
            for row, part in zip(count, (kept, ~kept), strict=True):
                row += np.histogram(values[part].numpy(), kind.edges)[0]
    shown = [(count, kind) for count, kind in zip(counts, _KINDS, strict=True) if kind.always or count.any()]
    rows = -(-len(shown) // 2)
    figure = NotebookFigure(11, 2.7 * rows)
    for place, (count, kind) in enumerate(shown, start=1):
        _draw_histogram(figure.add_subplot(rows, 2, place), 100 * count / max(count.sum(), 1), kind, filters)
    return figure


def _draw_histogram(axes: Axes, shares: np.ndarray, kind: _Kind, filters: Sequence[LabelRule]) -> None:
    """Draw shares ``(2, bins)`` in per cent, kept ones below dropped ones."""
    kept, stored = shares[0], shares.sum(axis=0)
    axes.stairs(kept, kind.edges, fill=True, color=KEPT, label="kept")
    axes.stairs(stored, kind.edges, baseline=kept, fill=True, color=DROPPED, label="dropped")
    for rule in filters:
        if (threshold := kind.threshold(rule)) is not None:
            axes.axvline(threshold, color="black", linestyle="--", label=f"your {type(rule).__name__}")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(_PLAIN)
    if stored.any():
        seen = stored.nonzero()[0]
        axes.set_xlim(kind.edges[seen[0]], kind.edges[seen[-1] + 1])
    axes.set_xlabel(kind.title)
    axes.set_ylabel("stored pixels, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def draw_yield(curve: YieldCurve, filters: Sequence[LabelRule]) -> NotebookFigure:
    """Kept share, and share of each speed among the kept pixels, against the strength of the cycle rule.

    Args:
        curve: what was measured.
        filters: what training applies; a dashed line marks its cycle rule.
    """
    names = [f"{low:g} to {high:g} px" for low, high in pairwise((0.0, *SPEED_EDGES))]
    names.append(f"over {SPEED_EDGES[-1]:g} px")
    colours = matplotlib.colormaps["viridis"](torch.linspace(0, 0.95, len(names)).numpy())
    figure = NotebookFigure(11, 3.6)
    left, right = figure.subplots(1, 2)
    scales = curve.scales.numpy()
    left.plot(scales, 100 * curve.shares.sum(dim=1).numpy(), "o-", color=KEPT, markersize=4, clip_on=False)
    left.set_ylim(0, 100)
    left.set_ylabel("kept, % of all pixels")
    right.stackplot(scales, 100 * curve.balance.T.numpy(), labels=names, colors=colours)
    right.set_ylim(0, 100)
    right.set_ylabel("% of the kept pixels")
    right.legend(title="speed", reverse=True, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    for axes, colour in ((left, "black"), (right, "white")):
        for one in filters:
            if isinstance(one, CycleRule):
                axes.axvline(one.looseness, color=colour, linestyle="--", label="your CycleRule")
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_locator(FixedLocator(scales[::2].tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(_PLAIN)
        axes.set_xlim(scales[0], scales[-1])
        axes.set_xlabel("threshold, multiples of the paper's cycle rule")
        axes.spines[["top", "right"]].set_visible(False)
    if left.get_legend_handles_labels()[0]:
        left.legend(frameon=False, fontsize=9)
    return figure
