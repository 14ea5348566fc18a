from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import refine_motion as rm
from refine_motion.errors import VideoError
from refine_motion.labels import probe
from refine_motion.labels.opened import open_labels
from refine_motion.labels.store import LabelStore
from refine_motion.labels.teacher import LabelSettings

CONFIG = Path(__file__).parents[2] / "configs" / "refine" / "flow.yaml"
SETTINGS = LabelSettings(iters=1, ceiling=1e4, probe=("1x flip",))


def label(videos: Path, weights: Path, out: Path, settings: LabelSettings = SETTINGS) -> LabelStore:
    return rm.label(videos, None, weights, out, settings, "cpu", filters={}, crop=(64, 64), num_workers=0)


def views(store: LabelStore) -> set[str]:
    return {header["views"] for _, header in store.headers()}


def test_seconds_and_views_are_told_and_nothing_is_probed_where_nothing_is_asked_for(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = label(clip_folder / "videos", untrained, tmp_path, LabelSettings(iters=1, ceiling=1e4))
    told = capsys.readouterr().out
    assert "Stage 1: 8 pairs in " in told
    assert " s a pair" in told
    assert "1x: 100%" in told
    assert "trying" not in told
    assert not (store.folder / "probe").exists()
    assert views(store) == {"1x"}


def test_an_interrupted_labelling_goes_on_with_the_views_it_chose(
    clip_folder: Path,
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    videos = clip_folder / "videos"
    with monkeypatch.context() as patch:
        patch.setattr(probe, "_JOINS", 0.0)
        store = label(videos, untrained, tmp_path)
    told = capsys.readouterr().out
    assert "trying 1x flip on 1 of 1 videos" in told
    assert "1x + 1x flip" in told
    assert views(store) == {"1x + 1x flip"}
    (note,) = (store.folder / "probe").iterdir()
    (opened,) = open_labels(tmp_path).videos
    assert note.name == f"{opened}.json"
    content = {path: path.read_bytes() for path, _ in store.headers()}
    lost = sorted(content)[:3]
    for path in lost:
        path.unlink()
    # What is asked for now would not take it in.
    with monkeypatch.context() as patch:
        patch.setattr(probe, "_JOINS", 9.0)
        label(videos, untrained, tmp_path)
        told = capsys.readouterr().out
        assert "trying" not in told
        assert "labelling 3 of 8 pairs" in told
        assert {path: path.read_bytes() for path, _ in store.headers()} == content
        label(videos, untrained, tmp_path)
        assert "1x flip: 100%" in capsys.readouterr().out
        lost[0].unlink()
        note.unlink()
        label(videos, untrained, tmp_path)
    assert json.loads(note.read_text())["views"] == ["1x"]
    assert views(store) == {"1x", "1x + 1x flip"}


@pytest.mark.slow
def test_processes_agree_on_the_views(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    def run(folder: Path, *more: str) -> dict[str, bytes]:
        command = [
            sys.executable, "-m", "refine_motion", "label", "--config", str(CONFIG), "--workdir", str(folder),
            "--data.videos", str(clip_folder / "videos"), "--model.weights", str(untrained), "--data.filters", "{}",
            "--label.ceiling", "10000", "--label.iters", "1", "--label.threads_per_process", "1", "--data.window", "2",
            "--label.views", "[1x, 1x flip]", "--label.probe", "[1.25x]", "--data.crop", "[64, 64]",
            "--data.num_workers", "1", "--trainer.accelerator", "cpu", *more,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("trying 1.25x on 1 of 1 videos") == 1
        assert done.stdout.count("Stage 1: 8 pairs in") == 1
        root = folder / "labels"
        patterns = ("*/??/*.safetensors", "*/probe/*.json")
        return {str(p.relative_to(root)): p.read_bytes() for pattern in patterns for p in root.glob(pattern)}

    one = run(tmp_path / "one")
    assert len(one) == 9
    # One video for two processes: both look at it, and the labels of both go by one note.
    assert run(tmp_path / "two", "--trainer.devices", "2", "--trainer.strategy", "ddp") == one


def test_videos_too_small_for_a_shrunk_view_are_refused_by_name(
    clip_folder: Path, untrained: Path, tmp_path: Path
) -> None:
    for views, extra in ((("1x", "0.75x"), ()), (("1x",), ("0.75x",))):
        settings = LabelSettings(iters=1, ceiling=1e4, views=views, probe=extra)
        with pytest.raises(VideoError, match="96x72: a side is below 76 px"):
            label(clip_folder / "videos", untrained, tmp_path, settings)
