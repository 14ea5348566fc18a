"""``refine-motion evaluate``: scores against truth: flow on frame pairs; tracks, masks, key-points or actions."""

from __future__ import annotations

import argparse

import torch

from refine_motion.benchmarks.flow_evaluation import DEFAULT_ITERS, evaluate_flow
from refine_motion.cli import evaluate_actions, evaluate_keypoints, evaluate_masks, evaluate_tracks
from refine_motion.models.load import load_flow_model

# They have parsers of their own, for YAML files.
_OWN = {
    "tracks": evaluate_tracks.main,
    "masks": evaluate_masks.main,
    "keypoints": evaluate_keypoints.main,
    "actions": evaluate_actions.main,
}


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``evaluate``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    if args and args[0] in _OWN:
        return _OWN[args[0]](args[1:])
    options = _parser().parse_args(args)
    model = load_flow_model(options.model, weights=options.weights)
    against = None if options.against is None else load_flow_model(options.model, weights=options.against)
    if torch.cuda.is_available():
        model.cuda()
        if against is not None:
            against.cuda()
    table = evaluate_flow(model, options.pairs, against=against, iters=options.iters)
    table.print()
    if options.csv is not None:
        table.to_csv(options.csv)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="refine-motion evaluate", description="Score a model against ground truth.")
    what = parser.add_subparsers(dest="what", required=True, metavar="{flow,tracks,masks,keypoints,actions}")
    what.add_parser("tracks", help="tracked points on a benchmark, from a YAML file (configs/benchmarks/)")
    what.add_parser("masks", help="predicted masks, or a model that carries them, on DAVIS, from a YAML file")
    what.add_parser("keypoints", help="predicted joints, or a model that carries them, on JHMDB, from a YAML file")
    what.add_parser("actions", help="a network of clips on UCF101, HMDB51 or your folders of classes, from a YAML file")
    flow = what.add_parser(
        "flow",
        help="optical flow on frame pairs",
        description="Score a flow model on a folder of frame pairs with true flow, alone or against another model.",
    )
    flow.add_argument("--weights", required=True, help="weights of the model")
    flow.add_argument("--against", help="weights to compare with, usually those before refinement")
    flow.add_argument("--model", help="architecture, e.g. raft_small; recognised from the weights when not given")
    flow.add_argument("--pairs", required=True, help="folder: Middlebury, KITTI, MPI-Sintel, or .flo beside its frames")
    flow.add_argument("--iters", type=_positive, default=DEFAULT_ITERS, help="refinement iterations (%(default)s)")
    flow.add_argument("--csv", help="file to write the table to as well")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} iterations; at least 1 is needed")
    return number
