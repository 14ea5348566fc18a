"""``refine-motion propagate``: the mask or the points of a video's first frame, carried to all frames."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from refine_motion.corrflow.bottleneck import INPUTS
from refine_motion.errors import ConfigError
from refine_motion.labels.points_file import Points, read_points
from refine_motion.models.track_base import check_queries
from refine_motion.motion.propagate import Matcher
from refine_motion.propagation.identity import IdentityMatcher
from refine_motion.propagation.matchers import load_matcher
from refine_motion.propagation.run import (
    mask_file,
    propagate_mask,
    propagate_points,
    read_first_mask,
    write_mask_overlay,
    write_points,
)
from refine_motion.propagation.settings import MEMORIES, PropagationSettings
from refine_motion.tracking.run import open_single, write_overlay
from refine_motion.video.info import VideoInfo


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``propagate``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    options = _parser().parse_args(args)
    info = open_single(options.video)
    first: Tensor | Points
    first = _points(options.points, info) if options.mask is None else read_first_mask(options.mask, info)
    out, overlay = options.out, options.out / "overlay.mp4"
    _check_kept(out, info, [options.video, options.mask or options.points])
    matcher = _matcher(options)
    if isinstance(first, Points):
        tracks = propagate_points(info, first.queries[:, 1:], matcher)
        write_points(out / "points.csv", tracks, first.names)
        print(f"{out / 'points.csv'}: {len(first.names)} points through {info.frames} frames")
        if options.overlay:
            write_overlay(info, tracks, first, overlay)
    else:
        propagate_mask(info, first, matcher, out)
        objects = len(first.unique()) - int((first == 0).any())
        print(f"{out}: masks of {info.frames} frames, {objects} object{'s' if objects > 1 else ''}")
        if options.overlay:
            write_mask_overlay(info, out, overlay)
    print(f"by {matcher.about}")
    if options.overlay:
        print(f"{overlay}: drawn over the video")
    return 0


def _matcher(options: argparse.Namespace) -> Matcher:
    """What the options say that carries.

    Raises:
        ConfigError: there are no weights, or a setting cannot work or has no part in the model.
        WeightsError: the weights cannot be loaded.
    """
    given: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("radius", "top_k", "temperature", "compat", "inputs")
        if getattr(options, name) is not None
    }
    if options.hard:
        given["soft"] = False
    if options.memory is not None:
        given["previous"], given["anchors"] = MEMORIES[options.memory]
    if options.baseline is not None:
        if options.weights or options.model or given:
            raise ConfigError("--baseline identity takes no model and no settings of one; leave them or it out")
        return IdentityMatcher()
    return load_matcher(options.model, options.weights, PropagationSettings(**given))


def _points(path: str, info: VideoInfo) -> Points:
    """Points of the first frame.

    Raises:
        ConfigError: the file cannot be read, or a point is outside the frame or in another one.
    """
    found = read_points(path)
    try:
        check_queries(found.queries, (info.height, info.width))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    late = torch.nonzero(found.queries[:, 0])[:, 0]
    if len(late):
        number = int(late[0])
        raise ConfigError(
            f"{path}: point {found.names[number]} is in frame {found.queries[number, 0]:g}; "
            "points are carried from frame 0, so give them there"
        )
    return found


def _check_kept(out: Path, info: VideoInfo, read: list[str]) -> None:
    """Refuse to write over what is read, or among pictures that would be taken for masks of this video.

    Raises:
        ConfigError: it would.
    """
    own = {mask_file(out, number) for number in range(info.frames)}
    written = {path.resolve() for path in (out, out / "overlay.mp4", out / "points.csv", *own)}
    for source in read:
        if Path(source).resolve() in written:
            raise ConfigError(f"{source}: would be written over, and it is read here; give another --out")
    foreign = sorted(path for path in out.glob("*.png") if path not in own)
    if foreign:
        raise ConfigError(f"{foreign[0]}: is not of this video and would lie among its masks; give another --out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine-motion propagate",
        description="Carry the mask of a video's first frame, or points in it, to all frames: by CorrFlow's features, "
        "by optical flow or by tracks, as the model has it. Writes masks as 00000.png and so on in DAVIS's colours, or "
        "points.csv, and overlay.mp4.",
    )
    parser.add_argument("video", metavar="VIDEO", help="a video file, or a folder of frames")
    labels = parser.add_mutually_exclusive_group(required=True)
    labels.add_argument("--mask", help="mask of the first frame: a picture with the number of an object at each pixel")
    labels.add_argument("--points", help="CSV file: frame,x,y and, if you like, point; all in frame 0")
    parser.add_argument("--weights", help="weights of the model: a path or a name")
    parser.add_argument("--model", help="architecture, e.g. corrflow_small; recognised from the weights when not given")
    parser.add_argument("--baseline", choices=["identity"], help="instead of a model: nothing moves")
    parser.add_argument("--out", type=Path, default=Path("propagated"), help="folder for the results (%(default)s)")
    parser.add_argument("--no-overlay", dest="overlay", action="store_false", help="do not write overlay.mp4")
    default = PropagationSettings()
    encoder = parser.add_argument_group("of CorrFlow's encoder")
    encoder.add_argument("--radius", type=int, help=f"how far to look, in cells of 4 px ({default.radius})")
    encoder.add_argument("--top-k", type=int, help="only so many candidates of a cell count (all)")
    encoder.add_argument("--temperature", type=float, help=f"of the softmax ({default.temperature:g})")
    encoder.add_argument(
        "--memory",
        choices=list(MEMORIES),
        help="frames to copy from: the one before; that and the first; or 0, 5, t-1, t-3 and t-5 (mast)",
    )
    encoder.add_argument("--hard", action="store_true", help="one label for each pixel, decided in every frame")
    encoder.add_argument("--inputs", choices=INPUTS, help=f"what it was trained to see ({default.inputs})")
    encoder.add_argument("--compat", choices=["fixed", "official"], help="official: published rules, errors included")
    return parser
