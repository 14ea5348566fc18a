"""A video and the labels of its first frame in; masks or points of every frame, and a picture of them, out."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.files import replacing
from refine_motion.metrics.functional.masks import VOID
from refine_motion.motion.propagate import Matcher, propagate
from refine_motion.propagation.predictors import MaskPropagation
from refine_motion.types import Tracks
from refine_motion.video.info import VideoInfo
from refine_motion.video.palette import read_mask, write_mask
from refine_motion.video.shown import shown_frames
from refine_motion.video.writer import write_video
from refine_motion.viz.masks import draw_mask


def read_first_mask(path: str | Path, info: VideoInfo) -> Tensor:
    """The mask of a video's first frame.

    Args:
        path: a palette or grey picture; see :func:`refine_motion.video.palette.read_mask`.
        info: the video.

    Returns:
        ``(H, W)`` uint8 numbers of objects as they are in the file; void is background.

    Raises:
        BenchmarkError: the file is missing, damaged, or no mask.
        ConfigError: it is of another size than the video, or has no object.
    """
    ids = read_mask(path)
    if ids.shape != (info.height, info.width):
        raise ConfigError(
            f"{path}: {ids.shape[1]} x {ids.shape[0]} pixels, but {info.path} has {info.width} x {info.height}; "
            "bring the mask to that size without mixing numbers"
        )
    ids = torch.where(ids == VOID, 0, ids)
    if not ids.any():
        raise ConfigError(f"{path}: has no object, all is background; give each pixel of an object its number")
    return ids


def propagate_mask(info: VideoInfo, mask: Tensor, matcher: Matcher, out: str | Path) -> None:
    """Carry a mask through a video file and write one picture for each frame, named as DAVIS names them.

    Args:
        info: the video, read once and in order.
        mask: ``(H, W)`` uint8 numbers of the objects in its first frame.
        matcher: what carries labels.
        out: folder for ``00000.png`` and so on, palette pictures.

    Raises:
        VideoError: the video is too short or too small for the matcher, or cannot be read.
    """
    _check(info, matcher)
    masks = MaskPropagation(matcher)(mask, shown_frames(info, "propagating"))
    for number, ids in enumerate(masks):
        write_mask(mask_file(out, number), ids)


def mask_file(folder: str | Path, number: int) -> Path:
    """The file of a frame's mask."""
    return Path(folder) / f"{number:05d}.png"


def write_mask_overlay(info: VideoInfo, masks: str | Path, path: str | Path) -> None:
    """Write the video with its masks drawn over it.

    Args:
        info: the video.
        masks: the folder that :func:`propagate_mask` filled.
        path: the ``.mp4`` file.

    Raises:
        VideoError: the video cannot be read, or the file not written.
    """

    def drawn() -> Iterator[Tensor]:
        for number, frame in enumerate(shown_frames(info, "drawing")):
            yield draw_mask(frame, read_mask(mask_file(masks, number)))

    write_video(path, drawn(), info.fps)


def propagate_points(info: VideoInfo, points: Tensor, matcher: Matcher) -> Tracks:
    """Carry points through a video file.

    Args:
        info: the video, read once and in order.
        points: ``(N, 2)`` x, y in pixels of the first frame.
        matcher: what carries labels.

    Returns:
        The places, not a number and not visible where there is no estimate.

    Raises:
        VideoError: the video is too short or too small for the matcher, or cannot be read.
    """
    _check(info, matcher)
    carried = propagate(matcher, points, shown_frames(info, "propagating"))
    xy = torch.stack([places.cpu().float() for places in carried])
    return Tracks(xy, ~xy.isnan().any(dim=-1))


def write_points(path: str | Path, tracks: Tracks, names: Sequence[str]) -> None:
    """Write points as a CSV file with ``point``, ``frame``, ``x`` and ``y``; no line where there is no estimate.

    ``refine-motion evaluate keypoints`` reads such files.

    Args:
        path: the file, replaced in one step.
        tracks: of :func:`propagate_points`.
        names: of the points.
    """
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("point", "frame", "x", "y"))
        for number, name in enumerate(names):
            for frame in torch.nonzero(tracks.visible[:, number])[:, 0].tolist():
                x, y = tracks.xy[frame, number].tolist()
                writer.writerow((name, frame, f"{x:.6g}", f"{y:.6g}"))


def _check(info: VideoInfo, matcher: Matcher) -> None:
    """Refuse a video that the matcher cannot take, before anything is computed."""
    if info.frames < matcher.min_frames:
        raise VideoError(
            f"{info.path}: {info.frames} frames are too few for a model that looks at {matcher.min_frames} at a time"
        )
    if min(info.width, info.height) < matcher.min_side:
        raise VideoError(f"{info.path}: {info.width}x{info.height}: a side is below {matcher.min_side} px")
