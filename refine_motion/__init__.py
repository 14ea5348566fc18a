"""Refine pre-trained motion models on your own unlabelled videos (arXiv 2401.00850).

The public face::

    import refine_motion as rm

    model = rm.load_model("raft_small", weights="raft-small.pth")
    flow = model.flow(a, b, iters=12)
    store = rm.label(videos="clips/", model="raft_small", weights="raft-small.pth", out="labels/")
    result = rm.refine(videos="clips/", model="raft_small", weights="raft-small.pth", out="runs/clips")
    table = rm.evaluate_flow(rm.load_model(None, weights=result.weights), "pairs/")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refine_motion.benchmarks.flow_evaluation import evaluate_flow
    from refine_motion.benchmarks.tracks.evaluation import evaluate_tracks
    from refine_motion.models.load import load_model
    from refine_motion.refine.api import label, refine, refine_each
    from refine_motion.refine.track_api import refine_tracks

__version__ = "0.1.0"
__all__ = ["evaluate_flow", "evaluate_tracks", "label", "load_model", "refine", "refine_each", "refine_tracks"]

_HOME = {
    "evaluate_flow": "refine_motion.benchmarks.flow_evaluation",
    "evaluate_tracks": "refine_motion.benchmarks.tracks.evaluation",
    "label": "refine_motion.refine.api",
    "load_model": "refine_motion.models.load",
    "refine": "refine_motion.refine",
    "refine_each": "refine_motion.refine.api",
    "refine_tracks": "refine_motion.refine.track_api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: Lightning and Kornia take seconds that not every command needs."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(_HOME[name])
    # The room of this name can be called itself; it must stay reachable for the import of its modules.
    found = module if module.__name__ == f"{__name__}.{name}" else getattr(module, name)
    globals()[name] = found
    return found
