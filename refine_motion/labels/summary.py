"""What stage 1 gave: pairs, kept share, speeds, motion against the camera's and bytes, as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Group
from rich.table import Table
from torch import Tensor

from refine_motion.labels.clusters import CLUSTERS, motion_cluster
from refine_motion.labels.codec import FlowLabel
from refine_motion.labels.select import SPEED_EDGES, LabelRule, weights_in_turn
from refine_motion.labels.store import PairKey
from refine_motion.labels.store_base import SafetensorStore
from refine_motion.labels.weighted import WeightedLabels

# A histogram of some hundred pairs says what one of all pairs says; reading all would take minutes on a large store.
MAX_READ = 256


@dataclass(frozen=True)
class Left:
    """What there is of the labels at one point in the order of the rules.

    Attributes:
        after: class of the rule that was applied last, or ``stored`` before any.
        share: labels with a weight over all pixels, 0..1.
        clusters: share of each motion cluster (``refine_motion.labels.clusters.CLUSTERS``) in the weight, 0..1.
    """

    after: str
    share: float
    clusters: tuple[float, ...]

    @property
    def moving(self) -> float:
        """Share of the weight on labels that move against the dominant motion."""
        return sum(self.clusters[1:])


@dataclass(frozen=True)
class LabelSummary:
    """Yield of a label store under some rules.

    Attributes:
        pairs: labelled pairs.
        read: pairs, evenly spaced, that the shares were measured on.
        stored_share: stored pixels over all pixels.
        kept_share: pixels that pass the rules over all pixels.
        left: before any rule, and after each in turn.
        speed_share: share of each speed bin in the weight after all rules.
        views: of the pairs read, how many are the blend of which views of the teacher.
        bytes: size of all labels on disk.
        bytes_per_pixel: the same per stored pixel.
    """

    pairs: int
    read: int
    stored_share: float
    kept_share: float
    left: tuple[Left, ...]
    speed_share: tuple[float, ...]
    views: dict[str, int]
    bytes: int
    bytes_per_pixel: float

    @property
    def count(self) -> int:
        """Labels in the store."""
        return self.pairs

    def table(self) -> Group:
        """The summary for a terminal."""
        return Group(self._yield(), self._rules(), self._motion())

    def _yield(self) -> Table:
        table = Table(title="Pseudo-labels", show_header=False)
        table.add_row("pairs", f"{self.pairs:,}")
        for views, count in self.views.items():
            table.add_row("  seen as", f"{views}: {count / self.read:.0%}")
        table.add_row("stored pixels", f"{self.stored_share:.1%}")
        table.add_row("kept by the filters", f"{self.kept_share:.1%}")
        lows = (0.0, *SPEED_EDGES)
        for low, high, share in zip(lows, (*SPEED_EDGES, None), self.speed_share, strict=True):
            name = f"{low:g} to {high:g} px" if high is not None else f"over {low:g} px"
            table.add_row(f"  of these {name}", f"{share:6.1%} {'█' * round(30 * share)}")
        table.add_row("on disk", f"{self.bytes / 2**20:,.1f} MiB, {self.bytes_per_pixel:.2f} bytes a stored pixel")
        if self.read < self.pairs:
            table.caption = f"shares measured on {self.read} evenly spaced pairs"
        return table

    def _rules(self) -> Table:
        table = Table(
            "after", title="Rules in their order", caption="moving: against the motion of most of the picture"
        )
        for column in ("of all pixels", "dropped", "weight on what is moving"):
            table.add_column(column, justify="right")
        table.add_row(self.left[0].after, f"{self.left[0].share:.1%}", "", f"{self.left[0].moving:.1%}")
        for before, left in zip(self.left[:-1], self.left[1:], strict=True):
            dropped = 1 - left.share / before.share if before.share else 0.0
            table.add_row(left.after, f"{left.share:.1%}", f"{dropped:.1%}", f"{left.moving:.1%}")
        return table

    def _motion(self) -> Table:
        table = Table("moves", title="Motion against that of most of the picture")
        for column in ("stored labels", "weight in training"):
            table.add_column(column, justify="right")
        for name, before, after in zip(CLUSTERS, self.left[0].clusters, self.left[-1].clusters, strict=True):
            table.add_row(name, f"{before:.1%}", f"{after:.1%}")
        return table


def summarise(
    store: SafetensorStore[PairKey, FlowLabel],
    keys: Sequence[PairKey],
    rules: Sequence[LabelRule],
    max_read: int = MAX_READ,
) -> LabelSummary:
    """Measure the yield of the labels of some pairs.

    Args:
        store: where they are.
        keys: the pairs; all must be labelled.
        rules: what training would apply.
        max_read: pairs that are read at most, at least 1.

    Raises:
        LabelError: a label is damaged.
    """
    labels = WeightedLabels(store, rules, keys)
    chosen = keys[:: max(1, -(-len(keys) // max_read))]
    pixels = stored = 0
    kept = torch.zeros(len(rules) + 1, dtype=torch.long)
    clusters = torch.zeros(len(rules) + 1, len(CLUSTERS), dtype=torch.float64)
    speeds = torch.zeros(len(SPEED_EDGES) + 1, dtype=torch.float64)
    views = Counter[str]()
    for key in chosen:
        label = store.read(key)
        pixels += label.size[0] * label.size[1]
        stored += len(label.flow)
        views[label.views] += 1
        cluster = motion_cluster(label)
        weights = list(weights_in_turn(labels.rules_of(key.video), label, seed=0))
        for row, weight in enumerate(weights):
            kept[row] += (weight > 0).sum()
            clusters[row] += torch.bincount(cluster, weight.double(), len(CLUSTERS))
        speed = torch.bucketize(label.evidence.speed, torch.tensor(SPEED_EDGES), right=True)
        speeds += torch.bincount(speed, weights[-1].double(), len(speeds))
    names = ("stored", *(type(rule).__name__ for rule in rules))
    left = [
        Left(name, count / max(pixels, 1), _shares(weight))
        for name, count, weight in zip(names, kept.tolist(), clusters, strict=True)
    ]
    return LabelSummary(
        pairs=len(keys),
        read=len(chosen),
        stored_share=left[0].share,
        kept_share=left[-1].share,
        left=tuple(left),
        speed_share=_shares(speeds),
        views=dict(views.most_common()),
        bytes=sum(store.path(key).stat().st_size for key in keys),
        bytes_per_pixel=sum(store.path(key).stat().st_size for key in chosen) / max(stored, 1),
    )


def _shares(weights: Tensor) -> tuple[float, ...]:
    """Each over their sum; zeros where that is zero."""
    return tuple((weights / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)).tolist())
