"""Which stored labels to train on: filters that are applied when labels are read, so that a sweep re-labels nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold
from refine_motion.types import Evidence


class LabelFilter(ABC):
    """Keeps some entries of any shape of evidence."""

    @abstractmethod
    def __call__(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """True where an entry is kept, in the shape of the evidence.

        Args:
            evidence: what is known of each entry.
            generator: source of randomness on the CPU, seeded by the pair.
        """


class CycleRule(LabelFilter):
    """Forward-backward residual at most ``alpha (|f| + |b|) + beta`` pixels (arXiv 2401.00850; UnFlow: 5 times both).

    Args:
        alpha: share of the speeds.
        beta: pixels.
    """

    def __init__(self, alpha: float = PAPER_ALPHA, beta: float = PAPER_BETA):
        if alpha < 0 or beta < 0:
            raise ConfigError(f"CycleRule: alpha and beta must not be negative, got {alpha} and {beta}")
        self.alpha, self.beta = alpha, beta

    @property
    def looseness(self) -> float:
        """How many times the paper's rule this one is, by its looser part."""
        return max(self.alpha / PAPER_ALPHA, self.beta / PAPER_BETA)

    def __call__(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        threshold = cycle_threshold(evidence.speed, evidence.backward_speed, self.alpha, self.beta)
        return evidence.cycle_error <= threshold


class ColourRule(LabelFilter):
    """Mean absolute colour difference below ``max_error`` (the paper's code: 0.005 of the range 1, 1.275 levels).

    Args:
        max_error: grey levels of 255.
    """

    def __init__(self, max_error: float = 1.275):
        if max_error <= 0:
            raise ConfigError(f"ColourRule: max_error must be positive, got {max_error}")
        self.max_error = max_error

    def __call__(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        return evidence.colour_error < self.max_error


class MinSpeed(LabelFilter):
    """Speed of at least ``pixels``.

    Args:
        pixels: pixels per frame pair.
    """

    def __init__(self, pixels: float):
        if pixels < 0:
            raise ConfigError(f"MinSpeed: pixels must not be negative, got {pixels}")
        self.pixels = pixels

    def __call__(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        return evidence.speed >= self.pixels


class SpeedStratifiedCap(LabelFilter):
    """At most ``per_bin`` entries of each speed bin, chosen at random, so that slow pixels do not drown fast ones.

    Args:
        per_bin: entries kept in each bin.
        edges: inner bin edges in pixels, ascending; n edges make n + 1 bins.
    """

    def __init__(self, per_bin: int, edges: Sequence[float] = (1.0, 5.0, 10.0, 20.0, 40.0)):
        if per_bin < 1:
            raise ConfigError(f"SpeedStratifiedCap: per_bin must be at least 1, got {per_bin}")
        if list(edges) != sorted(set(edges)):
            raise ConfigError(f"SpeedStratifiedCap: edges must ascend, got {list(edges)}")
        self.per_bin, self.edges = per_bin, list(edges)

    def __call__(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        speed = evidence.speed.flatten()
        bins = torch.bucketize(speed, torch.tensor(self.edges), right=True)
        keep = torch.zeros(len(speed), dtype=torch.bool)
        for number in range(len(self.edges) + 1):
            members = (bins == number).nonzero().flatten()
            chosen = torch.randperm(len(members), generator=generator)[: self.per_bin]
            keep[members[chosen]] = True
        return keep.view(evidence.speed.shape)


def select(filters: Sequence[LabelFilter], evidence: Evidence, seed: int) -> Tensor:
    """Apply the filters in order; each sees only what those before it kept.

    Args:
        filters: filters to apply; none keeps everything.
        evidence: fields ``(N,)``.
        seed: makes the random choice of a cap repeatable.

    Returns:
        ``(N,)`` bool.
    """
    generator = torch.Generator().manual_seed(seed)
    if not filters:
        return torch.ones(evidence.speed.shape, dtype=torch.bool)
    # A copy, because what a filter returned may be its own.
    keep = filters[0](evidence, generator).clone()
    for chosen in filters[1:]:
        keep[keep.clone()] = chosen(evidence[keep], generator)
    return keep


def paper_filters() -> dict[str, LabelFilter]:
    """The flow filters of arXiv 2401.00850 under the names that the configurations give them."""
    return {"cycle": CycleRule(), "colour": ColourRule()}
