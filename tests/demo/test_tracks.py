from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from refine_motion.cli.main import main
from refine_motion.demo import tracks
from refine_motion.demo.tracks import TrackPlan, run_track_demo
from refine_motion.errors import ConfigError
from refine_motion.labels.track_rules import AllFrames
from refine_motion.labels.track_teacher import TrackLabelSettings
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.decision import KEPT


@pytest.mark.slow
def test_the_whole_job(tmp_path: Path, untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weights = save_weights(build_model("pips_small"), tmp_path / "pips.safetensors")
    monkeypatch.setattr(tracks, "FILTERS", {"cycle": AllFrames(500.0)})
    monkeypatch.setattr(tracks, "LABELS", TrackLabelSettings(iters=1, seeds=12, dense=0, ceiling=1000.0))
    monkeypatch.setattr(tracks, "AUGMENT", ClipAugmentation(crop=(64, 64)))
    monkeypatch.setattr(tracks, "TRAINING", {"iters": 1})
    monkeypatch.setattr(tracks, "DATA", {"backward": False, "points": 8, "num_workers": 0, "stride": 8})
    monkeypatch.setattr(tracks, "_STEPS_PER_MINUTE", 1)
    monkeypatch.setattr(tracks, "_POINTS", 8)
    plan = TrackPlan(
        "fog", minutes=10, weights=str(weights), linked=str(untrained), size=(64, 96), clips=2, held_out=2, frames=16
    )
    said: list[str] = []
    result = run_track_demo(plan, tmp_path / "demo", lambda title, _: said.append(title))
    assert said == ["Render", "Refine", "Judge"] == list(result.seconds)
    assert list(result.scores) == ["fog_600000", "fog_600001"]
    assert result.overlay.stat().st_size > 1000
    if result.refined.outcome.decision == KEPT:
        assert all(before == after for before, after, _ in result.scores.values())
    assert result.mean[2] == pytest.approx(sum(still for _, _, still in result.scores.values()) / 2)


def test_videos_held_out_are_those_of_every_seed_and_nothing_learnt_from() -> None:
    plans = [TrackPlan("fog", seed) for seed in range(50)]
    assert len({tuple(plan.held_out_seeds) for plan in plans}) == 1
    assert not {scene for plan in plans for scene in plan.learnt_seeds} & set(plans[0].held_out_seeds)
    assert len({scene for plan in plans for scene in plan.learnt_seeds}) == 50 * plans[0].clips


def listed(values: Mapping[str, Any]) -> dict[str, Any]:
    """With lists for tuples, as a configuration has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def test_the_recipe_is_that_of_the_preset() -> None:
    preset = yaml.safe_load((Path(__file__).parents[2] / "configs" / "refine" / "tracks_cpu.yaml").read_text())
    model, data = preset["model"], preset["data"]
    assert listed(asdict(tracks.LABELS)) == preset["label"]
    assert {name: model[name] for name in tracks.TRAINING} == tracks.TRAINING
    assert {name: data[name] for name in tracks.DATA} == tracks.DATA
    # What the preset leaves out is as it is by default.
    assert ClipAugmentation(**listed(model["augment"]) | {"noise_sigma": (1.0, 6.0)}) == tracks.AUGMENT
    assert model["augment"]["noise_sigma"] == [1.0, 6.0]
    assert list(tracks.FILTERS) == list(data["filters"])
    for name, rule in data["filters"].items():
        assert type(tracks.FILTERS[name]).__name__ == rule["class_path"]
        assert listed(rule["init_args"]).items() <= listed(vars(tracks.FILTERS[name])).items()


def test_too_little_time(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--minutes 2"):
        TrackPlan("fog", minutes=2)
    assert main(["demo", "--task", "tracks", "--minutes", "2", "--out", str(tmp_path / "new")]) == 2
    assert "--minutes 2" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
