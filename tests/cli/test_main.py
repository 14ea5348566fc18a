from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from refine_motion.cli.main import LIGHTNING_COMMANDS, OWN_COMMANDS, main
from refine_motion.models.weights import read_weights

CPU = str(Path(__file__).parents[2] / "configs" / "refine" / "flow_paper_cpu.yaml")
SMALL = ["--data.crop", "[64, 64]", "--data.num_workers", "0", "--label.iters", "1", "--model.iters", "1"]


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    """The one line with which a command is refused."""
    assert main([str(a) for a in args]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("refine-motion: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, line in (LIGHTNING_COMMANDS | OWN_COMMANDS).items():
        assert f"  {name}" in out
        assert line in out


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fit" in refused(capsys, "train")


def test_module_and_lightning_command_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "refine_motion", "fit", "--config", CPU, "--data.videos", "x", "--print_config"],
        capture_output=True,
        text=True,
        check=True,
    )
    config = yaml.safe_load(done.stdout)
    assert config["data"]["labels"] == "runs/flow_paper_cpu/labels"


@pytest.mark.parametrize("name", ["flow_paper", "flow_paper_cpu"])
def test_overrides_reach_what_refers_to_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(CPU).with_name(f"{name}.yaml")
    with pytest.raises(SystemExit) as stop:
        main([
            "fit", "--config", str(file), "--data.videos", "clips", "--workdir", "elsewhere", "--seed_everything", "7",
            "--label.iters", "5", "--model.augment.jitter_probability", "0.3", "--print_config",
        ])  # fmt: skip
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["data"]["videos"] == "clips"
    assert config["data"]["labels"] == "elsewhere/labels"
    assert config["trainer"]["default_root_dir"] == "elsewhere"
    assert config["label"]["iters"] == 5
    assert config["seed_everything"] == 7
    assert config["model"]["augment"]["jitter_probability"] == 0.3
    assert {n: f["class_path"].split(".")[-1] for n, f in config["data"]["filters"].items()} == {
        "cycle": "CycleRule",
        "colour": "ColourRule",
    }


BASELINES = sorted(Path(CPU).parent.glob("baselines/*.yaml"))
DAILY = {"self_training", "warp_census"}
BASES = [CPU, str(Path(CPU).with_name("flow.yaml"))]


