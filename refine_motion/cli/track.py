"""``refine-motion track``: points through a video, as a table and a video with the tracks drawn over it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from refine_motion.errors import ConfigError
from refine_motion.models.load import load_track_model
from refine_motion.tracking.files import check_format
from refine_motion.tracking.run import choose_points, open_single, summary, track_video, write_overlay


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``track``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    options = _parser().parse_args(args)
    picture = options.out.with_suffix(".mp4") if options.overlay else None
    check_format(options.out)
    _check_kept([options.out, picture], [options.video, options.points])
    model = load_track_model(options.model, options.weights)
    if torch.cuda.is_available():
        model.cuda()
    info = open_single(options.video)
    points = choose_points(info, options.points, options.count, options.frame)
    tracks = track_video(info, points, model, options.out)
    print(f"{options.out}: {summary(tracks, points)}")
    if picture is not None:
        write_overlay(info, tracks, points, picture, options.colour)
        print(f"{picture}: seen points are filled, hidden ones rings; colour by {options.colour}")
    return 0


def _check_kept(written: Sequence[Path | None], read: Sequence[str]) -> None:
    """Refuse to write over what is read.

    Raises:
        ConfigError: a file is both.
    """
    for path in filter(None, written):
        if any(path.resolve() == Path(source).resolve() for source in read):
            raise ConfigError(f"{path}: would be written over, and it is read here; give another --out")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine-motion track",
        description="Follow points through a video by PIPs, or by any flow model, whose flow is linked over several "
        "distances in time. Writes a row per point and frame with visibility, confidence and cycle error.",
    )
    parser.add_argument("video", metavar="VIDEO", help="a video file, or a folder of frames")
    parser.add_argument("--points", default="grid", help="grid, corners, or a CSV file: frame,x,y and point ('grid')")
    parser.add_argument("--count", type=int, default=256, help="how many on a grid or at corners (%(default)s)")
    parser.add_argument("--frame", type=int, default=0, help="frame of the grid or the corners (%(default)s)")
    parser.add_argument("--weights", required=True, help="weights of the model: a path or a name")
    parser.add_argument("--model", help="architecture, e.g. pips; recognised from the weights when not given")
    parser.add_argument("--out", type=Path, default=Path("tracks.csv"), help=".csv, .parquet or .npz (%(default)s)")
    parser.add_argument("--colour", choices=["start", "error"], default="start", help="of the points (%(default)s)")
    parser.add_argument(
        "--no-overlay", dest="overlay", action="store_false", help="do not write the video beside the table"
    )
    return parser
