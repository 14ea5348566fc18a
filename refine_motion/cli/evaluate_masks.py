"""``refine-motion evaluate masks``: masks, predicted or carried by a model, on a benchmark, from one YAML file."""

from __future__ import annotations

from jsonargparse import ArgumentParser

from refine_motion.benchmarks.masks.benchmark import MaskBenchmark
from refine_motion.benchmarks.masks.davis import Davis
from refine_motion.benchmarks.masks.evaluation import evaluate_masks
from refine_motion.cli.predictions import predictions_parser, run
from refine_motion.propagation.predictors import MaskPropagation

# Imported so that YAML files may give this class name without its module.
__all__ = ["Davis", "main"]


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``evaluate masks``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    return run("evaluate masks", args, _parser, evaluate_masks, lambda matcher, config: MaskPropagation(matcher))


def _parser() -> ArgumentParser:
    return predictions_parser(
        "evaluate masks",
        "Score predicted masks of objects on a benchmark by J&F, with DAVIS's official rules. A model predicts by "
        "carrying the first mask through the frames.",
        "davis2017.yaml",
        "folder of the predicted masks, <sequence>/<frame>.png, palette or grey",
        MaskBenchmark,
    )
