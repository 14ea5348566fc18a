"""The best views and rules for tracks that we know, as in ``configs/refine/tracks.yaml``."""

from __future__ import annotations

from refine_motion.labels.balance import MotionBalance
from refine_motion.labels.select import LabelRule
from refine_motion.labels.track_rules import APART_SIZE, AllFrames, LeastKnown

# Not as a student sees the frames: what agrees with it has nothing to teach it.
TRACK_VIEWS = ("1x flip", "1.25x", "1.5x")


def track_filters() -> dict[str, LabelRule]:
    """Rules under the names that the configurations give them."""
    return {"cycle": AllFrames(), "known": LeastKnown(), "balance": MotionBalance(at=APART_SIZE)}
