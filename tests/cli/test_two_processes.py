"""The same command with one process and with two: the same labels, byte for byte, and the same training."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from refine_motion.cli.main import main

CPU = Path(__file__).parents[2] / "configs" / "refine" / "flow_paper_cpu.yaml"


def words(videos: Path, weights: Path, folder: Path, *more: str) -> list[str]:
    return [
        "fit", "--config", str(CPU), "--workdir", str(folder),
        "--data.videos", str(videos), "--model.weights", str(weights), "--data.filters", "{}",
        "--label.ceiling", "10000", "--label.iters", "2", "--label.threads_per_process", "1", "--model.iters", "2",
        "--data.crop", "[64, 64]", "--data.num_workers", "0", "--data.window", "2",
        # Three pairs are held out; of the five others, each epoch takes what fills two steps.
        "--data.holdout", "0.4", "--trainer.limit_train_batches", "2",
        "--trainer.max_steps", "5", "--trainer.val_check_interval", "5", "--trainer.log_every_n_steps", "1",
        "--model.learning_rate", "1e-4", *more,
    ]  # fmt: skip


def in_processes(args: list[str]) -> str:
    # Of another parent, such as a test in the same process, Lightning would take itself for a child.
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    command = [sys.executable, "-m", "refine_motion", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def labels(folder: Path) -> dict[str, bytes]:
    root = folder / "labels"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.glob("*/??/*.safetensors"))}


def losses(folder: Path) -> list[float]:
    (file,) = (folder / "logs").rglob("metrics.csv")
    with file.open() as rows:
        return [float(row["train/loss"]) for row in csv.DictReader(rows) if row["train/loss"]]


def test_two_processes_give_what_one_gives(clip_folder: Path, untrained: Path, tmp_path: Path) -> None:
    videos = clip_folder / "videos"
    assert main(words(videos, untrained, tmp_path / "one", "--data.batch_size", "2")) == 0
    two = ["--data.batch_size", "1", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    out = in_processes(words(videos, untrained, tmp_path / "two", *two))
    assert out.count("Held out from training") == out.count("kept: the original weights") == 1
    one, two = labels(tmp_path / "one"), labels(tmp_path / "two")
    assert len(one) == 8
    assert one == two
    assert len(losses(tmp_path / "one")) == 5
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    # Not weight by weight: Adam makes whole steps of the rounding where a gradient is zero but for it.
    held_out = [json.loads((tmp_path / name / "result.json").read_text())["held_out"] for name in ("one", "two")]
    assert held_out[1] == pytest.approx(held_out[0], rel=1e-2)
    # Three held-out pairs on two processes: none counts twice.
    teacher = [figures["val/teacher_cycle_error"] for figures in held_out]
    assert teacher[1] == pytest.approx(teacher[0], rel=1e-4)
