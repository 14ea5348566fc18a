"""What stage 1 gave of tracks: windows, what each rule keeps, speeds, hidden frames and bytes, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.console import Group
from rich.table import Table

from refine_motion.labels.clusters import motion_cluster
from refine_motion.labels.opened import evenly
from refine_motion.labels.select import LabelRule, weights_in_turn
from refine_motion.labels.summary import MAX_READ
from refine_motion.labels.track_rules import apart_pixels
from refine_motion.labels.track_store import ClipKey, TrackStore
from refine_motion.labels.weighted import WeightedLabels

# Inner edges of the bins in which mean speeds are counted, in pixels a frame.
_EDGES = (0.5, 2.0, 5.0, 15.0)


@dataclass(frozen=True)
class TracksLeft:
    """What there is of the tracks at one point in the order of the rules.

    Attributes:
        after: class of the rule that was applied last, or ``stored`` before any.
        share: tracks with a weight over all that are stored, 0..1.
        moving: share of the weight on tracks that move against the dominant motion, 0..1.
    """

    after: str
    share: float
    moving: float


@dataclass(frozen=True)
class TrackSummary:
    """Yield of a store of tracks under some rules.

    Attributes:
        windows: labelled windows.
        read: windows, evenly spaced, that the shares were measured on.
        stored: tracks in a window on average.
        kept_share: of these with a weight after all rules.
        known_share: of the frames of kept tracks, those in which both ways see the point.
        left: before any rule, and after each in turn.
        speed_share: share of each bin of mean speed in the weight after all rules.
        bytes: size of all labels on disk.
    """

    windows: int
    read: int
    stored: float
    kept_share: float
    known_share: float
    left: tuple[TracksLeft, ...]
    speed_share: tuple[float, ...]
    bytes: int

    @property
    def count(self) -> int:
        """Labels in the store."""
        return self.windows

    def table(self) -> Group:
        """The summary for a terminal."""
        table = Table(title="Pseudo-tracks", show_header=False)
        table.add_row("windows", f"{self.windows:,}")
        table.add_row("stored tracks in each", f"{self.stored:.0f}")
        table.add_row("kept by the filters", f"{self.kept_share:.1%}")
        table.add_row("frames of these in which the point is seen", f"{self.known_share:.1%}")
        lows = (0.0, *_EDGES)
        for low, high, share in zip(lows, (*_EDGES, None), self.speed_share, strict=True):
            name = f"{low:g} to {high:g} px a frame" if high is not None else f"over {low:g} px a frame"
            table.add_row(f"  weight on {name}", f"{share:6.1%} {'█' * round(30 * share)}")
        table.add_row("on disk", f"{self.bytes / 2**20:,.1f} MiB")
        rules = Table(
            "after", title="Rules in their order", caption="moving: against the motion of most of the picture"
        )
        for column in ("of the stored tracks", "weight on what is moving"):
            rules.add_column(column, justify="right")
        for left in self.left:
            rules.add_row(left.after, f"{left.share:.1%}", f"{left.moving:.1%}")
        return Group(table, rules)


def summarise_tracks(
    store: TrackStore, keys: Sequence[ClipKey], rules: Sequence[LabelRule], max_read: int = MAX_READ
) -> TrackSummary:
    """Measure the yield of the tracks of some windows.

    Args:
        store: where they are.
        keys: the windows; all must be labelled.
        rules: what training would apply.
        max_read: windows that are read at most, at least 1.

    Raises:
        LabelError: a label is damaged.
    """
    labels = WeightedLabels(store, rules, keys)
    chosen = evenly(keys, max_read)
    kept = torch.zeros(len(rules) + 1, dtype=torch.long)
    moving, total = torch.zeros(2, len(rules) + 1, dtype=torch.float64)
    speeds = torch.zeros(len(_EDGES) + 1, dtype=torch.float64)
    known = frames = 0
    for key in chosen:
        label = store.read(key)
        apart = motion_cluster(label, apart_pixels(label.size)) > 0
        weights = list(weights_in_turn(labels.rules_of(key.video), label, seed=0))
        for row, weight in enumerate(weights):
            kept[row] += (weight > 0).sum()
            moving[row] += weight[apart].sum()
            total[row] += weight.sum()
        bins = torch.bucketize(label.evidence.speed, torch.tensor(_EDGES), right=True)
        speeds += torch.bincount(bins, weights[-1].double(), len(speeds))
        last = label.known[:, weights[-1] > 0]
        known, frames = known + int(last.sum()), frames + last.numel()
    names = ("stored", *(type(rule).__name__ for rule in rules))
    stored = max(int(kept[0]), 1)
    left = [
        TracksLeft(name, int(count) / stored, (part / whole).item() if whole else 0.0)
        for name, count, part, whole in zip(names, kept, moving, total, strict=True)
    ]
    return TrackSummary(
        windows=len(keys),
        read=len(chosen),
        stored=int(kept[0]) / len(chosen),
        kept_share=left[-1].share,
        known_share=known / max(frames, 1),
        left=tuple(left),
        speed_share=tuple((speeds / speeds.sum().clamp(min=1e-12)).tolist()),
        bytes=sum(store.path(key).stat().st_size for key in keys),
    )
