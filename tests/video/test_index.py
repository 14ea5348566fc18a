from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from refine_motion.errors import ConfigError, VideoError
from refine_motion.video import index as index_module
from refine_motion.video.index import build_index
from refine_motion.video.probe import ContentError, UnreadableError

MakeVideo = Callable[..., Path]


@pytest.fixture
def folder(make_video: MakeVideo, tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    make_video(folder / "a.mp4", (8, 8))
    make_video(folder / "b.mp4", (12,))
    (folder / "broken.mp4").write_text("nothing")
    return folder


def forbid_probing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("probed again")

    monkeypatch.setattr(index_module.ProbeWorker, "probe", refuse)


def test_good_videos_go_on_and_bad_ones_are_named(folder: Path) -> None:
    index = build_index(folder, None, progress=False)
    assert [(info.path.name, info.frames) for info in index.videos] == [("a.mp4", 16), ("b.mp4", 12)]
    assert [path.name for path, _ in index.rejected] == ["broken.mp4"]
    console = Console(file=StringIO(), width=200)
    console.print(index.table())
    text = console.file.getvalue()
    assert "broken.mp4" in text
    assert "cut short" in text


def test_strict_names_the_first(folder: Path) -> None:
    with pytest.raises(VideoError, match=r"broken\.mp4: .*cut short"):
        build_index(folder, None, strict=True)


def test_nothing_readable(folder: Path) -> None:
    shutil.copyfile(folder / "broken.mp4", folder / "broken2.mp4")
    with pytest.raises(VideoError, match=r"broken\.mp4: .*and 1 more cannot be read: give at least one"):
        build_index(str(folder / "broken*.mp4"), None)


def test_second_build_probes_neither_good_nor_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    first = build_index(folder, cache, progress=False)
    assert len(list(cache.iterdir())) == 3
    forbid_probing(monkeypatch)
    assert build_index(folder, cache) == first
    moved = folder.rename(tmp_path / "elsewhere")
    again = build_index(moved, cache)
    assert [info.path for info in again.videos] == [moved / "a.mp4", moved / "b.mp4"]
    assert again.rejected == [(moved / "broken.mp4", reason) for _, reason in first.rejected]
    assert [info.timestamps for info in again.videos] == [info.timestamps for info in first.videos]


def refuse_with(monkeypatch: pytest.MonkeyPatch, error: UnreadableError) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(index_module.ProbeWorker, "probe", refuse)


def test_a_video_that_hung_is_tried_again_with_a_larger_limit(
    make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video, cache = make_video(tmp_path / "a.mp4"), tmp_path / "cache"
    with monkeypatch.context() as patch:
        refuse_with(patch, ContentError("hangs for 5 s", time_limit_s=5))
        with pytest.raises(VideoError, match="hangs for 5 s"):
            build_index(video, cache, time_limit_s=5)
        forbid_probing(patch)
        with pytest.raises(VideoError, match="hangs for 5 s"):
            build_index(video, cache, time_limit_s=5)
    assert len(build_index(video, cache, time_limit_s=60, progress=False).videos) == 1


def test_a_crash_is_not_remembered(make_video: MakeVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, cache = make_video(tmp_path / "a.mp4"), tmp_path / "cache"
    with monkeypatch.context() as patch:
        refuse_with(patch, UnreadableError("crashes"))
        with pytest.raises(VideoError, match="crashes"):
            build_index(video, cache)
    assert len(build_index(video, cache, progress=False).videos) == 1


@pytest.mark.parametrize("damage", ["cut", "schema", "field"])
def test_a_damaged_entry_is_made_again(make_video: MakeVideo, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    video = make_video(tmp_path / "a.mp4")
    first = build_index(video, cache, progress=False)
    (entry,) = cache.iterdir()
    good = entry.read_text()
    fields = json.loads(good)
    if damage == "schema":
        fields["schema"] = 0
    if damage == "field":
        del fields["video"]["cuts"]
    entry.write_text(good[:50] if damage == "cut" else json.dumps(fields))
    assert build_index(video, cache, progress=False) == first
    assert entry.read_text() == good


def test_a_copy_is_left_out_and_named(folder: Path) -> None:
    shutil.copyfile(folder / "b.mp4", folder / "c.mp4")
    index = build_index(folder, None, progress=False)
    assert [info.path.name for info in index.videos] == ["a.mp4", "b.mp4"]
    assert "c.mp4" in index.videos[1].faults[0]


def test_settings_that_cannot_work(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="time_limit_s"):
        build_index(folder, None, time_limit_s=0)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be stored"):
        build_index(folder / "b.mp4", tmp_path / "file" / "cache")
