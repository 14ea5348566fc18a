"""FlyingChairs (Dosovitskiy et al., "FlowNet: Learning Optical Flow with Convolutional Networks", ICCV 2015).

Layout, in the folder or in its ``FlyingChairs_release/``::

    data/00001_img1.ppm, 00001_img2.ppm, 00001_flow.flo …
    chairs_split.txt                               line k is for pair k: 1 = training, 2 = validation

Protocol (princeton-vl/RAFT ``evaluate.py``): the 640 validation pairs, 24 iterations, the pixels of all pairs pooled.
"""

from __future__ import annotations

from pathlib import Path

from refine_motion.benchmarks.flow_pair import FlowPair, check_frames
from refine_motion.errors import BenchmarkError

SPLITS = {"training": "1", "validation": "2"}


def find_flying_chairs(root: Path, split: str = "validation", split_file: Path | None = None) -> list[FlowPair]:
    """The pairs of one split, sorted by number; none where the layout is another.

    A line of the split file belongs to the pair whose files have its number, so that a stray file does not shift the
    rest.

    Args:
        root: the folder.
        split: ``training`` or ``validation``.
        split_file: the split; ``chairs_split.txt`` beside ``data/`` when not given.

    Raises:
        BenchmarkError: there is no split file, it says something else than 1 and 2, or a file of a pair of the split is
            missing.
    """
    root = root / "FlyingChairs_release" if (root / "FlyingChairs_release" / "data").is_dir() else root
    if next((root / "data").glob("*_flow.flo"), None) is None:
        return []
    path = root / "chairs_split.txt" if split_file is None else split_file
    if not path.is_file():
        raise BenchmarkError(
            f"{path}: missing; it says which pairs are for validation (a line for each pair, 1 or 2), "
            "and comes with the dataset and with the code of RAFT"
        )
    lines = path.read_text(encoding="utf-8", errors="replace").split()
    if set(lines) - set(SPLITS.values()):
        raise BenchmarkError(f"{path}: every line must be 1 (training) or 2 (validation); check that it is the split")
    pairs = []
    for number in (index for index, line in enumerate(lines, start=1) if line == SPLITS[split]):
        a, b, flow = (root / "data" / f"{number:05d}_{file}" for file in ("img1.ppm", "img2.ppm", "flow.flo"))
        if not flow.is_file():
            raise BenchmarkError(f"{flow}: missing, but {path.name} names it for {split}; complete the folder data")
        pairs.append(check_frames(FlowPair(f"FlyingChairs/{number:05d}", "FlyingChairs", a, b, flow)))
    return pairs
