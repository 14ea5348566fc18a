from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.actions.class_folders import ClassFolders
from refine_motion.errors import BenchmarkError, ConfigError


def fill(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.mp4").write_bytes(b"mp4")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    root = tmp_path / "mine"
    for name, count in (("class 10", 10), ("class 2", 4), (".hidden", 3)):
        fill(root / name, count)
    (root / "notes.txt").write_text("none")
    return root


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    root = tmp_path / "parted"
    for name, count in (("train/left", 3), ("train/right", 2), ("test/right", 1)):
        fill(root / name, count)
    return root


def test_parts_that_are_drawn(plain: Path) -> None:
    data = ClassFolders(str(plain))
    assert data.classes == ("class 2", "class 10")
    assert data.title == "mine, 30% of each class for the test (seed 0)"
    train, test = data.train(), data.test()
    assert [video.label for video in train] == [0] * 3 + [1] * 7
    assert [video.label for video in test] == [0] + [1] * 3
    both = sorted(video.path for video in (*train, *test))
    assert both == sorted(plain.glob("class*/*.mp4"))
    assert all(video.path.parent.name == data.classes[video.label] for video in (*train, *test))


def test_the_draw(plain: Path) -> None:
    draws = [ClassFolders(str(plain), 0.5, seed).test() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    # A class that is added changes none of the others.
    fill(plain / "class 0", 3)
    assert [video.path for video in ClassFolders(str(plain), 0.5).test() if video.label] == [v.path for v in draws[0]]


@pytest.mark.parametrize(("share", "tested"), [(0.01, 1), (0.99, 3)])
def test_each_part_has_one_of_each_class(plain: Path, share: float, tested: int) -> None:
    data = ClassFolders(str(plain), share)
    assert sum(video.label == 0 for video in data.test()) == tested
    assert sum(video.label == 0 for video in data.train()) == 4 - tested


def test_parts_that_are_given(parted: Path) -> None:
    data = ClassFolders(str(parted))
    assert data.title == "parted"
    assert data.classes == ("left", "right")
    assert [(video.path.relative_to(parted).as_posix(), video.label) for video in data.train()] == [
        ("train/left/0.mp4", 0),
        ("train/left/1.mp4", 0),
        ("train/left/2.mp4", 0),
        ("train/right/0.mp4", 1),
        ("train/right/1.mp4", 1),
    ]
    # Whose class keeps its number.
    assert [(video.path, video.label) for video in data.test()] == [(parted / "test/right/0.mp4", 1)]


def test_what_is_refused(plain: Path, parted: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no folder given: pass that of ClassFolders as --data\.root"):
        ClassFolders().train()
    with pytest.raises(BenchmarkError, match="has 1 of the 2 folders of classes that are needed"):
        ClassFolders(str(parted / "test")).train()
    fill(parted / "test/up", 1)
    with pytest.raises(BenchmarkError, match=r"test/up: .*train has no such class; add it there"):
        ClassFolders(str(parted)).test()
    fill(plain / "empty", 0)
    with pytest.raises(BenchmarkError, match="empty: has no video; add some, or take the folder away"):
        ClassFolders(str(plain)).train()
    (plain / "empty/one.mp4").write_bytes(b"mp4")
    with pytest.raises(BenchmarkError, match="empty: one video cannot be in both parts"):
        ClassFolders(str(plain)).train()
    for share in (0.0, 1.0, float("nan")):
        with pytest.raises(ConfigError, match=r"data\.test_share must be more than 0 and less than 1"):
            ClassFolders(str(plain), share)
