from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from refine_motion.cli.main import main
from refine_motion.refine.run import RESULT

CONFIGS = Path(__file__).parents[2] / "configs" / "refine"


def test_a_run_holds_its_configuration_tables_pictures_and_means(
    clip_folder: Path, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    import wandb

    finish = wandb.Run.finish

    def note_and_finish(run: wandb.Run) -> None:
        closed.append((Path(run.dir), dict(run.summary), dict(run.config)))
        finish(run)

    monkeypatch.setattr(wandb.Run, "finish", note_and_finish)
    args = [
        "fit", "--config", CONFIGS / "flow_paper_cpu.yaml", "--config", CONFIGS / "wandb.yaml",
        "--data.videos", clip_folder / "videos", "--model.weights", untrained, "--workdir", tmp_path / "run",
        "--data.filters", "{}", "--label.ceiling", "10000", "--label.iters", "1", "--model.iters", "1",
        "--data.crop", "[64, 64]", "--data.num_workers", "0", "--data.holdout", "0.4",
        "--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.log_every_n_steps", "1",
        "--selection.enabled", "false",
    ]  # fmt: skip
    assert main([str(a) for a in args]) == 0
    ((folder, summary, config),) = closed
    assert wandb.run is None

    assert folder.is_relative_to(tmp_path / "run")
    assert yaml.safe_load((folder / "fit.yaml").read_text())["trainer"]["max_steps"] == 2
    assert config["trainer"]["max_steps"] == 2
    for name in ("labels/videos", "held_out/means"):
        (table,) = folder.rglob(f"{name}_*.table.json")
        assert json.loads(table.read_text())["data"]
    assert 1 <= len(list(folder.rglob("held_out/pairs_*.png"))) <= 4

    result = json.loads((tmp_path / "run" / RESULT).read_text())
    for name, value in result["held_out"].items():
        assert summary[name] == pytest.approx(value)
    assert {"train/loss", "val/cycle_error", "labels/kept_share", "labels/videos", "held_out/pairs"} <= summary.keys()
    assert result["labels"]["kept_share"] == summary["labels/kept_share"]
    assert (tmp_path / "run" / result["weights"]["refined"]).is_file()
