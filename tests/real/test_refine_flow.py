"""``make real``: the main job with the real RAFT-small on real videos, judged by ground truth that it never sees.

The preset ``configs/refine/flow.yaml`` as it is, on two CPU cores: one model for the frames of the two test scenes, one
model for each of them, and one for the seven videos and two frame folders of the shared material, which the test scenes
are no part of.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KNOWN = {"rubberwhale": 0.320, "grove2": 0.355}

pytestmark = [pytest.mark.real_run, pytest.mark.timeout(7200)]


def run(*args: object) -> None:
    subprocess.run([sys.executable, "-m", "refine_motion", *map(str, args)], cwd=ROOT, check=True)


def refine(videos: Path, weights: Path, out: Path, *options: object) -> None:
    run(
        *("fit", "--config", ROOT / "configs" / "refine" / "flow.yaml", "--data.videos", videos),
        *("--model.weights", weights, "--workdir", out, "--trainer.accelerator", "cpu"),
        *("--seed_everything", os.environ.get("REFINE_MOTION_SEED", "0"), *options),
    )


def changes(after: Path, before: Path, pairs: Path, table: Path) -> dict[str, float]:
    """Error after over error before of each scene, in one look of 12 iterations."""
    run("evaluate", "flow", "--weights", after, "--against", before, "--pairs", pairs, "--iters", 12, "--csv", table)
    with table.open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    for name, known in KNOWN.items():
        assert float(rows[name]["epe_against"]) == pytest.approx(known, abs=0.002)
    return {name: float(rows[name]["epe"]) / float(rows[name]["epe_against"]) for name in KNOWN}


@pytest.fixture(scope="module")
def weights(real_data: Path) -> Path:
    return real_data / "weights" / "raft-small.pth"


@pytest.fixture(scope="module")
def scenes(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    listed = tmp_path_factory.mktemp("scenes") / "scenes.txt"
    listed.write_text("\n".join(str(real_data / "flow" / name) for name in KNOWN))
    return listed


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labels of the scenes, made once for both plans."""
    return tmp_path_factory.mktemp("labels")


def test_one_model_for_both_scenes(real_data: Path, weights: Path, scenes: Path, labels: Path, tmp_path: Path) -> None:
    refine(scenes, weights, tmp_path, "--data.labels", labels)
    found = changes(tmp_path / "refined.safetensors", weights, real_data / "flow", tmp_path / "table.csv")
    assert sum(found.values()) / 2 <= 0.88
    assert max(found.values()) <= 1.01


def test_a_model_for_each_scene(real_data: Path, weights: Path, scenes: Path, labels: Path, tmp_path: Path) -> None:
    refine(scenes, weights, tmp_path, "--data.labels", labels, "--refine.unit", "video")
    found = {}
    for name in KNOWN:
        after, table = tmp_path / name / "refined.safetensors", tmp_path / f"{name}.csv"
        found[name] = changes(after, weights, real_data / "flow", table)[name]
    assert sum(found.values()) / 2 <= 0.8
    assert max(found.values()) <= 1.01


def test_other_videos_do_no_harm(real_data: Path, weights: Path, tmp_path: Path) -> None:
    videos = [*sorted((real_data / "videos").iterdir()), *sorted((real_data / "davis").glob("*/frames"))]
    (tmp_path / "videos.txt").write_text("\n".join(map(str, videos)))
    refine(tmp_path / "videos.txt", weights, tmp_path, "--data.max_pairs", 36)
    found = changes(tmp_path / "refined.safetensors", weights, real_data / "flow", tmp_path / "table.csv")
    # None of the scenes was among the videos.
    assert max(found.values()) <= 1.01
