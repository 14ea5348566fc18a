"""``make real``: the main job with the real RAFT-small on real videos, judged by ground truth that it never sees.

Two models are refined with the paper's settings (its filters, jitter on every sample, learning rate 1e-4), scaled down
to two CPU cores (150 steps of two crops, 8 iterations): one on the frames of the two test scenes themselves, as the
paper does per scene, and one on the seven videos and two frame folders of the shared material.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = 150

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(600)]


def run(*args: object) -> None:
    subprocess.run([sys.executable, "-m", "refine_motion", *map(str, args)], cwd=ROOT, check=True)


def refine(videos: Path, weights: Path, out: Path, max_pairs: int) -> Path:
    run(
        *("fit", "--config", ROOT / "configs" / "refine" / "flow_paper_cpu.yaml", "--data.videos", videos),
        *("--model.weights", weights, "--workdir", out, "--label.iters", 32, "--data.max_pairs", max_pairs),
        *("--trainer.max_steps", STEPS, "--trainer.val_check_interval", STEPS),
        *("--seed_everything", os.environ.get("REFINE_MOTION_SEED", "0")),
    )
    return out / "refined.safetensors"


def evaluate(after: Path, before: Path, pairs: Path, iters: int, table: Path) -> dict[str, dict[str, str]]:
    run(
        *("evaluate", "flow", "--weights", after, "--against", before),
        *("--pairs", pairs, "--iters", iters, "--csv", table),
    )
    with table.open() as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def weights(real_data: Path) -> Path:
    return real_data / "weights" / "raft-small.pth"


@pytest.mark.parametrize("source", ["the two scenes themselves", "seven videos and two frame folders"])
def test_refine_real_raft_small(real_data: Path, weights: Path, tmp_path: Path, source: str) -> None:
    scenes = [real_data / "flow" / name for name in ("rubberwhale", "grove2")]
    others = [*sorted((real_data / "videos").iterdir()), *sorted((real_data / "davis").glob("*/frames"))]
    listed = scenes if source.startswith("the two") else others
    (tmp_path / "videos.txt").write_text("\n".join(map(str, listed)))
    print(f"\n=== refined on {source}")
    refined = refine(tmp_path / "videos.txt", weights, tmp_path / "run", max_pairs=60)
    # More iterations are the labels' own advantage over 12, so a gain that is left at 32 is of another kind.
    evaluate(refined, weights, real_data / "flow", 32, tmp_path / "table_32.csv")
    rows = evaluate(refined, weights, real_data / "flow", 12, tmp_path / "table_12.csv")
    for name, known in (("rubberwhale", 0.320), ("grove2", 0.355)):
        assert float(rows[name]["epe_against"]) == pytest.approx(known, abs=0.002)
        # The paper's recipe is not expected to help here; but it must not break the model either.
        assert float(rows[name]["epe"]) < 1.25 * known
        assert rows[name]["epe"] != rows[name]["epe_against"]
