"""Points that a user names, from a CSV file."""

from __future__ import annotations

import csv
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from refine_motion.errors import ConfigError

_NEEDED, _ALLOWED = ("frame", "x", "y"), ("point", "frame", "x", "y")


@dataclass(frozen=True)
class Points:
    """Points in frames of a video.

    Attributes:
        queries: ``(N, 3)`` frame, x, y in pixels.
        names: of each.
    """

    queries: Tensor
    names: list[str]


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
            # Blank lines are no rows, but lines.
            entries = [(rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read as a CSV file ({reason})") from error
    if not entries:
        raise ConfigError(f"{path}: holds no point; write a line frame,x,y for each")
    long = [line for line, row in entries if None in row]
    if long:
        raise ConfigError(f"{path}: line {long[0]} has more cells than columns; write decimals with a point")
    names = [row.get("point") or str(number) for number, (_, row) in enumerate(entries)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(
            f"{path}: several points are called {twice[0]!r}; give each a name of its own, or none a name"
        )
    queries = [[_value(path, line, row, name) for name in _NEEDED] for line, row in entries]
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
