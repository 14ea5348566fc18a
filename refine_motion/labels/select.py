"""Which stored labels to train on, and how much each counts: rules applied when labels are read.

A sweep over them re-labels nothing. Rules that look at one entry at a time are filters over its evidence; those that
balance groups of labels, or bring dropped ones back, see the whole label and the weights that the rules before them
left. The order is that of the configuration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.labels.label import Label
from refine_motion.motion.cycle import PAPER_ALPHA, PAPER_BETA, cycle_threshold
from refine_motion.types import Evidence

# Inner edges of the bins in which speeds are counted and balanced, in pixels.
SPEED_EDGES = (1.0, 5.0, 10.0, 20.0, 40.0)


class LabelRule(ABC):
    """Changes the weights of a pair's labels.

    Attributes:
        of_pairs: whether it compares the cycle error with a threshold for frame pairs, a few tenths of a pixel: of
            tracks through several frames hardly any would be left.
    """

    of_pairs = False

    @property
    def looseness(self) -> float:
        """Up to how many times the paper's cycle rule it wants labels to be stored; 0 where it asks for none."""
        return 0.0

    @abstractmethod
    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """The new weights, ``(N,)`` float32; 0 drops a label, and 1 is what one weighs before any rule.

        Args:
            label: all stored labels of the pair.
            weight: ``(N,)`` float32 that the rules before this one left; not changed in place.
            generator: source of randomness on the CPU, seeded by the pair.
        """

    def prepare(self, labels: Sequence[Label], weights: Sequence[Tensor]) -> LabelRule:
        """The rule for one video, for those that learn something of it first; the same rule by default.

        Args:
            labels: some labels of the video.
            weights: of each, what the rules before this one left.
        """
        return self


