"""Score a flow model on frame pairs with true flow, alone or against another model."""

from __future__ import annotations

from pathlib import Path

from refine_motion.benchmarks.estimate import EstimatesFlow
from refine_motion.benchmarks.flow_pair import read_sample
from refine_motion.benchmarks.flow_table import FlowTable
from refine_motion.benchmarks.pairs import find_pairs
from refine_motion.benchmarks.progress import with_progress
from refine_motion.benchmarks.scores import score_pair, tabulate

DEFAULT_ITERS = 32


def evaluate_flow(
    model: EstimatesFlow,
    pairs: str | Path,
    against: EstimatesFlow | None = None,
    iters: int | None = None,
    progress: bool = True,
) -> FlowTable:
    """Score a flow model on a folder of frame pairs with true flow.

    Every pixel with known truth counts, occluded ones included, at the size of the frames (princeton-vl/RAFT
    ``evaluate.py``). Frames are padded as their benchmark says. The protocol of one benchmark, with its own iterations
    and choice of pairs, is what ``refine-motion test`` runs.

    Args:
        model: a flow model in eval mode, as ``load_model`` returns it.
        pairs: folder in one of the layouts of :func:`refine_motion.benchmarks.pairs.find_pairs`.
        against: a second model, usually the one before refinement; its end-point error and the relative change are
            added to each row, and 95 % intervals of the change to the table.
        iters: refinement iterations. 32 when not given, RAFT's number for Sintel (its KITTI protocol has 24).
        progress: show a bar on the error stream, when that is a terminal and it takes more than 2 seconds.

    Returns:
        A row per sequence, their unweighted mean, and the values pooled over all pixels.

    Raises:
        BenchmarkError: there are no pairs, a file cannot be read, a frame has another size than its flow, or a frame is
            too small for the model.
    """
    found = find_pairs(pairs)
    iters = DEFAULT_ITERS if iters is None else iters
    steps = with_progress(found, "evaluating flow") if progress else iter(found)
    return tabulate([score_pair(read_sample(pair), model, against, iters) for pair in steps], iters)
