from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import refine_motion as rm
from refine_motion.benchmarks.synthetic.labelled import write_labelled_clips
from refine_motion.errors import LabelError
from refine_motion.labels.opened import evenly, note_videos, open_labels, scattered
from refine_motion.labels.store import LabelStore, PairKey
from refine_motion.labels.teacher import LabelSettings
from refine_motion.labels.track_store import ClipKey, TrackStore
from refine_motion.video.index import build_index
from tests.labels.made_tracks import made_tracks, straight
from tests.labels.test_codec import make_label


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_clips(tmp_path_factory.mktemp("made"), frames=4, size=(64, 96))


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil; its note still names the videos of the first."""
    return shutil.copytree(made, tmp_path / "run")


def test_work_folder_and_store_open_alike(made: Path) -> None:
    opened = open_labels(made)
    assert list(opened.names.values()) == ["source_0003.mp4", "source_0005.mp4"]
    assert [(opened.names[k.video][7:11], k.frame_a, k.frame_b) for k in opened.keys] == [
        (clip, t, t + 1) for clip in ("0003", "0005") for t in range(3)
    ]
    assert opened.store.settings["ceiling"] == 4.0
    assert opened.frames(opened.keys[0]).shape == (2, 3, 64, 96)
    assert open_labels(made / "labels").keys == opened.keys


def test_stage_1_notes_where_its_videos_are(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    videos = clip_folder / "videos"
    settings = LabelSettings(iters=1)
    rm.label(videos, None, untrained, tmp_path / "labels", settings, "cpu", filters={}, num_workers=0, max_pairs=2)
    opened = open_labels(tmp_path / "labels")
    assert len(opened.keys) == 2
    assert [info.path for info in opened.videos.values()] == list(videos.iterdir())
    assert opened.store.settings["iters"] == 1


def test_the_teacher_used_last_is_taken_unless_one_is_named(run: Path) -> None:
    first = open_labels(run)
    other = LabelStore(first.store.root, "other", {"iters": 7})
    other.write(first.keys[0], make_label((64, 96), 0.3, 2.0))
    os.utime(other.write_manifest(), (4e9, 4e9))
    assert open_labels(run).store.settings == {"iters": 7}
    assert open_labels(run).keys == first.keys[:1]
    assert open_labels(run, teacher=first.store.teacher).keys == first.keys


def test_videos_that_have_moved(made: Path, run: Path) -> None:
    known = build_index(made / "clips" / "videos").videos
    note_videos(run / "labels", run / "index", [])
    assert open_labels(run).videos.keys() == {info.key for info in known}  # notes of earlier runs stay

    (run / "labels" / "videos.json").unlink()
    with pytest.raises(LabelError, match=r"2 of 2 labelled videos are not found \(one was never noted\)"):
        open_labels(run)
    one = run / "clips" / "videos" / "source_0005.mp4"
    assert list(open_labels(run, videos=one).names.values()) == ["source_0005.mp4"]
    assert len(open_labels(run, videos=run / "clips").keys) == 6


def test_a_video_that_has_changed_is_not_the_labelled_one(run: Path) -> None:
    note_videos(run / "labels", run / "index", build_index(run / "clips" / "videos").videos)
    folder = run / "clips" / "videos"
    shutil.copy(folder / "source_0005.mp4", folder / "source_0003.mp4")
    with pytest.raises(LabelError, match=r"1 of 2 labelled videos are not found \(one was .*source_0003.mp4\)"):
        open_labels(run)


def test_folders_without_labels(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no label store"):
        open_labels(tmp_path)
    with pytest.raises(LabelError, match="no labels of this version"):
        open_labels(tmp_path, teacher="t")
    key = ClipKey("v", tuple(range(8)))
    TrackStore(tmp_path, "t").write(key, made_tracks(straight(torch.tensor([[1.0, 0.0]]))))
    with pytest.raises(LabelError, match=r"t: these labels are tracks; only those of flow can be opened here$"):
        open_labels(tmp_path, teacher="t")


def test_evenly_spaced() -> None:
    keys = [PairKey("v", t, t + 1) for t in range(10)]
    assert [key.frame_a for key in evenly(keys, 2)] == [2, 7]
    assert evenly(keys, 20) == keys


@given(st.integers(1, 400), st.integers(1, 400))
def test_scattered_one_from_each_stretch(count: int, most: int) -> None:
    found = scattered(range(count), most)
    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    for stretch, number in enumerate(found):
        assert stretch * count // len(found) <= number < (stretch + 1) * count / len(found)


@pytest.mark.parametrize(("kinds", "most"), [(2, 12), (2, 32), (2, 120), (3, 120), (6, 120)])
def test_scattered_takes_of_all_kinds_that_take_turns(kinds: int, most: int) -> None:
    for count in range(kinds * most, 6 * kinds * most, kinds):
        counts = torch.tensor([number % kinds for number in scattered(range(count), most)]).bincount(minlength=kinds)
        assert counts.min() >= most / kinds / 4


def test_made_labels_are_near_the_truth_and_show_every_verdict(made: Path) -> None:
    opened = open_labels(made)
    for label in opened.spread(2).values():
        ceiling = 4 * (0.002 * (label.evidence.speed + label.evidence.backward_speed) + 0.1)
        assert (label.evidence.cycle_error <= 1.2 * ceiling).all()
        share = len(label.index) / (64 * 96)
        assert 0.2 < share < 1
        assert (label.evidence.cycle_error > ceiling / 4).any()
    assert not torch.equal(*[label.flow[:9] for label in opened.spread(2).values()])
