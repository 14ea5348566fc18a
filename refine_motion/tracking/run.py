"""A video file in, tracks and a picture of them out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from refine_motion.errors import ConfigError, VideoError
from refine_motion.labels.points_file import Points, read_points
from refine_motion.models.track_base import TrackModel, check_queries
from refine_motion.tracking.files import check_format, write_tracks
from refine_motion.tracking.points import corner_points, grid_points
from refine_motion.types import Tracks
from refine_motion.video.index import build_index
from refine_motion.video.info import VideoInfo
from refine_motion.video.reader import read_frames
from refine_motion.video.shown import shown_frames
from refine_motion.video.writer import write_video
from refine_motion.viz.tracks import draw_tracks, error_colours, start_colours

Colour = Literal["start", "error"]
# Cycle error at which the colour scale ends, in pixels.
_WORST = 4.0


def open_single(video: str | Path) -> VideoInfo:
    """One video: a file or a folder of frames.

    Raises:
        VideoError: there is none, it cannot be read, or there are several.
    """
    videos = build_index(str(video), strict=True, progress=False).videos
    if len(videos) != 1:
        raise VideoError(f"{video}: {len(videos)} videos; one at a time can be followed")
    return videos[0]


def choose_points(info: VideoInfo, points: str, count: int, frame: int) -> Points:
    """Points of a video.

    Args:
        info: the video.
        points: ``grid``, ``corners``, or the path of a CSV file.
        count: how many on a grid or at corners.
        frame: where these are.

    Raises:
        ConfigError: a point is not in the video; or see :mod:`refine_motion.tracking.points`.
        VideoError: the frame cannot be read.
    """
    size = (info.height, info.width)
    if points in ("grid", "corners") and not 0 <= frame < info.frames:
        raise ConfigError(f"--frame {frame}: {info.path} has frames 0 to {info.frames - 1}")
    if points == "grid":
        return grid_points(size, count, frame)
    if points == "corners":
        return corner_points(read_frames(info, [frame])[0], count, frame)
    found = read_points(points)
    try:
        check_queries(found.queries, size)
    except ConfigError as error:
        raise ConfigError(f"{points}: {error}") from error
    late = found.queries[:, 0] >= info.frames
    if late.any():
        frame = int(found.queries[late][0, 0])
        raise ConfigError(f"{points}: a point is in frame {frame}, but {info.path} has frames 0 to {info.frames - 1}")
    return found


def track_video(info: VideoInfo, points: Points, model: TrackModel, out: str | Path) -> Tracks:
    """Follow points through a video file and write where they are.

    Args:
        info: the video, read once and in order.
        points: what to follow.
        model: in eval mode.
        out: file to write, ``.csv``, ``.parquet`` or ``.npz``.

    Raises:
        ConfigError: the file's format is not known.
        VideoError: the video is too short for the model or cannot be read.
    """
    check_format(Path(out))
    if info.frames < model.min_frames:
        raise VideoError(
            f"{info.path}: {info.frames} frames are too few for {model.name!r}, which looks at {model.min_frames} "
            "at a time"
        )
    if min(info.width, info.height) < model.min_side:
        raise VideoError(f"{info.path}: {info.width}x{info.height}: a side is below {model.min_side} px")
    tracks = model.follow(shown_frames(info, "tracking"), points.queries)
    write_tracks(out, tracks, points)
    return tracks


def write_overlay(info: VideoInfo, tracks: Tracks, points: Points, path: str | Path, colour: Colour = "start") -> None:
    """Write the video with its tracks drawn over it.

    Args:
        info: the video.
        tracks: of it.
        points: what was followed.
        path: the ``.mp4`` file.
        colour: of a point, by where it started or by the cycle error of its last step.

    Raises:
        VideoError: the video cannot be read, or the file not written.
    """
    fixed = start_colours(points.queries[:, 1:])

    def drawn() -> Iterator[Tensor]:
        for time, frame in enumerate(shown_frames(info, "drawing")):
            if colour == "error":
                assert tracks.cycle_error is not None
                yield draw_tracks(frame, tracks, time, error_colours(tracks.cycle_error[time], _WORST))
            else:
                yield draw_tracks(frame, tracks, time, fixed)

    write_video(path, drawn(), info.fps)


def summary(tracks: Tracks, points: Points) -> str:
    """One line about tracks."""
    assert tracks.confidence is not None
    known = torch.arange(len(tracks.xy))[:, None] >= points.queries[:, 0]
    seen = tracks.visible[known].float().mean().item()
    last = tracks.visible[-1].float().mean().item()
    trust = tracks.confidence[-1].median().item()
    return (
        f"{len(points.names)} points through {len(tracks.xy)} frames: seen in {seen:.0%} of them, {last:.0%} at the "
        f"end; median confidence at the end {trust:.2f}"
    )
