from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.actions.ucf101 import Ucf101
from refine_motion.errors import BenchmarkError

# One class has file names that are spelled in another way, as in the original.
CLASSES = {"ApplyEyeMakeup": "ApplyEyeMakeup", "HandstandPushups": "HandStandPushups"}
TRAIN_GROUPS, TEST_GROUPS = (8, 9), (1,)


def entry(name: str, group: int, clip: int) -> str:
    return f"{name}/v_{CLASSES[name]}_g{group:02d}_c{clip:02d}.avi"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes of three groups of two videos; the second split has the parts exchanged. Lines end as in DOS."""
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_bytes(b"1 ApplyEyeMakeup\r\n2 HandstandPushups\r\n")
    for split, (train, test) in enumerate(((TRAIN_GROUPS, TEST_GROUPS), (TEST_GROUPS, TRAIN_GROUPS)), start=1):
        for part, groups in (("train", train), ("test", test)):
            entries = [(entry(c, g, n), label) for label, c in enumerate(CLASSES, 1) for g in groups for n in (1, 2)]
            # Test lists have no numbers.
            lines = [f"{path} {label} " if part == "train" else path for path, label in entries]
            (lists / f"{part}list0{split}.txt").write_bytes("\r\n".join([*lines, ""]).encode())
    for name in CLASSES:
        (tmp_path / "UCF-101" / name).mkdir(parents=True)
        for group in (*TRAIN_GROUPS, *TEST_GROUPS):
            for clip in (1, 2):
                (tmp_path / "UCF-101" / entry(name, group, clip)).write_bytes(b"RIFF")
    return tmp_path


def change(root: Path, name: str, old: str, new: str) -> None:
    file = root / "ucfTrainTestlist" / name
    text = file.read_bytes().decode()
    assert old in text
    file.write_bytes(text.replace(old, new).encode())


def test_videos(root: Path) -> None:
    data = Ucf101(str(root))
    assert data.title == "UCF101 split 1"
    assert data.classes == ("ApplyEyeMakeup", "HandstandPushups")
    train = data.train()
    assert [video.label for video in train] == [0] * 4 + [1] * 4
    assert train[0].path == root / "UCF-101/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi"
    assert train[-1].path == root / "UCF-101/HandstandPushups/v_HandStandPushups_g09_c02.avi"
    # Of another class, a group is another.
    assert [video.group for video in train[3:6]] == [
        "ApplyEyeMakeup/g09",
        "HandstandPushups/g08",
        "HandstandPushups/g08",
    ]
    assert [(video.path.name, video.label) for video in data.test()] == [
        ("v_ApplyEyeMakeup_g01_c01.avi", 0),
        ("v_ApplyEyeMakeup_g01_c02.avi", 0),
        ("v_HandStandPushups_g01_c01.avi", 1),
        ("v_HandStandPushups_g01_c02.avi", 1),
    ]
    assert all(video.path.is_file() for video in (*train, *data.test()))


def test_splits(root: Path) -> None:
    data = Ucf101(str(root), split=2)
    assert (len(data.train()), len(data.test())) == (4, 8)
    with pytest.raises(BenchmarkError, match=r"trainlist03\.txt: cannot be read \(No such file or directory\)"):
        Ucf101(str(root), split=3).train()


def test_a_group_is_never_split(root: Path) -> None:
    change(root, "testlist01.txt", "ApplyEyeMakeup_g01_c02", "ApplyEyeMakeup_g09_c02")
    for part in (Ucf101(str(root)).train, Ucf101(str(root)).test):
        with pytest.raises(BenchmarkError, match=r"testlist01\.txt: group ApplyEyeMakeup/g09 is in trainlist01\.txt"):
            part()


def test_labels_are_those_of_the_list_of_classes(root: Path) -> None:
    """Whatever their order in it."""
    (root / "ucfTrainTestlist/classInd.txt").write_text("2 ApplyEyeMakeup\n1   HandstandPushups  \n\n")
    change(root, "trainlist01.txt", ".avi 1", ".avi 0")
    change(root, "trainlist01.txt", ".avi 2", ".avi 1")
    change(root, "trainlist01.txt", ".avi 0", ".avi 2")
    data = Ucf101(str(root))
    assert data.classes == ("HandstandPushups", "ApplyEyeMakeup")
    assert [video.label for video in data.train()] == [1] * 4 + [0] * 4
    assert [video.label for video in data.test()] == [1] * 2 + [0] * 2


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("classInd.txt", "2 ", "3 ", "must name a class for each number from 1 on, once"),
        ("classInd.txt", "2 ", "1 ", "must name a class for each number"),
        ("classInd.txt", "HandstandPushups", "ApplyEyeMakeup", "must name a class for each number"),
        ("classInd.txt", "2 HandstandPushups", "HandstandPushups", "line 2: is no '<number> <class>'"),
        ("trainlist01.txt", "_g09_c01.avi 1", ".avi 1", "line 3: is no '<Class>/<file>_g01_c01.avi'"),
        ("trainlist01.txt", "ApplyEyeMakeup/v", "../ApplyEyeMakeup/v", "line 1: is no '<Class>/<file>_g01_c01.avi'"),
        ("testlist01.txt", "HandstandPushups/", "Archery/", "line 3: classInd.txt has no Archery"),
        ("trainlist01.txt", "c01.avi 2", "c01.avi 1", "HandstandPushups is 2 in classInd.txt, not 1"),
        ("testlist01.txt", "up_g01_c02", "up_g02_c02", "g02_c02.avi: missing, but "),
        ("testlist01.txt", "_g01_c", "_g02_c", r"missing \(and 3 more\), but "),
        ("trainlist01.txt", "up_g08_c02", "up_g08_c01", "names v_ApplyEyeMakeup_g08_c01.avi twice"),
    ],
)
def test_lists_that_do_not_fit(root: Path, name: str, old: str, new: str, told: str) -> None:
    change(root, name, old, new)
    with pytest.raises(BenchmarkError, match=told) as error:
        Ucf101(str(root)).train()
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_missing(root: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no folder given: pass that of Ucf101 as --data\.root"):
        Ucf101().train()
    with pytest.raises(BenchmarkError, match="absent: no such folder"):
        Ucf101(str(root / "absent")).train()
    with pytest.raises(BenchmarkError, match=r"UCF-101: has no ucfTrainTestlist/; give the folder of Ucf101"):
        Ucf101(str(root / "UCF-101")).train()
    (root / "ucfTrainTestlist/testlist01.txt").write_text("\n\n")
    with pytest.raises(BenchmarkError, match=r"testlist01\.txt: names no video"):
        Ucf101(str(root)).train()
    (root / "ucfTrainTestlist/testlist01.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(BenchmarkError, match=r"testlist01\.txt: cannot be read \('utf-8'"):
        Ucf101(str(root)).test()
    (root / "ucfTrainTestlist/classInd.txt").write_text("")
    with pytest.raises(BenchmarkError, match=r"classInd\.txt: must name a class"):
        Ucf101(str(root)).train()
    (root / "ucfTrainTestlist/classInd.txt").unlink()
    with pytest.raises(BenchmarkError, match=r"classInd\.txt: cannot be read \(No such file"):
        Ucf101(str(root)).train()
    (root / "UCF-101").rename(root / "videos")
    with pytest.raises(BenchmarkError, match=r"has no UCF-101/; give the folder of Ucf101"):
        Ucf101(str(root)).train()
