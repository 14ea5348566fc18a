"""Middlebury optical flow (Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011).

Layout::

    other-data/<Seq>/frame10.png, frame11.png      some sequences have frame07 to frame14
    other-gt-flow/<Seq>/flow10.flo                 frame10 to frame11; unknown flow is above 1e9

Sequences without public truth (Beanbags, DogDance, MiniCooper, Walking) are passed over.
"""

from __future__ import annotations

from pathlib import Path

from refine_motion.benchmarks.flow_pair import FlowPair, check_frames


def find_middlebury(root: Path) -> list[FlowPair]:
    """The pair of each sequence with true flow, sorted by name; none where the layout is another.

    Raises:
        BenchmarkError: a frame of a sequence with true flow is missing.
    """
    pairs = []
    for flow in sorted((root / "other-gt-flow").glob("*/flow10.flo")):
        name = flow.parent.name
        a, b = (root / "other-data" / name / frame for frame in ("frame10.png", "frame11.png"))
        pairs.append(check_frames(FlowPair(f"{name}/flow10", name, a, b, flow)))
    return pairs
