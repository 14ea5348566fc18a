from __future__ import annotations

from pathlib import Path

import pytest

from refine_motion.benchmarks.actions.hmdb51 import Hmdb51
from refine_motion.errors import BenchmarkError

# Video and part in each of two splits, in names such as the original has.
VIDEOS = {
    "brush_hair": {
        "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi": "12",
        "April_09_brush_hair_u_nm_np1_ba_goo_0.avi": "21",
        "Prelinger(2)_brush!_&_hair[1];_goo_1.avi": "10",
    },
    "turn": {"a turn.avi": "21", "$HOME_turn_'quoted'_2.avi": "12", "*_turn.avi": "02"},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, two splits; lines end in a blank, as in the original."""
    (tmp_path / "splits").mkdir()
    for name, videos in VIDEOS.items():
        (tmp_path / "hmdb51" / name).mkdir(parents=True)
        for video in videos:
            (tmp_path / "hmdb51" / name / video).write_bytes(b"RIFF")
        for split in (1, 2):
            lines = "".join(f"{video} {parts[split - 1]} \n" for video, parts in videos.items())
            (tmp_path / f"splits/{name}_test_split{split}.txt").write_text(lines)
    return tmp_path


def change(root: Path, name: str, old: str, new: str) -> None:
    file = root / "splits" / f"{name}_test_split1.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_videos(root: Path) -> None:
    data = Hmdb51(str(root))
    assert data.title == "HMDB51 split 1"
    assert data.classes == ("brush_hair", "turn")
    brush, turn = (root / "hmdb51" / name for name in data.classes)
    assert [(video.path, video.label, video.group) for video in data.train()] == [
        (brush / "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi", 0, None),
        (brush / "Prelinger(2)_brush!_&_hair[1];_goo_1.avi", 0, None),
        (turn / "$HOME_turn_'quoted'_2.avi", 1, None),
    ]
    assert [(video.path, video.label) for video in data.test()] == [
        (brush / "April_09_brush_hair_u_nm_np1_ba_goo_0.avi", 0),
        (turn / "a turn.avi", 1),
    ]


def test_splits(root: Path) -> None:
    data = Hmdb51(str(root), split=2)
    assert [video.path.name for video in data.train()] == ["April_09_brush_hair_u_nm_np1_ba_goo_0.avi", "a turn.avi"]
    assert len(data.test()) == 3
    with pytest.raises(BenchmarkError, match=r"splits: has no \*_test_split3\.txt; add HMDB51's splits"):
        Hmdb51(str(root), split=3).train()


def test_a_video_that_is_not_used_need_not_be_there(root: Path) -> None:
    (root / "hmdb51/turn/*_turn.avi").unlink()
    assert len(Hmdb51(str(root)).train()) == 3
    with pytest.raises(BenchmarkError, match=r"\*_turn\.avi: missing, but .*turn_test_split2\.txt names it"):
        Hmdb51(str(root), split=2).train()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("a turn.avi 2", "a turn.avi 3", "line 1: is no '<video>.avi' with 0, 1 or 2"),
        ("a turn.avi 2", "aturn.avi", "line 1: is no '<video>.avi'"),
        ("a turn.avi 2", "1", "line 1: is no '<video>.avi'"),
        ("a turn.avi 2", "../a.avi 2", "line 1: is no '<video>.avi'"),
        ("a turn.avi 2", "a turn.avi 1", r"names no test video \(2\)"),
        ("_2.avi 1", "_2.avi 0", r"names no train video \(1\)"),
        ("*_turn.avi 0", "a turn.avi 1", "names a turn.avi twice"),
        ("*_turn.avi 0", "other.avi 1", "other.avi: missing, but "),
    ],
)
def test_lists_that_do_not_fit(root: Path, old: str, new: str, told: str) -> None:
    change(root, "turn", old, new)
    data = Hmdb51(str(root))
    with pytest.raises(BenchmarkError, match=told) as error:
        (data.test if "test" in told else data.train)()
    assert "turn_test_split1.txt" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_missing(root: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no folder given: pass that of Hmdb51 as --data\.root"):
        Hmdb51().train()
    with pytest.raises(BenchmarkError, match=r"has no splits/; give the folder of Hmdb51"):
        Hmdb51(str(root / "hmdb51")).train()
    file = root / "splits/turn_test_split1.txt"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(BenchmarkError, match=r"turn_test_split1\.txt: cannot be read \('utf-8'"):
        Hmdb51(str(root)).train()
    file.write_text("\n")
    with pytest.raises(BenchmarkError, match=r"turn_test_split1\.txt: names no video"):
        Hmdb51(str(root)).train()
    # A class without its list would be left out of the count of classes without a word.
    file.unlink()
    with pytest.raises(BenchmarkError, match=r"turn_test_split1\.txt: missing, but .*hmdb51/turn is there; add the"):
        Hmdb51(str(root)).train()
    (root / "hmdb51/turn").rename(root / "hmdb51/.turn")
    assert Hmdb51(str(root)).classes == ("brush_hair",)
    (root / "hmdb51").rename(root / "videos")
    with pytest.raises(BenchmarkError, match=r"has no hmdb51/; give the folder of Hmdb51"):
        Hmdb51(str(root)).train()
