from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from refine_motion.benchmarks.keypoints.jhmdb import Jhmdb
from refine_motion.benchmarks.keypoints.jhmdb_files import read_clip_list, read_joint_positions, read_splits
from refine_motion.errors import BenchmarkError

# Lines of UVC's list, from its author's machine.
HOME = "/media/somebody/DATA/JHMDB"
POSITIONS = f"{HOME}/joint_positions/swing_baseball/How_to_(swing)_0/joint_positions.mat"
FRAMES = f"{HOME}/Rename_Images/swing_baseball/How_to_(swing)_0"


def positions(frames: int) -> np.ndarray:
    """``(2, 15, T)``, from 1, as Matlab counts: joint j at x = j + 1 + t, y = 2 j + 1."""
    joints, times = np.arange(15.0)[:, None], np.arange(float(frames))
    return np.stack((joints + 1 + times, 2 * joints + 1 + 0 * times))


def write_positions(file: Path, values: dict[str, np.ndarray]) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="scipy, which reads JHMDB's joints, is not installed")
    file.parent.mkdir(parents=True, exist_ok=True)
    scipy_io.savemat(file, values)


def write_frames(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(folder / f"{number + 1:05d}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Clips ``a`` (3 frames, 3 poses) and ``b`` (11 frames, 2 poses) of a class with an underscore; ``c`` trains."""
    for name, frames, poses in (("a", 3, 3), ("b", 11, 2), ("c", 2, 2)):
        write_frames(tmp_path / "Rename_Images/shoot_ball" / name, frames)
        write_positions(
            tmp_path / "joint_positions/shoot_ball" / name / "joint_positions.mat",
            {"pos_img": positions(poses), "scale": np.ones(2)},
        )
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/shoot_ball_test_split1.txt").write_text("b.avi 2\na.avi 2\nc.avi 1 \n")
    (tmp_path / "splits/shoot_ball_test_split2.txt").write_text("c.avi 2\na.avi 1\n")
    return tmp_path


def test_clips_of_the_split(root: Path) -> None:
    b, a = Jhmdb(str(root)).clips()
    assert (a.name, b.name) == ("shoot_ball/a", "shoot_ball/b")
    assert a.xy.shape == (3, 15, 2)
    # Counted from 0.
    assert a.xy[2, 4].tolist() == [6, 8]
    # Frames beyond the poses are cut off; the tenth does not come before the second.
    assert [image.name for image in b.images] == ["00001.png", "00002.png"]
    assert [int(frame[0, 0, 0]) for frame in a.frames()] == [0, 1, 2]
    assert [clip.name for clip in Jhmdb(str(root), split=2).clips()] == ["shoot_ball/c"]
    assert len(Jhmdb.joints) == len(set(Jhmdb.joints)) == 15


def test_clips_of_a_list(root: Path) -> None:
    file = root / "list.txt"
    file.write_text("x/joint_positions/shoot_ball/c/joint_positions.mat x/Rename_Images/shoot_ball/c\n")
    benchmark = Jhmdb(str(root), clip_list=str(file))
    assert [clip.name for clip in benchmark.clips()] == ["shoot_ball/c"]
    assert benchmark.title == "JHMDB list.txt, 15 joints"


def test_more_poses_than_frames(root: Path) -> None:
    (root / "Rename_Images/shoot_ball/a/00003.png").unlink()
    clip = list(Jhmdb(str(root)).clips())[1]
    assert (len(clip.images), len(clip.xy)) == (2, 2)


def test_what_is_missing(root: Path) -> None:
    (root / "joint_positions/shoot_ball/b/joint_positions.mat").unlink()
    with pytest.raises(BenchmarkError, match=r"shoot_ball/b/joint_positions\.mat: cannot be read as joints"):
        list(Jhmdb(str(root)).clips())
    for image in (root / "Rename_Images/shoot_ball/b").iterdir():
        image.unlink()
    with pytest.raises(BenchmarkError, match="Rename_Images/shoot_ball/b: has no frames"):
        list(Jhmdb(str(root)).clips())


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    file = tmp_path / "joint_positions.mat"
    write_positions(file, {"pos_img": positions(4)})
    assert read_joint_positions(file, 15).shape == (4, 15, 2)
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BenchmarkError, match=r"joint_positions\.mat: cannot be read as joints") as error:
        read_joint_positions(file, 15)
    assert "\n" not in str(error.value)
    file.write_text("no such format")
    with pytest.raises(BenchmarkError, match=r"joint_positions\.mat: cannot be read as joints"):
        read_joint_positions(file, 15)
    write_positions(file, {"pos_world": positions(4)})
    with pytest.raises(BenchmarkError, match=r"cannot be read as joints \(no pos_img\)"):
        read_joint_positions(file, 15)
    write_positions(file, {"pos_img": positions(4)[:, :14]})
    with pytest.raises(BenchmarkError, match=r"pos_img is \(2, 14, 4\) where \(2, 15, T\) is expected"):
        read_joint_positions(file, 15)


def test_without_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(BenchmarkError, match=r"a\.mat: reading it needs scipy; install it with `pip install scipy`"):
        read_joint_positions(tmp_path / "a.mat", 15)


def test_splits(tmp_path: Path) -> None:
    (tmp_path / "swing_baseball_test_split1.txt").write_text("How_to_(swing)_0.avi 2\nother.one.avi 1\n")
    (tmp_path / "catch_test_split1.txt").write_text("mid.dle.avi 2\n\n")
    (tmp_path / "catch_test_split2.txt").write_text("other.avi 2\n")
    assert read_splits(tmp_path, 1) == [("catch", "mid.dle"), ("swing_baseball", "How_to_(swing)_0")]
    (tmp_path / "catch_test_split1.txt").write_text("a.avi 1\nb.avi 3\n")
    with pytest.raises(BenchmarkError, match=r"catch_test_split1\.txt: line 2: is no '<video>\.avi 1'"):
        read_splits(tmp_path, 1)
    with pytest.raises(BenchmarkError, match=r"no \*_test_split3\.txt names a test clip"):
        read_splits(tmp_path, 3)


@pytest.mark.parametrize("words", [(POSITIONS, FRAMES), (FRAMES, POSITIONS)], ids=["UVC", "videowalk"])
def test_a_list_in_either_order(tmp_path: Path, words: tuple[str, str]) -> None:
    file = tmp_path / "list.txt"
    file.write_text(" ".join(words) + "\n\n" + " ".join(words).replace("_0", "_1") + "\n")
    assert read_clip_list(file) == [("swing_baseball", "How_to_(swing)_0"), ("swing_baseball", "How_to_(swing)_1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{POSITIONS}\n", "line 1: must hold a joint_positions.mat and a folder of frames"),
        (f"{FRAMES} {FRAMES}\n", "line 1: must hold a joint_positions.mat"),
        (f"\n{POSITIONS} {FRAMES}1\n", "line 2: joints and frames are of different clips"),
        ("\n", "list.txt: names no clip"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(BenchmarkError, match=message):
        read_clip_list(tmp_path / "list.txt")
    with pytest.raises(BenchmarkError, match=r"absent\.txt: cannot be read \(No such file or directory\)"):
        read_clip_list(tmp_path / "absent.txt")


def test_torch_is_what_positions_are(tmp_path: Path) -> None:
    write_positions(tmp_path / "a.mat", {"pos_img": positions(2).astype(np.float32)})
    found = read_joint_positions(tmp_path / "a.mat", 15)
    assert found.dtype == torch.float64
    assert found[0, 0].tolist() == [0, 0]
