from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.labels.points_file import Points
from refine_motion.tracking.files import write_tracks
from refine_motion.types import Tracks

POINTS = Points(torch.tensor([[0.0, 1, 2], [2, 5, 6]]), ["nose", "tail"])
TRACKS = Tracks(
    xy=torch.tensor([[[1, 2], [torch.nan] * 2], [[1.25, 2], [torch.nan] * 2], [[1.5, 2], [5, 6]]]),
    visible=torch.tensor([[True, False], [False, False], [True, True]]),
    confidence=torch.tensor([[1.0, 0], [0.9, 0], [0.123456, 1]]),
    cycle_error=torch.tensor([[0.0, 0], [0.25, 0], [0.5, 0]]),
)
ROWS = [
    ["nose", 0, 1.0, 2.0, 1, 1.0, 0.0],
    ["nose", 1, 1.25, 2.0, 0, 0.9, 0.25],
    ["nose", 2, 1.5, 2.0, 1, 0.1235, 0.5],
    ["tail", 2, 5.0, 6.0, 1, 1.0, 0.0],
]


def test_csv(tmp_path: Path) -> None:
    write_tracks(tmp_path / "new" / "t.csv", TRACKS, POINTS)
    with (tmp_path / "new" / "t.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["point", "frame", "x", "y", "visible", "confidence", "cycle_error"]
    assert [[row[0], *map(float, row[1:])] for row in rows] == ROWS


def test_parquet(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    write_tracks(tmp_path / "t.parquet", TRACKS, POINTS)
    table = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert list(table) == ["point", "frame", "x", "y", "visible", "confidence", "cycle_error"]
    for found, wanted in zip(zip(*table.values(), strict=True), ROWS, strict=True):
        assert found[0] == wanted[0]
        assert list(found[1:]) == pytest.approx(wanted[1:], abs=1e-4)


def test_npz(tmp_path: Path) -> None:
    write_tracks(tmp_path / "t.npz", TRACKS, POINTS)
    with np.load(tmp_path / "t.npz") as content:
        for name in ("xy", "visible", "confidence", "cycle_error"):
            np.testing.assert_array_equal(content[name], getattr(TRACKS, name).numpy())
        np.testing.assert_array_equal(content["queries"], POINTS.queries.numpy())
        assert content["names"].tolist() == ["nose", "tail"]


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.xlsx: tracks are written as \.csv, \.parquet, \.npz"):
        write_tracks(tmp_path / "t.xlsx", TRACKS, POINTS)


def test_parquet_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"t\.parquet: Parquet files need pyarrow"):
        write_tracks(tmp_path / "t.parquet", TRACKS, POINTS)
    assert not (tmp_path / "t.parquet").exists()
