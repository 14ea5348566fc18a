"""Which points are tracked: a grid, corners, or those of a file."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.errors import ConfigError
from refine_motion.motion.keypoints import corners, grid

_NEEDED, _ALLOWED = ("frame", "x", "y"), ("point", "frame", "x", "y")


@dataclass(frozen=True)
class Points:
    """Points to track.

    Attributes:
        queries: ``(N, 3)`` frame, x, y in pixels.
        names: of each.
    """

    queries: Tensor
    names: list[str]


def grid_points(size: tuple[int, int], count: int, frame: int = 0) -> Points:
    """Points spread evenly over a frame; see :func:`refine_motion.motion.keypoints.grid`.

    Args:
        size: ``(H, W)`` of the frames.
        count: about how many, at least 1.
        frame: in which they are.

    Raises:
        ConfigError: there is to be none.
    """
    _check_count(count)
    return _numbered(grid(size, count), frame)


def corner_points(image: Tensor, count: int, frame: int = 0) -> Points:
    """The strongest corners of a frame; see :func:`refine_motion.motion.keypoints.corners`.

    Args:
        image: ``(3, H, W)`` uint8 RGB.
        count: how many at most, at least 1.
        frame: its number.

    Raises:
        ConfigError: there is to be none, or the frame is plain.
    """
    _check_count(count)
    found = corners(image, count)
    if not len(found):
        raise ConfigError(f"frame {frame} has no corner to track; try --points grid")
    return _numbered(found, frame)


def read_points(path: str | Path) -> Points:
    """Points of a CSV file with the columns ``frame``, ``x``, ``y`` and, where they have names, ``point``.

    Args:
        path: the file.

    Raises:
        ConfigError: it cannot be read, holds no point, lacks a column, has one that is not known, or a value that is no
            number.
    """
    path = Path(path)
    try:
        # Spreadsheets write a mark before the first name.
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name.strip() for name in rows.fieldnames or ()]
            unknown = [name for name in columns if name not in _ALLOWED]
            missing = [name for name in _NEEDED if name not in columns]
            if unknown or missing:
                wrong = f"unknown columns {', '.join(unknown)}" if unknown else f"no column {', '.join(missing)}"
                raise ConfigError(f"{path}: {wrong}; a file of points has frame, x, y and, if you like, point")
            if len(set(columns)) < len(columns):
                raise ConfigError(f"{path}: a column is there twice: {', '.join(columns)}")
            rows.fieldnames = columns
            entries = list(rows)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read as a CSV file ({reason})") from error
    if not entries:
        raise ConfigError(f"{path}: holds no point; write a line frame,x,y for each")
    long = [line for line, row in enumerate(entries, start=2) if None in row]
    if long:
        raise ConfigError(f"{path}: line {long[0]} has more cells than columns; write decimals with a point")
    names = [row.get("point") or str(number) for number, row in enumerate(entries)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(
            f"{path}: several points are called {twice[0]!r}; give each a name of its own, or none a name"
        )
    queries = [[_value(path, line, row, name) for name in _NEEDED] for line, row in enumerate(entries, start=2)]
    return Points(torch.tensor(queries), names)


def _value(path: Path, line: int, row: dict[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or (name == "frame" and value != int(value)):
        kind = "a frame number" if name == "frame" else "a number"
        raise ConfigError(f"{path}: line {line}: {name} is {row[name]!r}, not {kind}")
    return value


def _numbered(xy: Tensor, frame: int) -> Points:
    queries = torch.cat((torch.full((len(xy), 1), float(frame)), xy), dim=1)
    return Points(queries, [str(number) for number in range(len(xy))])


def _check_count(count: int) -> None:
    if count < 1:
        raise ConfigError(f"--count {count}: at least 1 point is needed")
