"""Balance between groups of labels: by motion against the camera's, or by any one kind of evidence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.bins import Bins, Quantity
from refine_motion.labels.clusters import APART_FRACTION, APART_PIXELS, CLUSTERS, motion_cluster
from refine_motion.labels.label import Label
from refine_motion.labels.select import LabelRule
from refine_motion.labels.track_rules import pixels_at


class MotionBalance(LabelRule):
    """A fixed share of the weight for what moves against the dominant motion, divided equally among its directions.

    Without it a small object before a moving background is a few per cent of the labels, and a model that is trained on
    them as they fall learns to move it with the background. The total weight of a pair stays what it was.

    Args:
        share: of the weight, for labels that move against the dominant motion; equal for each octant of direction.
        pixels: a label moves against it by more than so many pixels, and
        fraction: by more than this share of the dominant motion.
        at: frame size ``(H, W)`` in whose pixels that is; None is that of the labels.
        most: no label's weight grows by more than this factor, so that a few wrong labels cannot rule.
        least: a pair with a smaller share of such labels stays as it is.
    """

    def __init__(
        self,
        share: float = 0.5,
        pixels: float = APART_PIXELS,
        fraction: float = APART_FRACTION,
        most: float = 20.0,
        least: float = 0.001,
        at: tuple[int, int] | None = None,
    ):
        if not 0 < share < 1 or pixels < 0 or fraction < 0 or most <= 1 or not 0 <= least < 1:
            raise ConfigError(
                "MotionBalance: share must be between 0 and 1, pixels and fraction not negative, most above 1 and "
                f"least in [0, 1), got {share}, {pixels}, {fraction}, {most} and {least}"
            )
        if at is not None and min(at) < 1:
            raise ConfigError(f"MotionBalance: at must be a height and a width in pixels, got {list(at)}")
        self.share, self.pixels, self.fraction, self.most, self.least = share, pixels, fraction, most, least
        self.at = None if at is None else (at[0], at[1])

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`."""
        pixels = self.pixels if self.at is None else pixels_at(self.pixels, self.at, label.size)
        group = motion_cluster(label, pixels, self.fraction)
        kept = weight > 0
        if (kept & (group > 0)).sum() < max(1.0, self.least * int(kept.sum())):
            return weight
        totals = _totals(weight, group, len(CLUSTERS))
        # First between the camera and all that moves otherwise, then among directions: what a small direction cannot
        # take goes to the others of these.
        halves = torch.stack((totals[0], totals[1:].sum()))
        wanted = torch.tensor([1 - self.share, self.share], dtype=totals.dtype)
        still, moving = gains(halves, wanted, self.most)
        directions = gains(totals[1:], torch.ones_like(totals[1:]), self.most, moving * halves[1])
        return (weight * torch.cat((still[None], directions))[group]).to(weight.dtype)


class Balance(LabelRule):
    """Evens out, in part, how much the bins of one kind of evidence weigh; the total weight of a pair stays.

    Args:
        by: see :class:`refine_motion.labels.bins.Bins`.
        power: 0 changes nothing, 1 gives each bin that has labels the same weight.
        edges: inner bin edges in the unit of the evidence, ascending; None takes those that suit it.
        most: no label's weight grows by more than this factor.
    """

    def __init__(
        self, by: Quantity = "speed", power: float = 0.5, edges: Sequence[float] | None = None, most: float = 20.0
    ):
        if not 0 < power <= 1 or most <= 1:
            raise ConfigError(f"Balance: power must be in (0, 1] and most above 1, got {power} and {most}")
        self.bins, self.power, self.most = Bins("Balance", by, edges), power, most

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`."""
        group = self.bins.of(label)
        totals = _totals(weight, group, len(self.bins))
        return (weight * gains(totals, totals.pow(1 - self.power), self.most)[group]).to(weight.dtype)


def gains(totals: Tensor, wanted: Tensor, most: float, room: Tensor | None = None) -> Tensor:
    """Factor of each group, so that the groups weigh as wanted.

    Args:
        totals: ``(G,)`` weight of each group, 0 and more.
        wanted: ``(G,)`` positive, in proportion to which they shall weigh; groups without weight do not count.
        most: no factor is above this (which is above 1); what a group lacks for it goes to the others in proportion.
        room: what all shall weigh together, at most ``most`` times what they do; that when not given.

    Returns:
        ``(G,)``; 1 for groups without weight.
    """
    free = totals > 0
    factor = torch.ones_like(totals)
    room = totals.sum() if room is None else room
    while free.any():
        factor[free] = wanted[free] * (room / wanted[free].sum()) / totals[free]
        over = free & (factor > most)
        if not over.any():
            break
        factor[over] = most
        room = room - most * totals[over].sum()
        free = free & ~over
    return factor


def _totals(weight: Tensor, group: Tensor, count: int) -> Tensor:
    """``(count,)`` float64 sum of the weights of each group."""
    return torch.bincount(group, weight.double(), count)
