"""Anyone's own points: a plain CSV file against a folder of videos.

::

    video,point,frame,x,y,visible
    walk.mp4,left knee,0,312.5,240,1
    walk.mp4,left knee,12,330,238,0

``video`` is the path in the folder, of a file or of a folder of frames; frames count from 0; x and y are pixels of the
video, integers at pixel centres. ``visible`` is 0 or 1, and 1 where the column is missing. Frames of a point without a
row are not scored. A point is given in its first visible row, and scored in every later row of it; one without such a
row is left out, as it could only survive.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from refine_motion.benchmarks.tracks.benchmark import TrackBenchmark
from refine_motion.benchmarks.tracks.scoring import ERROR_COLUMNS, ERROR_NOTE, error_scores
from refine_motion.benchmarks.tracks.video import TrackVideo, ask_first
from refine_motion.errors import BenchmarkError, VideoError
from refine_motion.tracking.run import open_single
from refine_motion.types import Tracks
from refine_motion.video.stream import stream_frames

_NEEDED = ("video", "point", "frame", "x", "y")


@dataclass(frozen=True)
class _Row:
    line: int
    point: str
    frame: int
    x: float
    y: float
    visible: bool


class TracksCsv(TrackBenchmark):
    """Points of a CSV file; see :mod:`refine_motion.benchmarks.tracks.table_csv`.

    Args:
        root: folder of the videos.
        table: the CSV file.
    """

    columns = ERROR_COLUMNS

    def __init__(self, root: str | None = None, table: str | None = None):
        super().__init__(root)
        self.table = table

    @property
    def title(self) -> str:
        """The file."""
        return f"Points of {Path(self.table or '').name}, videos of their own size"

    @property
    def notes(self) -> tuple[str, ...]:
        """The scores."""
        return (ERROR_NOTE,)

    def videos(self) -> Iterator[TrackVideo]:
        """The videos that the file names, in its order.

        Raises:
            BenchmarkError: the file cannot be read, or names a video or a frame that is not there.
        """
        self.skipped.clear()
        root = self.place()
        if self.table is None:
            raise BenchmarkError("no table of points given: pass the CSV file as --data.table")
        path = Path(self.table).expanduser()
        # All at once: what is wrong with the last is told before the first is scored.
        yield from [self._video(root, name, rows, path) for name, rows in _read_table(path).items()]

    def scores(self, video: TrackVideo, tracks: Tracks) -> dict[str, float]:
        """See :func:`refine_motion.benchmarks.tracks.scoring.error_scores`."""
        return error_scores(video, tracks)

    def _video(self, root: Path, name: str, rows: list[_Row], path: Path) -> TrackVideo:
        video = _tracks(root, name, rows, path)
        scored = video.valid[:, video.points].any(dim=0)
        if not scored.all():
            self.skipped["points without a row behind the one in which they are given"] += int((~scored).sum())
        return replace(video, queries=video.queries[scored], points=video.points[scored])


def _read_table(path: Path) -> dict[str, list[_Row]]:
    rows: dict[str, list[_Row]] = defaultdict(list)
    try:
        # Spreadsheets write a mark before the first name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise BenchmarkError(
                    f"{path}: no column {', '.join(missing)}; needed are {', '.join(_NEEDED)} and, if known, visible"
                )
            for cells in reader:
                if any(cells.get(None) or ()):
                    raise BenchmarkError(
                        f"{path}: line {reader.line_num} has more cells than columns; write decimals with a point"
                    )
                rows[cells["video"]].append(_row(cells, reader.line_num, path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BenchmarkError(f"{path}: cannot be read as a CSV file ({reason}); check --data.table") from error
    if not rows:
        raise BenchmarkError(f"{path}: holds no point; write a line for each point and frame")
    return rows


def _row(cells: dict[str, str], line: int, path: Path) -> _Row:
    visible = cells.get("visible") or "1"
    try:
        frame, x, y = int(cells["frame"]), float(cells["x"]), float(cells["y"])
        named = bool(cells["video"] and cells["point"])
        fits = named and visible in ("0", "1") and frame >= 0 and math.isfinite(x) and math.isfinite(y)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise BenchmarkError(
            f"{path}: line {line}: video and point must be named, frame be 0 or more, x and y numbers, visible 0 or 1; "
            "mend the line"
        )
    return _Row(line, cells["point"], frame, x, y, visible == "1")


def _tracks(root: Path, name: str, rows: list[_Row], path: Path) -> TrackVideo:
    try:
        info = open_single(root / name)
    except VideoError as error:
        raise BenchmarkError(f"{path}: line {rows[0].line}: video {name!r}: {error}") from error
    names = list(dict.fromkeys(row.point for row in rows))
    number_of = {point: number for number, point in enumerate(names)}
    xy = torch.zeros(info.frames, len(names), 2)
    visible, valid = (torch.zeros(info.frames, len(names), dtype=torch.bool) for _ in range(2))
    for row in rows:
        if row.frame >= info.frames:
            raise BenchmarkError(f"{path}: line {row.line}: {name} has frames 0 to {info.frames - 1}; mend the line")
        place = row.frame, number_of[row.point]
        if valid[place]:
            raise BenchmarkError(f"{path}: line {row.line}: point {row.point!r} is in frame {row.frame} twice")
        if row.visible and not (-0.5 <= row.x <= info.width - 0.5 and -0.5 <= row.y <= info.height - 0.5):
            raise BenchmarkError(
                f"{path}: line {row.line}: x {row.x:g}, y {row.y:g} lies outside {name}, which has {info.width} x "
                f"{info.height} pixels; mend the line, or give it visible 0"
            )
        xy[place] = torch.tensor([row.x, row.y])
        visible[place], valid[place] = row.visible, True
    queries, points = ask_first(xy, visible)
    # Up to the frame in which it is given, nothing is known of a point by an estimate.
    valid[:, points] &= torch.arange(info.frames)[:, None] > queries[:, 0]
    return TrackVideo(
        name=name,
        size=(info.height, info.width),
        frames=partial(stream_frames, info),
        xy=xy,
        visible=visible,
        valid=valid,
        queries=queries,
        points=points,
    )
