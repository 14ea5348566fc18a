from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from refine_motion.cli.main import main
from refine_motion.models.load import load_model

CPU = str(Path(__file__).parents[2] / "configs" / "pretrain" / "raft_small.yaml")
STAGES = "[{start: 0, size: [64, 64], batch_size: 2, max_speed: 6.0, iters: 1}]"


def command(folder: Path, *more: str) -> list[str]:
    return [
        "pretrain", "--config", CPU, "--workdir", str(folder), "--data.stages", STAGES, "--data.held_out", "1",
        "--data.num_workers", "0", "--model.iters", "1", "--trainer.max_steps", "4",
        "--trainer.val_check_interval", "2", "--checkpoint.every", "2", "--card.per_domain", "1",
        "--card.size", "[64, 64]", "--card.iters", "1", "--data.domain", "particles", *more,
    ]  # fmt: skip


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """The one line with which a command is refused."""
    assert main(list(args)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("refine-motion: ")
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


def test_a_training_in_two_pieces_then_only_its_card(
    tmp_path: Path, clip_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(tmp_path, "--trainer.max_time", '{"milliseconds": 1}')) == 0
    assert "stopped at step 1 of 4: the same command goes on" in capsys.readouterr().out
    assert not (tmp_path / "raft_small.safetensors").exists()
    assert main(command(tmp_path)) == 0
    out = capsys.readouterr().out
    assert f"going on from {tmp_path / 'checkpoints' / 'step_0000001.ckpt'}" in out
    weights = tmp_path / "raft_small.safetensors"
    assert f"weights: {weights}" in out
    assert load_model("raft_small", weights).name == "raft_small"
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert f"    refine-motion pretrain --config {CPU} --workdir {tmp_path}" in card
    config = yaml.safe_load((tmp_path / "pretrain.yaml").read_text())
    assert config["data"]["stages"][0]["size"] == [64, 64]
    assert (config["seed_everything"], config["workdir"]) == (0, str(tmp_path))
    rows = [path.read_text() for path in sorted((tmp_path / "logs").rglob("metrics.csv"))]
    assert "val/epe" in rows[-1]
    assert "val/ratio" in rows[-1]

    before = weights.stat().st_mtime_ns
    assert main(command(tmp_path, "--card.pairs", str(clip_folder / "truth"))) == 0
    assert "finished already" in capsys.readouterr().out
    assert weights.stat().st_mtime_ns == before
    assert "(real)" in (tmp_path / "MODEL_CARD.md").read_text()
    assert json.loads((tmp_path / "metrics.json").read_text())["real"]

    assert "other settings" in refused(capsys, *command(tmp_path, "--seed_everything", "3"))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--data.stages", "[]"], "`start` must rise from 0"),
        (["--data.stages", STAGES.replace("[64, 64]", "[64, 32]")], "size must be at least 64"),
        (["--data.stages", STAGES.replace("iters", "turns")], "turns"),
        (["--data.held_out", "0"], "held_out"),
        (["--data.domain", "mars"], "no synthetic domain is called 'mars'"),
        (["--model.network", "raft_huge"], "known models: corrflow, corrflow_small, pips, pips_small"),
        (["--model.learning_rate", "-1"], "learning_rate"),
        (["--trainer.max_steps", "-1"], "trainer.max_steps must be set"),
        (["--trainer.precision", "bf16-true"], "trainer.precision"),
        (["--trainer.accumulate_grad_batches", "2"], "accumulate_grad_batches must be 1"),
        (["--checkpoint.every", "0"], "checkpoint.every"),
        (["--card.per_domain", "0"], "card: numbers must be positive"),
        (["--data.batch_size", "4"], "refine-motion pretrain --help"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str) -> None:
    assert told in refused(capsys, *command(tmp_path, *more))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("name", ["raft_small", "raft_small_gpu"])
def test_the_configurations_are_whole(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["pretrain", "--config", str(Path(CPU).with_name(f"{name}.yaml")), "--workdir", "x", "--print_config"])
    assert stop.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["trainer"]["default_root_dir"] == config["trainer"]["logger"]["init_args"]["save_dir"] == "x"
    assert config["trainer"]["gradient_clip_val"] == 1.0
    assert config["data"]["stages"][-1]["start"] < config["trainer"]["max_steps"]


@pytest.mark.slow
def test_two_processes_share_the_stream(tmp_path: Path) -> None:
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.held_out", "3"]
    for more in (["--trainer.max_time", '{"milliseconds": 1}'], []):
        line = [sys.executable, "-m", "refine_motion", *command(tmp_path, *two, *more)]
        subprocess.run(line, check=True, timeout=200, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found = json.loads((tmp_path / "metrics.json").read_text())
    # Four steps of two samples in each process.
    assert found["facts"]["samples"] == 16
    assert found["facts"]["settings"]["processes"] == 2
    assert found["domains"]["source"]["pairs"] == 1
    assert (tmp_path / "MODEL_CARD.md").is_file()
