"""Killed at random moments and run again: nothing is made twice, no half file stays, the end is the same."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from refine_motion.benchmarks.synthetic.clip import write_clip
from refine_motion.models.weights import read_weights

pytestmark = pytest.mark.slow

CPU = Path(__file__).parents[2] / "configs" / "refine" / "flow_paper_cpu.yaml"
KILLS = 10


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("long"), seed=1, frames=81, size=(128, 160), max_speed=4.0, pairs=1)


def command(name: str, video: Path, weights: Path, folder: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "refine_motion", name, "--config", str(CPU), "--workdir", str(folder),
        "--data.videos", str(video), "--model.weights", str(weights), "--data.filters", "{}",
        "--label.ceiling", "10000", "--label.threads_per_process", "1", "--data.crop", "[64, 64]",
        "--data.max_pairs", "null", "--model.iters", "2", "--model.ema", "0.9", *more,
    ]  # fmt: skip


def run(args: Sequence[str], kill_after: float | None = None) -> tuple[bool, str, float]:
    """Whether it came to its end, what it said, and the seconds it took."""
    start = time.monotonic()
    process = subprocess.Popen(
        args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        out, _ = process.communicate(timeout=kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, "", time.monotonic() - start
    assert process.returncode == 0, out
    return True, out, time.monotonic() - start


def store(folder: Path) -> dict[str, bytes]:
    root = folder / "labels"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.glob("*/??/*"))}


@pytest.mark.timeout(1200)
def test_labelling_killed_ten_times(video: Path, untrained: Path, tmp_path: Path) -> None:
    moments = random.Random(0)
    _, _, seconds = run(command("label", video, untrained, tmp_path / "whole"))
    expected = store(tmp_path / "whole")
    assert len(expected) == 80
    args = command("label", video, untrained, tmp_path / "cut")
    stamps: dict[str, int] = {}
    kills = []
    while len(kills) < KILLS:
        moment = moments.uniform(0.2, 1.0) * seconds
        finished, _, _ = run(args, kill_after=moment)
        if finished:
            # Too late: a few labels are taken away, and it is tried again.
            for path in sorted((tmp_path / "cut" / "labels").glob("*/??/*.safetensors"))[::2]:
                stamps.pop(str(path), None)
                path.unlink()
            continue
        found = list((tmp_path / "cut" / "labels").glob("*/??/*.safetensors"))
        kills.append((round(moment, 1), len(found)))
        for path in found:
            # What was there before has not been made again.
            assert stamps.setdefault(str(path), path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    print("killed after (seconds, labels that were there):", kills)
    finished, out, _ = run(args)
    assert finished
    told = re.search(r"labelling (\d+) of 80 pairs|all 80 pairs are labelled already", out)
    assert told is not None
    assert int(told[1] or 0) == 80 - kills[-1][1]
    found = store(tmp_path / "cut")
    assert {name for name in found if name.endswith(".safetensors")} == expected.keys()
    assert found == expected, "a half file stayed, or a label differs"


@pytest.mark.timeout(1200)
def test_training_killed_once(video: Path, untrained: Path, tmp_path: Path) -> None:
    more = (
        "--trainer.max_steps", "60", "--trainer.val_check_interval", "25", "--data.num_workers", "1",
        "--trainer.callbacks.init_args.every_n_train_steps", "7",
    )  # fmt: skip
    labelled = command("label", video, untrained, tmp_path / "cut", *more)
    run(labelled)
    labels = ("--data.labels", str(tmp_path / "cut" / "labels"), "--data.cache", str(tmp_path / "cut" / "index"))
    args = command("fit", video, untrained, tmp_path / "cut", *more)
    checkpoint = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not checkpoint.is_file():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(random.Random(1).uniform(0.5, 3))
    assert process.poll() is None, "it came to its end before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    step = torch.load(checkpoint, weights_only=True)["global_step"]
    assert 7 <= step < 60
    _, out, _ = run(args)
    assert "going on from" in out
    print(f"killed after the checkpoint of step {step}")
    run(command("fit", video, untrained, tmp_path / "whole", *more, *labels))
    for name in ("refined", "student", "ema"):
        found = read_weights(tmp_path / "cut" / f"{name}.safetensors")
        for key, value in read_weights(tmp_path / "whole" / f"{name}.safetensors").items():
            torch.testing.assert_close(found[key], value, atol=1e-5, rtol=0)
