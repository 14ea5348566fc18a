"""Label files of DeepLabCut (Mathis et al., Nature Neuroscience 2018): CSV, or the HDF5 that pandas writes.

CSV, with one index column (older), or three (newer); a project with several animals has one header row more, after the
first: ``individuals``::

    scorer,Ann,Ann,Ann,Ann                        scorer,,,Ann,Ann,Ann,Ann
    bodyparts,snout,snout,tail,tail               bodyparts,,,snout,snout,tail,tail
    coords,x,y,x,y                                coords,,,x,y,x,y
    labeled-data/clip1/img0000.png,21.5,265.4,,   labeled-data,clip1,img0000.png,21.5,265.4,,

Empty cells are points that nobody marked; a place may lie beyond the edges of its image. Windows writes back-slashes
into paths. The HDF5 file holds the same table under ``df_with_missing``, or under ``keypoints`` where the newer
labelling window wrote it, as a PyTables table (older) or as arrays (newer); h5py reads both, without pandas.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_motion.benchmarks.tracks.pickles import parse_pickle
from refine_motion.errors import BenchmarkError

_HEADERS = ("scorer", "individuals", "bodyparts", "coords")
_KEY = "df_with_missing"
_Column = tuple[str, ...]


@dataclass(frozen=True)
class PoseLabels:
    """The labels of one video.

    Attributes:
        images: file name of each labelled frame.
        folder: name of the folder that they lie in, of the video; empty where the file does not tell.
        names: of the points: the body part, after the individual where there are several.
        xy: ``(F, K, 2)`` float32, pixels; not a number where the point was not marked.
    """

    images: list[str]
    folder: str
    names: list[str]
    xy: NDArray[np.float32]


def read_pose_labels(path: Path) -> PoseLabels:
    """Read a ``CollectedData_*.csv`` or ``.h5``.

    Raises:
        BenchmarkError: it cannot be read, has another layout, no rows, an image twice or a place that is not finite,
            is of several people or videos, or h5py is needed and missing.
    """
    rows, columns, values = (_read_h5 if path.suffix == ".h5" else _read_csv)(path)
    if not rows:
        raise BenchmarkError(f"{path}: labels no frame; give a file with a row for each labelled frame")
    scorers = sorted({column[0] for column in columns})
    if len(scorers) > 1:
        raise BenchmarkError(f"{path}: labels of several people, {', '.join(scorers)}; leave one")
    # Level by level: scorer, individual where there are several, body part, coordinate.
    points = list(dict.fromkeys(column[1:-1] for column in columns))
    where = {(column[1:-1], column[-1]): number for number, column in enumerate(columns)}
    missing = [point for point in points if not {(point, "x"), (point, "y")} <= set(where)]
    if missing or not points:
        raise BenchmarkError(f"{path}: {'/'.join(missing[0]) if points else 'no point'} has no x and y; export it anew")
    xy = np.stack([np.stack([values[:, where[point, axis]] for axis in "xy"], axis=-1) for point in points], axis=1)
    # Too large for the type becomes infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        places = xy.astype(np.float32)
    folder, images = _file_names(path, rows)
    labels = PoseLabels(images, folder, ["/".join(point) for point in points], places)
    wrong = np.argwhere(np.isinf(places))
    if len(wrong):
        image, point, _ = wrong[0]
        raise BenchmarkError(f"{path}: {labels.images[image]}: {labels.names[point]} is at no finite place; mend it")
    # A point lacks both or none.
    places[np.isnan(places).any(axis=-1)] = np.nan
    return labels


def _file_names(path: Path, rows: list[_Column]) -> tuple[str, list[str]]:
    """The folder of the images, empty where it is not told, and the name of each."""
    parts = [[part for level in row for part in re.split(r"[/\\]", level) if part] or [""] for row in rows]
    folders = sorted({names[-2] for names in parts if len(names) > 1})
    if len(folders) > 1:
        raise BenchmarkError(
            f"{path}: labels images of several videos, {folders[0]} and {folders[1]}; give the files in labeled-data/"
        )
    images = [names[-1] for names in parts]
    twice = [name for name, count in Counter(images).items() if count > 1]
    if twice:
        raise BenchmarkError(f"{path}: labels the image {twice[0]} twice; leave one of its rows")
    return "".join(folders), images


def _read_csv(path: Path) -> tuple[list[_Column], list[_Column], NDArray[np.float64]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchmarkError(f"{path}: cannot be read as a CSV file ({error})") from error
    headers: dict[str, list[str]] = {}
    while rows and rows[0][0] in _HEADERS:
        header = rows.pop(0)
        headers[header[0]] = header
    if not {"scorer", "bodyparts", "coords"} <= set(headers):
        raise BenchmarkError(f"{path}: has not the header rows scorer, bodyparts and coords; give DeepLabCut's file")
    index = 3 if rows and rows[0][0] == "labeled-data" else 1
    width = len(headers["coords"])
    for row in [*headers.values(), *rows]:
        if len(row) != width:
            kind = "more" if len(row) > width else "fewer"
            raise BenchmarkError(
                f"{path}: the row of {_row_name(row, index)} has {kind} cells than the header coords; export it anew"
            )
    columns = list(zip(*(headers[name][index:] for name in _HEADERS if name in headers), strict=True))
    values = [[_number(path, _row_name(row, index), cell) for cell in row[index:]] for row in rows]
    return [tuple(row[:index]) for row in rows], columns, np.array(values)


def _row_name(row: list[str], index: int) -> str:
    """For messages, of a row that may be cut anywhere: on one line."""
    return " ".join("/".join(filter(None, row[:index])).split())


def _number(path: Path, image: str, cell: str) -> float:
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError:
        raise BenchmarkError(f"{path}: the row of {image} has {cell!r}, which is no number; write it anew") from None


def _read_h5(path: Path) -> tuple[list[_Column], list[_Column], NDArray[np.float64]]:
    try:
        import h5py
    except ImportError as error:
        raise BenchmarkError(
            f'{path}: reading HDF5 needs h5py: pip install "refine-motion[benchmarks]"; or export it as CSV'
        ) from error
    try:
        with h5py.File(path, "r") as file:
            # Whatever it is called, where it is the only one.
            group = file[_KEY] if _KEY in file or len(file) != 1 else file[next(iter(file))]
            images, columns, values = _table(group["table"], path) if "table" in group else _arrays(group)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise BenchmarkError(
            f"{path}: no labels of DeepLabCut under {_KEY} can be read ({reason}); take the CSV file beside it"
        ) from error
    if values.shape != (len(images), len(columns)) or any(len(column) < 3 for column in columns):
        raise BenchmarkError(
            f"{path}: names {len(images)} rows and {len(columns)} columns (scorer, body part, coordinate), but holds "
            f"values {values.shape}; take the CSV file beside it"
        )
    return images, columns, values


def _table(table: Any, path: Path) -> tuple[list[_Column], list[_Column], NDArray[np.float64]]:
    """A PyTables table: pandas pickles the names of the columns into an attribute."""
    content = table[()]
    columns: list[_Column] = []
    blocks = [name for name in content.dtype.names if name.startswith("values_block_")]
    for block in blocks:
        kind = parse_pickle(bytes(table.attrs[f"{block}_kind"]), str(path))
        columns += [tuple(str(level) for level in column) for column in kind]
    values = np.concatenate([content[block].reshape(len(content), -1) for block in blocks], axis=1)
    return [(_text(entry),) for entry in content["index"]], columns, values.astype(np.float64)


def _arrays(group: Any) -> tuple[list[_Column], list[_Column], NDArray[np.float64]]:
    """pandas' fixed format: every level of an index as its values and a number for each row."""
    columns: list[_Column] = []
    values = []
    for block in range(int(group.attrs["nblocks"])):
        columns += _index(group, f"block{block}_items")
        values.append(group[f"block{block}_values"][()])
    return _index(group, "axis1"), columns, np.concatenate(values, axis=1).astype(np.float64)


def _index(group: Any, name: str) -> list[_Column]:
    if name in group:
        return [(_text(entry),) for entry in group[name][()]]
    levels = [group[f"{name}_level{level}"][()] for level in range(int(group.attrs[f"{name}_nlevels"]))]
    labels = [group[f"{name}_label{level}"][()] for level in range(len(levels))]
    return [
        tuple(_text(level[number]) for level, number in zip(levels, row, strict=True))
        for row in zip(*labels, strict=True)
    ]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
