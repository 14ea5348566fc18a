"""What stage 1 gave: pairs, kept share, speeds and bytes, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.table import Table

from refine_motion.labels.select import LabelFilter, select
from refine_motion.labels.store import LabelStore, PairKey

SPEED_EDGES = (1.0, 5.0, 10.0, 20.0, 40.0)
# A histogram of some hundred pairs says what one of all pairs says; reading all would take minutes on a large store.
MAX_READ = 256


@dataclass(frozen=True)
class LabelSummary:
    """Yield of a label store under some filters.

    Attributes:
        pairs: labelled pairs.
        read: pairs, evenly spaced, that the shares were measured on.
        stored_share: stored pixels over all pixels.
        kept_share: pixels that pass the filters over all pixels.
        speed_share: share of the kept pixels in each speed bin.
        bytes: size of all labels on disk.
        bytes_per_pixel: the same per stored pixel.
    """

    pairs: int
    read: int
    stored_share: float
    kept_share: float
    speed_share: tuple[float, ...]
    bytes: int
    bytes_per_pixel: float

    def table(self) -> Table:
        """The summary for a terminal."""
        table = Table(title="Pseudo-labels", show_header=False)
        table.add_row("pairs", f"{self.pairs:,}")
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


def summarise(
    store: LabelStore, keys: Sequence[PairKey], filters: Sequence[LabelFilter], max_read: int = MAX_READ
) -> LabelSummary:
    """Measure the yield of the labels of some pairs; only their evidence is read.

    Args:
        store: where they are.
        keys: the pairs; all must be labelled.
        filters: what training would apply.
        max_read: pairs that are read at most, at least 1.
    """
    stride = max(1, -(-len(keys) // max_read))
    pixels = stored = kept = 0
    bins = torch.zeros(len(SPEED_EDGES) + 1, dtype=torch.long)
    edges = torch.tensor(SPEED_EDGES)
    for key in keys[::stride]:
        size, evidence = store.read_evidence(key)
        speed = evidence.speed[select(filters, evidence, seed=0)]
        pixels += size[0] * size[1]
        stored += len(evidence.speed)
        kept += len(speed)
        found = torch.bucketize(speed, edges, right=True)
        bins += torch.bincount(found, minlength=len(bins))
    total = sum(store.path(key).stat().st_size for key in keys)
    read_bytes = sum(store.path(key).stat().st_size for key in keys[::stride])
    return LabelSummary(
        pairs=len(keys),
        read=len(keys[::stride]),
        stored_share=stored / max(pixels, 1),
        kept_share=kept / max(pixels, 1),
        speed_share=tuple((bins / max(kept, 1)).tolist()),
        bytes=total,
        bytes_per_pixel=read_bytes / max(stored, 1),
    )
