"""``refine-motion centroids``: the colours that CorrFlow tells apart, fitted to one's own videos."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from refine_motion.corrflow.centroids import video_centroids, write_centroids
from refine_motion.errors import ConfigError
from refine_motion.video.index import build_index


def main(args: list[str]) -> int:
    """Run the command.

    Args:
        args: the words after ``centroids``.

    Returns:
        The exit status.

    Raises:
        RefineMotionError: an error that the user can mend; the caller prints it.
    """
    options = _parser().parse_args(args)
    if options.out.suffix != ".csv":
        raise ConfigError(f"{options.out}: centroids are written as .csv; give a name that ends so")
    if options.count < 2 or options.pixels < options.count:
        raise ConfigError(f"--count must be at least 2 and --pixels no fewer, got {options.count} and {options.pixels}")
    index = build_index(options.videos)
    centroids, shares = video_centroids(index.videos, options.count, options.pixels, options.seed)
    write_centroids(options.out, centroids)
    Console().print(_table(centroids, shares))
    print(f"{options.out}: {len(centroids)} centroids; train with --model.centroids {options.out}")
    return 0


def _table(centroids: Tensor, shares: Tensor) -> Table:
    table = Table("class", "a", "b", "", "share of the pixels", title="centroids of colour in CIE Lab")
    for number, ((a, b), share) in enumerate(zip(centroids.tolist(), shares.tolist(), strict=True)):
        table.add_row(str(number), f"{a:.1f}", f"{b:.1f}", _swatch(a, b), f"{share:.1%}")
    return table


def _swatch(a: float, b: float) -> Text:
    """The colour itself, at a middle lightness."""
    from kornia.color import lab_to_rgb

    rgb = lab_to_rgb(torch.tensor([60.0, a, b]).view(1, 3, 1, 1)).mul(255).round().int().flatten().tolist()
    return Text("      ", style=f"on rgb({rgb[0]},{rgb[1]},{rgb[2]})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refine-motion centroids",
        description="Fit the centroids of colour that CorrFlow tells apart to videos: k-means of the a and b of their "
        "pixels. Grey videos have no colours to tell apart.",
    )
    parser.add_argument("videos", metavar="VIDEOS", help="a video, a folder, a glob pattern, or a .txt list")
    parser.add_argument("--count", type=int, default=16, help="number of centroids (%(default)s, as published)")
    parser.add_argument("--pixels", type=int, default=100_000, help="how many are drawn (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("centroids.csv"), help="the file (%(default)s)")
    return parser
