"""``refine-motion evaluate keypoints``: joints, predicted or carried by a model, on a benchmark, from one YAML file."""

from __future__ import annotations

from jsonargparse import ArgumentParser

from refine_motion.benchmarks.keypoints.benchmark import KeypointBenchmark
from refine_motion.benchmarks.keypoints.evaluation import evaluate_keypoints
from refine_motion.benchmarks.keypoints.jhmdb import Jhmdb
from refine_motion.cli.predictions import predictions_parser, run
from refine_motion.propagation.predictors import PointPropagation

# Imported so that YAML files may give this class name without its module.
__all__ = ["Jhmdb", "main"]


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``evaluate keypoints``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    return run(
        "evaluate keypoints",
        args,
        _parser,
        evaluate_keypoints,
        lambda matcher, config: PointPropagation(matcher, config.side),
    )


def _parser() -> ArgumentParser:
    parser = predictions_parser(
        "evaluate keypoints",
        "Score predicted joints on a benchmark by PCK. A model predicts by carrying the first joints through the "
        "frames.",
        "jhmdb.yaml",
        "folder of the predicted joints, <class>/<video>.csv with point, frame, x and y",
        KeypointBenchmark,
    )
    parser.add_argument(
        "--side",
        type=int | None,
        default=None,
        help="the model sees frames of so many pixels on each side, 320 as published; null for their own size",
    )
    return parser
