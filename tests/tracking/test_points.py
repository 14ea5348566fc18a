from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.errors import ConfigError
from refine_motion.labels.points_file import read_points
from refine_motion.tracking.points import corner_points, grid_points


def test_a_grid_is_even_and_inside() -> None:
    points = grid_points((60, 120), 32, frame=3)
    assert len(points.names) == 32
    frame, x, y = points.queries.unbind(dim=1)
    assert (frame == 3).all()
    assert sorted(set(x.tolist())) == [7 + 15 * n for n in range(8)]
    assert sorted(set(y.tolist())) == [7 + 15 * n for n in range(4)]


@pytest.mark.parametrize("count", [1, 2, 7, 500, 3999])
def test_a_grid_of_any_number(count: int) -> None:
    points = grid_points((40, 100), count)
    assert min(count, 3900) / 2 <= len(points.names) <= count * 1.5 + 1
    assert (points.queries[:, 1] <= 99).all()
    assert (points.queries >= 0).all()


def test_corners_are_found_and_apart() -> None:
    image = torch.zeros(3, 80, 100, dtype=torch.uint8)
    image[:, 20:50, 30:70] = 255
    points = corner_points(image, 4, frame=2)
    found = {(round(x / 2), round(y / 2)) for _, x, y in points.queries.tolist()}
    wanted = [(30, 20), (69, 20), (30, 49), (69, 49)]
    for x, y in wanted:
        assert any(abs(2 * a - x) <= 4 and abs(2 * b - y) <= 4 for a, b in found)
    assert (points.queries[:, 0] == 2).all()


def test_as_many_corners_as_asked_for_where_there_are() -> None:
    image = torch.randint(0, 256, (3, 40, 40), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    points = corner_points(image, 50)
    assert 30 < len(points.names) <= 50
    assert len({tuple(place) for place in points.queries.tolist()}) == 50


def test_a_plain_frame_has_none() -> None:
    with pytest.raises(ConfigError, match="no corner"):
        corner_points(torch.full((3, 40, 40), 90, dtype=torch.uint8), 5)


def test_no_points_asked_for() -> None:
    with pytest.raises(ConfigError, match="--count 0"):
        grid_points((40, 40), 0)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("frame, x, y\n0,1.5,2\n7,3,4\n")
    points = read_points(path)
    assert points.queries.tolist() == [[0, 1.5, 2], [7, 3, 4]]
    assert points.names == ["0", "1"]
    path.write_bytes(b"\xef\xbb\xbfpoint,x,y,frame\nnose,1.5,2,4\n")
    assert read_points(path).names == ["nose"]
    assert read_points(path).queries.tolist() == [[4, 1.5, 2]]
    path.write_text("frame,x,y\n\n\n0,1.5,left\n")
    with pytest.raises(ConfigError, match="line 4: y is 'left'"):
        read_points(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,x,y,colour\n0,1,2,red\n", r"p\.csv: unknown columns colour; a file of points has frame, x, y"),
        ("frame,x\n0,1\n", r"p\.csv: no column y"),
        ("", r"p\.csv: no column frame, x, y"),
        ("frame,x,y\n", r"p\.csv: holds no point"),
        ("frame,x,y\n0,1,2\n0,one,2\n", r"p\.csv: line 3: x is 'one', not a number"),
        ("frame,x,y\n0.5,1,2\n", r"p\.csv: line 2: frame is '0.5', not a frame number"),
        ("frame,x,y\n0,1\n", r"p\.csv: line 2: y is None, not a number"),
        ("frame,x,y\n0,1,inf\n", r"p\.csv: line 2: y is 'inf'"),
        ("frame,x,y\n0,1,5,2\n", r"p\.csv: line 2 has more cells than columns"),
        ("frame,x,y,x\n0,1,5,2\n", r"p\.csv: a column is there twice"),
        ("point,frame,x,y\n1,0,5,2\n,0,5,2\n", r"p\.csv: several points are called '1'"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_points(tmp_path / "p.csv")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.csv: cannot be read"):
        read_points(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00frame")
    with pytest.raises(ConfigError, match=r"b\.csv: cannot be read"):
        read_points(tmp_path / "b.csv")
