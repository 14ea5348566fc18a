"""Thresholds that follow the video: the best labels of each kind, so that hard motion is not what is dropped."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.bins import Bins, Quantity
from refine_motion.labels.label import Label
from refine_motion.labels.select import LabelRule, cycle_ratio


class AdaptiveCycle(LabelRule):
    """Keeps the best share of each speed by its cycle error over the threshold of the paper's rule.

    The thresholds are those of the video where it was prepared for one, else those of the pair itself.

    Args:
        quota: share of the labels of each bin to keep, in (0, 1].
        ceiling: never keep what is worse than so many times the paper's rule.
        floor: always keep what is better than so many times the paper's rule.
        by: bins of what; ``relative`` keeps as much of what moves against the camera as of the rest. See
            :class:`refine_motion.labels.bins.Bins`.
        edges: inner bin edges in the unit of the evidence, ascending; None takes those that suit it.

    Attributes:
        thresholds: multiple of the paper's rule for each bin, ascending in what they are of; None before
            :meth:`prepare`.
    """

    of_pairs = True

    def __init__(
        self,
        quota: float = 0.6,
        ceiling: float = 4.0,
        floor: float = 0.5,
        by: Quantity = "speed",
        edges: Sequence[float] | None = None,
    ):
        if not 0 < quota <= 1 or not 0 <= floor <= ceiling:
            raise ConfigError(
                f"AdaptiveCycle: quota must be in (0, 1] and floor between 0 and ceiling, got {quota}, {floor} and "
                f"{ceiling}"
            )
        self.quota, self.ceiling, self.floor = quota, ceiling, floor
        self.bins = Bins("AdaptiveCycle", by, edges)
        self.thresholds: Tensor | None = None

    @property
    def looseness(self) -> float:
        """Its ceiling."""
        return self.ceiling

    def prepare(self, labels: Sequence[Label], weights: Sequence[Tensor]) -> AdaptiveCycle:
        """The rule with the thresholds of a video; a bin that none of the labels is in gets the paper's rule."""
        ratios = torch.cat([cycle_ratio(label.evidence)[w > 0] for label, w in zip(labels, weights, strict=True)])
        bins = torch.cat([self.bins.of(label)[w > 0] for label, w in zip(labels, weights, strict=True)])
        thresholds = torch.ones(len(self.bins))
        for number in range(len(thresholds)):
            members = ratios[bins == number].sort().values
            if len(members):
                thresholds[number] = members[max(0, round(self.quota * len(members)) - 1)]
        prepared = copy.copy(self)
        prepared.thresholds = thresholds.clamp(self.floor, self.ceiling)
        return prepared

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`."""
        if self.thresholds is None:
            return self.prepare([label], [weight])(label, weight, generator)
        return torch.where(cycle_ratio(label.evidence) <= self.thresholds[self.bins.of(label)], weight, 0.0)
