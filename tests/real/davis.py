"""Two real sequences with true masks, in the layout of the shared material."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from refine_motion.benchmarks.masks.benchmark import MaskBenchmark, MaskSequence
from refine_motion.video.sources import list_images


class SharedDavis(MaskBenchmark):
    """``bear`` and ``blackswan`` of DAVIS, one object each.

    Args:
        root: the folder ``davis`` of the shared material.
        names: of the sequences.
    """

    def __init__(self, root: Path, names: tuple[str, ...] = ("bear", "blackswan")):
        super().__init__(str(root))
        self.folder, self.names = root, names

    @property
    def title(self) -> str:
        """The sequences."""
        return f"DAVIS {', '.join(self.names)}, one object each, 480p"

    def sequences(self) -> Iterator[MaskSequence]:
        """See :class:`MaskBenchmark`."""
        for name in self.names:
            images, masks = (list_images(self.folder / name / part) for part in ("frames", "masks"))
            yield MaskSequence(name, images, masks, single=True)
