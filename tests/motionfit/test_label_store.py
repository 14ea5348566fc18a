from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from refine_motion.errors import LabelError
from refine_motion.motionfit.granularity import Cell, Granularity
from refine_motion.motionfit.label_store import LabelTable, Row, read_labels, write_labels

ROWS = (
    Row(Cell("ab", 0, 1), "videos/a, the first.mp4", 1, 0.1),
    Row(Cell("ab", 4, 1), 'videos/a "b".mp4', 0, 1 / 3),
    Row(Cell("cd", 0, 2), "videos/c.mp4", 1, 1.0),
)
TABLE = LabelTable(ROWS, ("left", "right"), Granularity(4, (1, 2)), 12.5, {"teacher": "t", "label": {"count": 2}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert write_labels(tmp_path / "labels", TABLE) == tmp_path / "labels" / "labels.csv"
    return tmp_path / "labels"


def test_what_is_written_is_read(folder: Path) -> None:
    found = read_labels(folder)
    assert replace(found, rows=(), digest="") == replace(TABLE, rows=())
    assert [row.cell for row in found.rows] == [row.cell for row in ROWS]
    assert [(row.path, row.label) for row in found.rows] == [(row.path, row.label) for row in ROWS]
    assert [row.confidence for row in found.rows] == pytest.approx([row.confidence for row in ROWS], rel=1e-8)
    assert len(found.digest) == 16
    # And written again, it is the same to the byte.
    text = (folder / "labels.csv").read_bytes()
    write_labels(folder, found)
    assert (folder / "labels.csv").read_bytes() == text
    assert text.splitlines()[0] == b"video,path,start,stride,label,confidence"


def test_all_frames(tmp_path: Path) -> None:
    write_labels(tmp_path, replace(TABLE, fps=None))
    assert read_labels(tmp_path).fps is None


def test_other_labels_have_another_digest(folder: Path, tmp_path: Path) -> None:
    write_labels(tmp_path / "other", replace(TABLE, rows=(*ROWS[:2], replace(ROWS[2], label=0))))
    assert read_labels(folder).digest != read_labels(tmp_path / "other").digest


def edited(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def emptied(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(b"")


def removed(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def without(key: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        facts = json.loads((folder / "labels.json").read_text())
        del facts[key]
        (folder / "labels.json").write_text(json.dumps(facts))

    return change


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (edited("labels.csv", "cd,videos/c.mp4,0,2,1", "cd,videos/c.mp4,0,2,0"), "labels.csv is not the one that"),
        (edited("labels.csv", "cd,videos/c.mp4,0,2,1,1\n", ""), "labels.csv is not the one that"),
        (edited("labels.csv", ",0,2,1,1", ",0,2,1"), "is damaged (not enough values"),
        (edited("labels.csv", ",0,2,1,1", ",zero,2,1,1"), "is damaged (invalid literal"),
        (edited("labels.csv", "video,path", "film,path"), "is damaged (columns are film,path,start"),
        (emptied("labels.csv"), "is damaged ("),
        (removed("labels.csv"), "labels.csv: cannot be read (No such file or directory)"),
        (lambda folder: (folder / "labels.csv").write_bytes(b"\xff\xfe"), "is damaged ("),
        (removed("labels.json"), "labels.json: cannot be read (No such file or directory)"),
        (emptied("labels.json"), "is damaged ("),
        (edited("labels.json", '"schema": "1"', '"schema": "0"'), "labels of format 0, and 1 is known here"),
        (edited("labels.json", '"length": 4', '"length": 0'), "granularity.length must be at least 1 frame"),
        (edited("labels.json", '"right"', '"right", "up"'), None),
        *((without(key), f"is damaged ('{key}')") for key in ("schema", "classes", "granularity", "fps", "labels")),
        (lambda folder: (folder / "labels.json").write_text("[]"), "is damaged ("),
    ],
)
def test_what_does_not_fit(damage: Callable[[Path], object], told: str | None, folder: Path) -> None:
    damage(folder)
    if told is None:
        # Classes that no cell has do no harm.
        assert len(read_labels(folder).classes) == 3
        return
    with pytest.raises(LabelError) as raised:
        read_labels(folder)
    line = str(raised.value)
    assert line.startswith(str(folder))
    assert told in line
    assert "refine-motion label --config configs/motionfit/pseudo_labels.yaml" in line
    assert "\n" not in line


@pytest.mark.parametrize("label", [2, -1])
def test_labels_beyond_the_classes(label: int, tmp_path: Path) -> None:
    write_labels(tmp_path, replace(TABLE, rows=(replace(ROWS[0], label=label), *ROWS[1:])))
    with pytest.raises(
        LabelError, match=r"^.*: labels\.csv has a label beyond the 2 classes; make the labels with .*$"
    ):
        read_labels(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"labels\.csv: cannot be read \(No such file or directory\); make the labels"):
        read_labels(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["videos/a\udcff.mp4", "videos/a\rb.mp4", "videos/a\nb.mp4"])
def test_any_name_of_a_file(name: str, tmp_path: Path) -> None:
    """One that is no UTF-8, and one with the end of a line in it."""
    write_labels(tmp_path, replace(TABLE, rows=(replace(ROWS[0], path=name), *ROWS[1:])))
    assert [row.path for row in read_labels(tmp_path).rows] == [name, *(row.path for row in ROWS[1:])]
