from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import refine_motion as rm
from refine_motion.errors import ConfigError, LabelError, VideoError
from refine_motion.labels.select import CycleRule, MinSpeed
from refine_motion.labels.store import LabelStore
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.weights import read_weights

# Untrained weights seldom agree with themselves, so nearly everything is stored and no filter is applied.
SETTINGS = LabelSettings(iters=2, ceiling=1e4)
DATA = {"crop": (64, 64), "batch_size": 3, "num_workers": 0}


def test_both_stages_on_a_video_file(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    result = rm.refine(
        clip_folder / "videos",
        None,
        untrained,
        tmp_path / "run",
        steps=3,
        iters=2,
        filters={},
        settings=SETTINGS,
        accelerator="cpu",
        **DATA,
    )
    assert result.weights == tmp_path / "run" / "refined.safetensors"
    before, after = read_weights(untrained), read_weights(result.files["student"])
    assert any(not torch.equal(before[k], after[k]) for k in before)
    # Three steps of nothing make no better model, so that the result is the old one, whatever became of the student.
    assert result.outcome.decision == "kept"
    assert all(torch.equal(before[k], v) for k, v in read_weights(result.weights).items())
    assert rm.load_model(None, weights=result.weights).name == "raft_small"
    assert result.labels.pairs == 8
    assert set(result.held_out) == {"val/cycle_error", "val/teacher_cycle_error", "val/label_epe"}
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    table = rm.evaluate_flow(
        rm.load_model(None, result.files["student"]), clip_folder / "truth", rm.load_model(None, untrained), 2
    )
    assert table.rows[0].epe != table.rows[0].epe_against


def test_labels_are_made_once_and_again_only_where_they_are_missing(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def label() -> LabelStore:
        return rm.label(clip_folder / "videos", "raft_small", untrained, tmp_path, SETTINGS, "cpu", filters={}, **DATA)

    store = label()
    files = sorted(store.folder.glob("??/*.safetensors"))
    contents = {path: path.read_bytes() for path in files}
    assert len(files) == 8
    stamps = {path: path.stat().st_mtime_ns for path in files}

    label()
    assert {path: path.stat().st_mtime_ns for path in files} == stamps
    assert "all 8 pairs are labelled already" in capsys.readouterr().out

    files[0].unlink()
    files[1].write_bytes(contents[files[1]][:100])
    label()
    out = capsys.readouterr().out
    assert "labelling 2 of 8 pairs" in out
    assert "1 absent" in out
    assert "damaged" in out
    assert {path: path.read_bytes() for path in files} == contents
    changed = [path for path in files if path.stat().st_mtime_ns != stamps[path]]
    assert set(changed) == set(files[:2])


def test_a_folder_goes_on_without_what_cannot_be_used_and_names_it(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "videos"
    shutil.copytree(clip_folder / "videos", folder)
    (folder / "broken.mp4").write_bytes(b"not a video")
    rm.label(folder, "raft_small", untrained, tmp_path / "labels", SETTINGS, "cpu", filters={}, **DATA)
    assert "broken.mp4" in capsys.readouterr().out
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        rm.label(folder, "raft_small", untrained, tmp_path / "labels", SETTINGS, "cpu", strict=True, **DATA)


def test_too_short_and_too_small_videos_are_refused_by_name(untrained: Path, tmp_path: Path) -> None:
    from refine_motion.video.writer import write_video

    write_video(tmp_path / "short" / "one.mp4", torch.zeros(1, 3, 64, 64, dtype=torch.uint8), 10)
    write_video(tmp_path / "small" / "tiny.mp4", torch.randint(0, 255, (4, 3, 32, 64), dtype=torch.uint8), 10)
    with pytest.raises(VideoError, match=r"one\.mp4"):
        rm.label(tmp_path / "short", "raft_small", untrained, tmp_path / "l", SETTINGS, "cpu", **DATA)
    with pytest.raises(VideoError, match=r"tiny\.mp4.*64x32"):
        rm.label(tmp_path / "small", "raft_small", untrained, tmp_path / "l", SETTINGS, "cpu", **DATA)


def test_filters_that_leave_nothing_or_want_what_is_not_stored_are_refused(
    clip_folder: Path, untrained: Path, tmp_path: Path
) -> None:
    def label(*filters: object) -> None:
        rm.label(
            clip_folder / "videos",
            "raft_small",
            untrained,
            tmp_path,
            SETTINGS,
            "cpu",
            filters={str(i): f for i, f in enumerate(filters)},
            **DATA,
        )

    with pytest.raises(LabelError, match="filters"):
        label(MinSpeed(1e4))
    with pytest.raises(ConfigError, match="ceiling"):
        label(CycleRule(alpha=1e5, beta=1.0))


def test_nothing_is_written_when_a_setting_is_wrong(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crop"):
        rm.refine(clip_folder / "videos", None, untrained, tmp_path / "run", crop=(10, 10))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    def run(name: str, seed: int) -> dict[str, torch.Tensor]:
        result = rm.refine(
            clip_folder / "videos",
            None,
            untrained,
            tmp_path / name,
            steps=2,
            iters=1,
            filters={},
            settings=SETTINGS,
            seed=seed,
            accelerator="cpu",
            **DATA,
        )
        return read_weights(result.files["student"])

    first, again, other = run("a", 1), run("b", 1), run("c", 2)
    assert all(torch.allclose(first[k], again[k], atol=1e-6) for k in first)
    assert any(not torch.allclose(first[k], other[k], atol=1e-6) for k in first)
