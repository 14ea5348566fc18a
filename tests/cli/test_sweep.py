from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from refine_motion.cli.main import main
from refine_motion.labels.select import CycleRule
from refine_motion.sweeps.file import read_sweep
from refine_motion.sweeps.parameters import Range

ROOT = Path(__file__).parents[2]
FILE = ROOT / "configs" / "sweeps" / "cycle_threshold.yaml"


def test_only_how_the_store_is_read_is_swept_and_within_what_is_stored() -> None:
    sweep = read_sweep(FILE)
    assert sweep.metric == "val/cycle_error"
    assert set(sweep.parameters) == {"data.filters.cycle.alpha", "data.filters.cycle.beta"}
    loosest = [parameter.high for parameter in sweep.parameters.values() if isinstance(parameter, Range)]
    assert CycleRule(*loosest).looseness == 4.0


@pytest.mark.slow
def test_trials_share_one_store_and_label_nothing(
    clip_folder: Path,
    untrained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WANDB_MODE", "offline")
    # Untrained weights seldom agree with themselves, so everything is stored and the rule is far looser.
    content = yaml.safe_load(FILE.read_text())
    for bounds in content["parameters"].values():
        bounds |= {"min": 1.0, "max": 10.0}
    file = tmp_path / "wide.yaml"
    file.write_text(yaml.safe_dump(content))
    data = [
        "--data.videos", str(clip_folder / "videos"), "--model.weights", str(untrained), "--label.ceiling", "100000",
        "--label.iters", "1", "--data.labels", str(tmp_path / "labels"), "--data.cache", str(tmp_path / "index"),
        "--data.num_workers", "0",
    ]  # fmt: skip
    label = ["label", "--config", "configs/refine/flow_paper_cpu.yaml", "--data.filters", "{}"]
    assert main([*label, "--workdir", str(tmp_path / "first"), *data]) == 0
    stored = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "labels").rglob("*.safetensors")}
    assert len(stored) == 8

    out = tmp_path / "out"
    fit = [
        "--data.filters.colour.max_error", "300", "--data.holdout", "0.4", "--data.crop", "[64, 64]",
        "--model.iters", "1", "--trainer.max_steps", "2", "--trainer.val_check_interval", "2",
    ]  # fmt: skip
    assert main(["sweep", str(file), "--trials", "2", "--out", str(out), "--", *data, *fit]) == 0
    assert "best: " in capsys.readouterr().out
    assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "labels").rglob("*.safetensors")} == stored
    trials = json.loads((out / "trials.json").read_text())["trials"]
    assert len(trials) == 2
    for trial in trials:
        folder = out / f"trial_{trial['number']:03d}"
        assert "all 8 pairs are labelled already" in (folder / "log.txt").read_text()
        assert (folder / "refined.safetensors").is_file()
        rule = yaml.safe_load((folder / "fit.yaml").read_text())["data"]["filters"]["cycle"]["init_args"]
        assert rule == {name.rpartition(".")[2]: value for name, value in trial["parameters"].items()}
        assert len(list(folder.glob("wandb/offline-run-*/files/fit.yaml"))) == 1
