"""Tracks as files that other programs read: CSV, Parquet or NumPy."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_motion.errors import ConfigError
from refine_motion.files import replacing
from refine_motion.labels.points_file import Points
from refine_motion.types import Tracks

Columns = dict[str, NDArray[np.generic]]


def check_format(path: Path) -> None:
    """Refuse a file name whose format is not known, before anything is computed.

    Raises:
        ConfigError: the suffix is none of ours, or what writes it is not installed.
    """
    if path.suffix not in _WRITERS:
        raise ConfigError(f"{path}: tracks are written as {', '.join(_WRITERS)}; give a name that ends so")
    if path.suffix == ".parquet":
        _pyarrow(path)


def write_tracks(path: str | Path, tracks: Tracks, points: Points) -> None:
    """Write tracks.

    ``.csv`` and ``.parquet`` have a row for every point in every frame from its query on: ``point``, ``frame``, ``x``
    and ``y`` in pixels, ``visible`` 0 or 1, ``confidence`` in 0..1, ``cycle_error`` in pixels. ``.npz`` has the arrays
    of :class:`Tracks`, frame first, and ``queries`` and ``names``.

    Args:
        path: the file, replaced in one step.
        tracks: of a model, with confidence.
        points: what was asked for.

    Raises:
        ConfigError: see :func:`check_format`.
    """
    path = Path(path)
    check_format(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        _WRITERS[path.suffix](partial, tracks, points)


def _table(tracks: Tracks, points: Points) -> Columns:
    """Point after point, each from its query on."""
    assert tracks.confidence is not None
    assert tracks.cycle_error is not None
    known = np.arange(len(tracks.visible))[None] >= points.queries[:, :1].numpy()
    point, frame = np.nonzero(known)
    return {
        "point": np.array(points.names)[point],
        "frame": frame,
        "x": tracks.xy[..., 0].numpy().T[known],
        "y": tracks.xy[..., 1].numpy().T[known],
        "visible": tracks.visible.numpy().T[known].astype(np.uint8),
        "confidence": tracks.confidence.numpy().T[known],
        "cycle_error": tracks.cycle_error.numpy().T[known],
    }


def _csv(path: Path, tracks: Tracks, points: Points) -> None:
    table = _table(tracks, points)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            named = zip(table, row, strict=True)
            writer.writerow([f"{value:.4g}" if name in _ROUNDED else value for name, value in named])


_ROUNDED = ("confidence", "cycle_error")


def _parquet(path: Path, tracks: Tracks, points: Points) -> None:
    pyarrow, parquet = _pyarrow(path)
    parquet.write_table(pyarrow.table(_table(tracks, points)), str(path))


def _pyarrow(path: Path):  # type: ignore[no-untyped-def]
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(f'{path}: Parquet files need pyarrow: pip install "refine-motion[tables]"') from error
    return pyarrow, pyarrow.parquet


def _npz(path: Path, tracks: Tracks, points: Points) -> None:
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            xy=tracks.xy.numpy(),
            visible=tracks.visible.numpy(),
            confidence=np.asarray(tracks.confidence),
            cycle_error=np.asarray(tracks.cycle_error),
            queries=points.queries.numpy(),
            names=np.array(points.names),
        )


_WRITERS: dict[str, Callable[[Path, Tracks, Points], None]] = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}
