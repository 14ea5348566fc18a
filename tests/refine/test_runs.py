from __future__ import annotations

from pathlib import Path

import pytest
import torch

import refine_motion as rm
from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.errors import ConfigError, LabelError, VideoError
from refine_motion.labels.teacher import LabelSettings
from refine_motion.models.weights import read_facts, read_weights
from refine_motion.refine.decision import Decision
from refine_motion.refine.run import RefineResult
from refine_motion.refine.runs import RefinePlan, Run, refine_all
from refine_motion.refine.selection import SelectionSettings
from refine_motion.video.writer import write_video

OPTIONS: dict = {
    "steps": 2,
    "iters": 1,
    "filters": {},
    "settings": LabelSettings(iters=1, ceiling=1e4),
    "accelerator": "cpu",
    "crop": (64, 64),
    "batch_size": 3,
    "num_workers": 0,
    "learning_rate": 1e-3,
    "selection": SelectionSettings(enabled=False),
}


@pytest.fixture
def two_videos(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    for seed, name in ((1, "one"), (2, "two")):
        video = write_clip(tmp_path / name, seed=seed, frames=6, size=(72, 96), pairs=1)
        folder.mkdir(exist_ok=True)
        video.rename(folder / f"{name}.mp4")
    return folder


@pytest.mark.slow
def test_a_second_round_has_the_first_ones_result_as_teacher(two_videos: Path, untrained: Path, tmp_path: Path) -> None:
    result = rm.refine(two_videos, None, untrained, tmp_path / "run", rounds=2, **OPTIONS)
    first = tmp_path / "run" / "round_1" / "refined.safetensors"
    assert result.weights == tmp_path / "run" / "round_2" / "refined.safetensors"
    assert read_facts(result.weights)["refined_from"] == str(first)
    # Labels of both teachers lie side by side.
    assert len([p for p in (tmp_path / "run" / "labels").iterdir() if p.is_dir()]) == 2
    once = rm.refine(two_videos, None, untrained, tmp_path / "once", **OPTIONS)
    assert all(torch.equal(v, read_weights(first)[k]) for k, v in read_weights(once.weights).items())


def test_where_a_round_brings_nothing_better_there_is_no_other(
    two_videos: Path, untrained: Path, tmp_path: Path
) -> None:
    options = OPTIONS | {"selection": SelectionSettings()}
    result = rm.refine(two_videos, None, untrained, tmp_path / "run", rounds=3, **options)
    assert result.outcome.decision == "kept"
    assert [path.name for path in sorted((tmp_path / "run").glob("round_*"))] == ["round_1"]


def test_a_later_round_that_brings_nothing_better_leaves_the_result_of_the_one_before(tmp_path: Path) -> None:
    runs: list[Run] = []

    def one(run: Run) -> RefineResult:
        runs.append(run)
        outcome = Decision("kept" if len(runs) == 3 else "improved", None, None, "")
        return RefineResult(run.folder / "w", {}, None, None, {}, outcome)  # type: ignore[arg-type]

    found = refine_all(RefinePlan(rounds=5), "v", "start", tmp_path, tmp_path, one)[""]
    assert [run.weights for run in runs] == ["start", str(tmp_path / "round_1" / "w"), str(tmp_path / "round_2" / "w")]
    assert found.weights == tmp_path / "round_2" / "w"
    assert found.outcome.decision == "improved"


def test_each_video_gets_its_own_model_and_a_useless_one_is_named(
    two_videos: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(two_videos / "short.mp4", torch.zeros(1, 3, 72, 96, dtype=torch.uint8), 10)
    (two_videos / "broken.mp4").write_bytes(b"no video")
    results = rm.refine_each(two_videos, None, untrained, tmp_path / "run", **OPTIONS)
    assert set(results) == {"one", "two"}
    told = capsys.readouterr()
    assert "short.mp4" in told.err
    assert "broken.mp4" in told.out
    assert told.out.rindex("Every video") > told.out.rindex("weights:")
    assert told.out.count("unchecked") == 4  # At the end of each, and in the table of all.
    for name, result in results.items():
        assert result.weights == tmp_path / "run" / name / "refined.safetensors"
        assert result.labels.pairs == 5
    one, two = (read_weights(result.weights) for result in results.values())
    assert any(not torch.equal(one[k], two[k]) for k in one)
    for path in ("one.mp4", "two.mp4"):
        (two_videos / path).unlink()
    with pytest.raises((VideoError, LabelError), match="short"):
        rm.refine_each(two_videos, None, untrained, tmp_path / "none", **OPTIONS)


def test_several_processes_do_not_go_on_by_themselves(
    two_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(run: Run) -> RefineResult:
        raise LabelError(run.videos)

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    with pytest.raises(LabelError, match="one"):
        refine_all(RefinePlan(unit="video"), str(two_videos), "w", tmp_path / "run", tmp_path / "index", fail)


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ConfigError, match="unit"):
        RefinePlan(unit="scene")
    with pytest.raises(ConfigError, match="rounds"):
        RefinePlan(rounds=0)