def parsed(capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    """What ``fit`` would be run with."""
    with pytest.raises(SystemExit) as stop:
        main(["fit", *args, "--data.videos", "clips", "--print_config"])
    assert stop.value.code == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return config


@pytest.mark.parametrize("base", BASES, ids=lambda path: Path(path).stem)
@pytest.mark.parametrize("overlay", BASELINES, ids=lambda path: path.stem)
def test_a_baseline_changes_what_it_names_and_nothing_else(
    overlay: Path, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = parsed(capsys, "--config", base)
    wanted = yaml.safe_load(overlay.read_text())
    objective = wanted.get("model", {}).pop("objective", None)
    for room, settings in wanted.items():
        for key, value in settings.items():
            # Rules are named by the user: none means none, and not those of the file below.
            merged = isinstance(value, dict) and key != "filters"
            expected[room][key] = expected[room][key] | value if merged else value
    found = parsed(capsys, "--config", base, "--config", str(overlay))
    chosen = found["model"].pop("objective")
    start = expected["model"].pop("objective")
    assert found == expected
    if objective is None:
        assert chosen == start
    else:
        assert chosen["class_path"].endswith("." + objective["class_path"])
        assert objective.get("init_args", {}).items() <= chosen.get("init_args", {}).items()


def test_the_objective_is_chosen_by_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    leaking = str(Path(CPU).parent / "baselines" / "leaking_mask.yaml")
    by_name = parsed(capsys, "--config", CPU, "--model.objective", "PseudoLabels", "--model.objective.leaking", "true")
    assert by_name["model"]["objective"] == parsed(capsys, "--config", CPU, "--config", leaking)["model"]["objective"]
    other = parsed(capsys, "--config", CPU, "--config", leaking, "--model.objective", "WarpLoss")["model"]["objective"]
    assert other["init_args"] == {"photometric": "l1", "smoothness": 0.05, "occlusion": True}
    where = ["--config", CPU, "--data.videos", tmp_path]
    assert "SomeLoss" in refused(capsys, "fit", *where, "--model.objective", "SomeLoss")
    assert "photometric" in refused(
        capsys, "fit", *where, "--model.objective", "WarpLoss", "--model.objective.photometric", "ssim"
    )


@pytest.mark.parametrize(
    "overlay",
    # Every one is parsed by other tests; what only some have is trained every day.
    [pytest.param(p, marks=[] if p.stem in DAILY else pytest.mark.slow, id=p.stem) for p in BASELINES],
)
def test_baselines_are_trained_and_judged_like_anything_else(
    overlay: Path, clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # No rule holds of an untrained network's flow, and self-training has none.
    labels = [] if overlay.stem == "self_training" else ["--label.ceiling", "1e6", "--data.filters", "{}"]
    args = [
        "fit", "--config", CPU, "--config", str(overlay), "--data.videos", str(clip_folder / "videos"),
        "--model.weights", str(untrained), "--workdir", str(tmp_path), *labels, *SMALL,
        "--trainer.max_steps", "1", "--trainer.val_check_interval", "1",
    ]  # fmt: skip
    assert main(args) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(("kept", "improved"))


def test_label_then_fit(clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = [
        "--config", CPU, "--data.videos", str(clip_folder / "videos"), "--model.weights", str(untrained),
        "--workdir", str(tmp_path), "--data.filters", "{}", "--label.ceiling", "10000", *SMALL,
    ]  # fmt: skip
    assert main(["label", *common]) == 0
    assert "bytes a stored pixel" in capsys.readouterr().out
    fit = ["--trainer.max_steps", "2", "--trainer.val_check_interval", "2", "--trainer.enable_progress_bar", "false"]
    assert main(["fit", *common, *fit]) == 0
    out = capsys.readouterr().out
    assert "labelled already" in out
    assert "refined.safetensors" in out
    assert out.splitlines()[-1].startswith("kept: the original weights (")
    before, after = read_weights(untrained), read_weights(tmp_path / "student.safetensors")
    assert before.keys() == after.keys()
    assert (tmp_path / "label.yaml").is_file()
    assert yaml.safe_load((tmp_path / "fit.yaml").read_text())["trainer"]["max_steps"] == 2


def test_rules_are_named_in_a_file_and_applied_in_its_order(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = {
        "cycle": {"class_path": "AdaptiveCycle", "init_args": {"quota": 0.9, "ceiling": 10000.0, "by": "relative"}},
        "soft": {"class_path": "SoftWeight", "init_args": {"tau": 5000.0}},
        "colour": {"class_path": "ColourRule", "init_args": {"max_error": 100.0}},
        "again": {"class_path": "Densify", "init_args": {"step": 4}},
        "speed": {"class_path": "Balance", "init_args": {"by": "speed", "power": 0.5}},
        "motion": {"class_path": "MotionBalance", "init_args": {"share": 0.4}},
    }
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"data": {"filters": rules, "crop_candidates": 4}}, sort_keys=False))
    args = [
        "fit", "--config", CPU, "--config", str(file), "--data.videos", str(clip_folder / "videos"),
        "--model.weights", str(untrained), "--workdir", str(tmp_path / "run"), "--label.ceiling", "10000", *SMALL,
        "--data.filters.motion.share", "0.3", "--trainer.max_steps", "1", "--trainer.val_check_interval", "1",
        "--trainer.enable_progress_bar", "false", "--selection.enabled", "false",
    ]  # fmt: skip
    assert main(args) == 0
    out = capsys.readouterr().out
    places = [out.index(rule["class_path"]) for rule in rules.values()]  # type: ignore[arg-type]
    assert places == sorted(places)
    kept = yaml.safe_load((tmp_path / "run" / "fit.yaml").read_text())["data"]["filters"]
    assert list(kept) == list(rules)
    assert kept["motion"]["init_args"]["share"] == 0.3


def test_interrupted_run_goes_on_and_a_checkpoint_is_validated(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    callbacks = yaml.safe_load(Path(CPU).read_text())["trainer"]["callbacks"]
    callbacks[0]["init_args"]["every_n_train_steps"] = 4
    (tmp_path / "often.yaml").write_text(yaml.safe_dump({"trainer": {"callbacks": callbacks}}))
    common = [
        "--config", CPU, "--config", str(tmp_path / "often.yaml"), "--data.videos", str(clip_folder / "videos"),
        "--model.weights", str(untrained), "--workdir", str(tmp_path), "--data.filters", "{}",
        "--label.ceiling", "10000", *SMALL,
    ]  # fmt: skip
    often = ["--trainer.val_check_interval", "4", "--data.holdout", "0.4", "--selection.enabled", "false"]
    fit = ["fit", *common, *often]
    last = tmp_path / "checkpoints" / "last.ckpt"
    assert main([*fit, "--trainer.max_steps", "4"]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 4
    assert main([*fit, "--trainer.max_steps", "8", "--ckpt_path", str(last)]) == 0
    assert torch.load(last, weights_only=True)["global_step"] == 8
    assert [p.name for p in last.parent.glob("last*")] == ["last.ckpt"]
    capsys.readouterr()
    assert main(["validate", *common, "--data.holdout", "0.4", "--ckpt_path", str(last)]) == 0
    assert "val/cycle_error" in capsys.readouterr().out
    line = refused(capsys, "validate", *common, "--ckpt_path", tmp_path / "refined.safetensors")
    assert "--model.weights" in line
    assert "absent.ckpt" in refused(capsys, *fit, "--ckpt_path", tmp_path / "absent.ckpt")


def test_nothing_held_out(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    args = [
        "fit", "--config", CPU, "--data.videos", str(clip_folder / "videos"), "--model.weights", str(untrained),
        "--workdir", str(tmp_path), "--data.filters", "{}", "--label.ceiling", "10000", *SMALL,
        "--data.holdout", "0", "--trainer.max_steps", "1", "--trainer.val_check_interval", "1",
    ]  # fmt: skip
    assert main(args) == 0
    assert (tmp_path / "refined.safetensors").is_file()


def test_demo_leaves_other_peoples_folders_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "mine.mp4").write_text("x")
    assert "--out" in refused(capsys, "demo", "--out", tmp_path)
    assert (tmp_path / "clip" / "mine.mp4").is_file()


def test_bad_input_is_refused_in_one_line(
    clip_folder: Path, untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(*more: object, videos: object = clip_folder / "videos", weights: object = untrained) -> str:
        return refused(
            capsys, "fit", "--config", CPU, "--data.videos", videos, "--model.weights", weights,
            "--workdir", tmp_path / "run", *SMALL, *more,
        )  # fmt: skip

    (tmp_path / "empty").mkdir()
    assert "empty" in fit(videos=tmp_path / "empty")
    assert "absent" in fit(videos=tmp_path / "absent")
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    assert "broken.mp4" in fit(videos=tmp_path / "broken.mp4")
    assert "raft_small" in fit("--model.network", "raft_large")
    assert "absent.pth" in fit(weights=tmp_path / "absent.pth")
    assert "raft_large_C_T_V1" in fit(weights="raft_large")
    (tmp_path / "text.ckpt").write_text("hello")
    assert "text.ckpt: not a checkpoint that opens safely" in fit("--ckpt_path", tmp_path / "text.ckpt")
    assert "bf16-true" in fit("--trainer.precision", "bf16-true")
    assert "16-true" in fit("--trainer.precision", "16-true")
    assert "alpha" in fit("--data.filters.cycle.alpha", "-1")
    assert "ceiling" in fit("--data.filters.cycle.beta", "9")
    assert "label.iters" in fit("--label.iters", "0")
    assert "crop" in fit("--data.crop", "[10, 10]")
    assert "hue" in fit("--model.augment.hue", "2")
    if not torch.cuda.is_available():
        assert "gpu" in fit("--trainer.accelerator", "gpu")
    (tmp_path / "file").write_text("x")
    assert "file" in fit("--workdir", tmp_path / "file" / "below")


def test_pairs_without_truth_are_refused(
    clip_folder: Path, untrained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(capsys, "evaluate", "flow", "--weights", untrained, "--pairs", clip_folder / "videos")
    assert "videos" in line


def test_evaluate_prints_a_table(clip_folder: Path, untrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["evaluate", "flow", "--weights", untrained, "--pairs", clip_folder / "truth", "--iters", 1]
    assert main([str(a) for a in args]) == 0
    assert "source_0003" in capsys.readouterr().out