class LabelFilter(LabelRule):
    """Keeps some entries of any shape of evidence and drops the others."""

    @abstractmethod
    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """True where an entry is kept, in the shape of the evidence.

        Args:
            evidence: what is known of each entry.
            generator: source of randomness on the CPU, seeded by the pair.
        """

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`; the filter sees only what the rules before it kept."""
        kept = (weight > 0).nonzero().flatten()
        dropped = kept[~self.keep(label.evidence[kept], generator)]
        return weight.index_fill(0, dropped, 0.0)


def cycle_ratio(evidence: Evidence) -> Tensor:
    """Cycle error over the threshold of the paper's rule, in the shape of the evidence: kept by that rule up to 1."""
    return evidence.cycle_error / cycle_threshold(evidence.speed, evidence.backward_speed, PAPER_ALPHA, PAPER_BETA)


class CycleRule(LabelFilter):
    """Forward-backward residual at most ``alpha (|f| + |b|) + beta`` pixels (arXiv 2401.00850; UnFlow: 5 times both).

    Args:
        alpha: share of the speeds.
        beta: pixels.
    """

    of_pairs = True

    def __init__(self, alpha: float = PAPER_ALPHA, beta: float = PAPER_BETA):
        if alpha < 0 or beta < 0:
            raise ConfigError(f"CycleRule: alpha and beta must not be negative, got {alpha} and {beta}")
        self.alpha, self.beta = alpha, beta

    @property
    def looseness(self) -> float:
        """How many times the paper's rule this one is, by its looser part."""
        return max(self.alpha / PAPER_ALPHA, self.beta / PAPER_BETA)

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
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

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        return evidence.colour_error < self.max_error


class SpreadRule(LabelFilter):
    """Views of the teacher that disagree by at most ``alpha |f| + beta`` pixels.

    Args:
        alpha: share of the speed.
        beta: pixels.
    """

    def __init__(self, alpha: float = 0.02, beta: float = 0.5):
        if alpha < 0 or beta < 0:
            raise ConfigError(f"SpreadRule: alpha and beta must not be negative, got {alpha} and {beta}")
        self.alpha, self.beta = alpha, beta

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        return evidence.spread <= self.alpha * evidence.speed + self.beta


class EmbeddingRule(LabelFilter):
    """Best match of the embedding at most ``pixels`` from where the flow leads; see ``label.embedding``.

    Args:
        pixels: largest error that is kept. Stored errors are rounded, but never across the default.

    Raises:
        ConfigError: ``pixels`` is negative; or, when labels are read, they have no such evidence.
    """

    def __init__(self, pixels: float = 4.0):
        if pixels < 0:
            raise ConfigError(f"EmbeddingRule: pixels must not be negative, got {pixels}")
        self.pixels = pixels

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        if evidence.embedding_error is None:
            raise self.no_evidence()
        return evidence.embedding_error <= self.pixels

    @staticmethod
    def no_evidence() -> ConfigError:
        """What to say where labels do not tell."""
        return ConfigError(
            "EmbeddingRule: label.embedding is not set, so labels do not tell: set it to weights of a CorrFlow encoder "
            "(labels of flow alone can have it), or leave the rule out"
        )


class MinSpeed(LabelFilter):
    """Speed of at least ``pixels``.

    Args:
        pixels: pixels per frame pair.
    """

    def __init__(self, pixels: float):
        if pixels < 0:
            raise ConfigError(f"MinSpeed: pixels must not be negative, got {pixels}")
        self.pixels = pixels

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        return evidence.speed >= self.pixels


class SpeedStratifiedCap(LabelFilter):
    """At most ``per_bin`` entries of each speed bin, chosen at random, so that slow pixels do not drown fast ones.

    Args:
        per_bin: entries kept in each bin.
        edges: inner bin edges in pixels, ascending; n edges make n + 1 bins.
    """

    def __init__(self, per_bin: int, edges: Sequence[float] = SPEED_EDGES):
        if per_bin < 1:
            raise ConfigError(f"SpeedStratifiedCap: per_bin must be at least 1, got {per_bin}")
        self.per_bin, self.edges = per_bin, ascending("SpeedStratifiedCap", edges)

    def keep(self, evidence: Evidence, generator: torch.Generator) -> Tensor:
        """See :class:`LabelFilter`."""
        speed = evidence.speed.flatten()
        bins = torch.bucketize(speed, torch.tensor(self.edges), right=True)
        keep = torch.zeros(len(speed), dtype=torch.bool)
        for number in range(len(self.edges) + 1):
            members = (bins == number).nonzero().flatten()
            chosen = torch.randperm(len(members), generator=generator)[: self.per_bin]
            keep[members[chosen]] = True
        return keep.view(evidence.speed.shape)


class SoftWeight(LabelRule):
    """Weight times ``exp(-(e / tau)^2)`` with the cycle error ``e`` over the threshold of the paper's rule.

    Args:
        tau: multiple of the paper's rule at which a label counts ``1/e`` of a perfect one.
    """

    of_pairs = True

    def __init__(self, tau: float = 1.0):
        if tau <= 0:
            raise ConfigError(f"SoftWeight: tau must be positive, got {tau}")
        self.tau = tau

    def __call__(self, label: Label, weight: Tensor, generator: torch.Generator) -> Tensor:
        """See :class:`LabelRule`."""
        return weight * torch.exp(-(cycle_ratio(label.evidence) / self.tau).square())


def ascending(rule: str, edges: Sequence[float]) -> list[float]:
    """Bin edges as a list.

    Raises:
        ConfigError: they do not ascend; it names the rule.
    """
    if list(edges) != sorted(set(edges)):
        raise ConfigError(f"{rule}: edges must ascend, got {list(edges)}")
    return list(edges)


def weights_in_turn(rules: Sequence[LabelRule], label: Label, seed: int) -> Iterator[Tensor]:
    """Weights ``(N,)`` before any rule, all 1, and after each in turn; see :func:`select`."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.ones(len(label.flow))
    yield weight
    for rule in rules:
        weight = rule(label, weight, generator)
        yield weight


def select(rules: Sequence[LabelRule], label: Label, seed: int) -> Tensor:
    """Apply the rules in order.

    Args:
        rules: rules to apply; none gives every label the weight 1.
        label: the stored labels of a pair.
        seed: makes the random choice of a cap repeatable.

    Returns:
        ``(N,)`` float32 weights, 0 where a label is dropped.
    """
    *_, weight = weights_in_turn(rules, label, seed)
    return weight


def paper_filters() -> dict[str, LabelRule]:
    """The flow filters of arXiv 2401.00850 under the names that the configurations give them."""
    return {"cycle": CycleRule(), "colour": ColourRule()}
