"""KITTI 2015 (Menze and Geiger, CVPR 2015), and KITTI 2012, which differs in the name of the frames' folder.

Layout, in the folder or in its ``training/``::

    image_2/000000_10.png, 000000_11.png           colored_0/ in KITTI 2012; sizes differ between pairs
    flow_occ/000000_10.png                         sparse truth, occluded pixels included
    flow_noc/000000_10.png                         of the pixels that are visible in both frames only

Protocol (princeton-vl/RAFT ``evaluate.py``): 24 iterations, all padding of the height at the bottom; the end-point
error is a mean over images of the mean of each, Fl-all is pooled over the pixels of all images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from refine_motion.benchmarks.flow_files import read_flow
from refine_motion.benchmarks.flow_pair import FlowPair, Padding, beside, check_frames
from refine_motion.errors import BenchmarkError


@dataclass(frozen=True)
class KittiPair(FlowPair):
    """A pair of KITTI.

    Attributes:
        flow_noc: truth of the non-occluded pixels; ``None`` where the folder has none.
    """

    flow_noc: Path | None = None

    padding: ClassVar[Padding] = "kitti"

    def read_matched(self) -> Tensor | None:
        """Pixels with non-occluded truth."""
        return None if self.flow_noc is None else read_flow(self.flow_noc)[1]


def find_kitti(root: Path) -> list[KittiPair]:
    """All pairs with true flow, sorted by number; none where the layout is another.

    Every pair is a sequence of its own.

    Raises:
        BenchmarkError: a frame is missing, or the non-occluded truth of some pairs only.
    """
    root = beside(root, "flow_occ")
    frames = root / ("image_2" if (root / "image_2").is_dir() else "colored_0")
    with_noc = (root / "flow_noc").is_dir()
    pairs = []
    for flow in sorted((root / "flow_occ").glob("*_10.png")):
        number = flow.stem.removesuffix("_10")
        noc = root / "flow_noc" / flow.name
        if with_noc and not noc.is_file():
            raise BenchmarkError(f"{noc}: missing, but {flow} is there; complete the folder flow_noc or remove it")
        a, b = frames / f"{number}_10.png", frames / f"{number}_11.png"
        pairs.append(KittiPair(number, number, a, b, flow, noc if with_noc else None))
        check_frames(pairs[-1])
    return pairs
