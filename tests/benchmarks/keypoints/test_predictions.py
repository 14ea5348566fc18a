from __future__ import annotations

from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.keypoints.predictions import predicted_joints, read_joints
from refine_motion.errors import BenchmarkError

JOINTS = ("neck", "belly", "left hip")


def test_tables_by_name_or_number(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    # As a spreadsheet writes it; frames beyond the truth and other columns have no part.
    file.write_text(
        "point,frame,x,y,visible\nbelly,1,2.5,3,0\n2, 0,7,8,1\nleft hip,2,1,1,1\n0,1,-4,2,1\n", encoding="utf-8-sig"
    )
    xy = read_joints(file, 2, JOINTS)
    assert xy.dtype == torch.float64
    assert xy.tolist() == [[[-1, -1], [-1, -1], [7, 8]], [[-4, 2], [2.5, 3], [-1, -1]]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("point,x,y\n", "a.csv: no column frame; needed are point, frame, x, y"),
        ("point,frame,x,y\nneck,0,1,2\nneck,0,1,3\n", "line 3: neck is in frame 0 twice"),
        ("point,frame,x,y\nneck,9,1,2\n0,9,1,3\n", "line 3: neck is in frame 9 twice"),
        ("point,frame,x,y\nnose,0,1,2\n", "line 2: no joint 'nose'; give its name or its number from 0"),
        ("point,frame,x,y\n3,0,1,2\n", "line 2: no joint '3'"),
        ("point,frame,x,y\nneck,-1,1,2\n", "line 2: frame must be 0 or more"),
        ("point,frame,x,y\nneck,0.5,1,2\n", "line 2: frame must be 0 or more"),
        ("point,frame,x,y\nneck,0,nan,2\n", "line 2: .*x and y numbers"),
        ("point,frame,x,y\nneck,0,1\n", "line 2: .*x and y numbers"),
        ("point,frame,x,y\nneck,0,1,\xff\n", "line 2: .*x and y numbers"),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(BenchmarkError, match=message) as error:
        read_joints(tmp_path / "a.csv", 2, JOINTS)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"absent\.csv: cannot be read as a CSV file \(No such file"):
        read_joints(tmp_path / "absent.csv", 2, JOINTS)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BenchmarkError, match=r"a\.csv: cannot be read as a CSV file"):
        read_joints(tmp_path / "a.csv", 2, JOINTS)


def test_names_of_clips_may_hold_points(tmp_path: Path, clip, table) -> None:
    named = clip("walk/one.two")
    table(tmp_path / "walk/one.two.csv", named.xy)
    assert torch.equal(predicted_joints(str(tmp_path), named, JOINTS), named.xy)


def test_what_predicts(clip) -> None:
    walk = clip()

    def predict(first, frames):
        assert torch.equal(first, walk.xy[0])
        first += 100
        return walk.xy.float()

    assert torch.equal(predicted_joints(predict, walk, JOINTS), walk.xy)
    # The truth is not what it may write to.
    assert walk.xy[0, 0].tolist() == [10, 10]
    with pytest.raises(BenchmarkError, match=r"walk/one: the predictor gave joints of \(3, 3, 2\) where \(4, 3, 2\)"):
        predicted_joints(lambda first, frames: walk.xy[1:], walk, JOINTS)
