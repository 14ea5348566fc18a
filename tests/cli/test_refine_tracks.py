from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.cli.main import main
from refine_motion.models.load import load_model
from refine_motion.models.registry import build_model
from refine_motion.models.weights import save_weights
from refine_motion.refine.clip_augment import ClipAugmentation
from refine_motion.refine.clip_draw import draw

CONFIGS = Path(__file__).parents[2] / "configs" / "refine"


def parsed(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, Any]:
    configs = [word for name in names for word in ("--config", str(CONFIGS / name))]
    with pytest.raises(SystemExit) as stop:
        main(["fit", *configs, "--data.videos", "clips", "--print_config"])
    assert stop.value.code == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


def test_the_paper_and_ours_differ_in_configuration_alone(capsys: pytest.CaptureFixture[str]) -> None:
    ours, paper = parsed(capsys, "tracks.yaml"), parsed(capsys, "tracks_paper.yaml")
    assert ours["task"] == paper["task"] == "tracks"
    assert paper["label"]["views"] == ["1x"]
    assert paper["label"]["follow_hidden"]
    assert paper["trainer"]["accumulate_grad_batches"] == 8
    assert paper["model"]["learning_rate"] == 1e-5
    names = {n: f["class_path"].split(".")[-1] for n, f in paper["data"]["filters"].items()}
    assert names == {"cycle": "AllFrames", "speed": "MinTrackSpeed"}
    assert not [v for name, v in paper["model"]["augment"].items() if name.endswith("_probability") and v]
    assert ours["model"]["freeze_visibility"]
    assert ours["model"]["gamma"] == paper["model"]["gamma"] == 0.8


def test_heads_in_a_crowd_change_the_published_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    horses, crowd = parsed(capsys, "tracks_paper.yaml"), parsed(capsys, "tracks_paper.yaml", "crohd_paper.yaml")
    cycle = crowd["data"]["filters"]["cycle"]["init_args"]
    assert (cycle["pixels"], cycle["at"]) == (1.5, [768, 1280]) == (1.5, crowd["label"]["size"])
    assert crowd["data"]["frame_steps"] == [3]
    # As a resize: always the same scale, and nothing turned or stretched.
    augment = crowd["model"]["augment"]
    assert draw(ClipAugmentation(**augment), 5, (768, 1280)).view.scale == pytest.approx((2 / 3, 2 / 3), abs=1e-3)
    assert draw(ClipAugmentation(**augment), 5, (768, 1280)).view.size == [512, 852]
    for part in ("learning_rate", "iters", "gamma"):
        assert crowd["model"][part] == horses["model"][part]


def test_another_task_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--task", "masks"]) == 2
    assert "task 'masks': it is one of flow, tracks, corrflow" in capsys.readouterr().err


def test_settings_of_flow_are_none_of_tracks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", str(CONFIGS / "tracks_cpu.yaml"), "--data.crop_candidates", "3"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "crop_candidates" in line


def test_fit_refines_tracks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = save_weights(build_model("pips_small"), tmp_path / "pips.safetensors")
    write_clip(tmp_path, 3, 16, (64, 96), pairs=0)
    options = {
        "data.videos": tmp_path / "videos",
        "data.num_workers": 0,
        "data.backward": "false",
        "data.filters.cycle.pixels": 500,
        "model.weights": weights,
        "model.linked": "null",
        "model.iters": 1,
        "model.augment.crop": "[64,64]",
        "label.views": "[1x]",
        "label.iters": 1,
        "label.seeds": 16,
        "label.dense": 0,
        "label.ceiling": 1000,
        "selection.enabled": "false",
        "trainer.max_steps": 1,
        "workdir": tmp_path / "run",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    assert main(["fit", "--config", str(CONFIGS / "tracks_cpu.yaml"), *words]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["steps"] == 1
    assert load_model(None, tmp_path / "run" / result["weights"]["refined"]).name == "pips_small"


def test_points_of_ones_own_are_of_one_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model for each video would take the same points in all of them."""
    (tmp_path / "points.csv").write_text("frame,x,y\n0,20,20\n")
    words = ["--data.videos", str(tmp_path), "--data.own_points", str(tmp_path / "points.csv")]
    words += ["--model.weights", "embedded_pips", "--model.linked", "null", "--label.views", "[1x]"]
    words += ["--refine.unit", "video", "--workdir", str(tmp_path / "run")]
    assert main(["fit", "--config", str(CONFIGS / "tracks_cpu.yaml"), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "data.own_points are of one video: leave refine.unit at folder" in line
