from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.benchmarks.keypoints.benchmark import KeypointClip
from refine_motion.benchmarks.keypoints.evaluation import ALPHAS, evaluate_keypoints
from refine_motion.benchmarks.keypoints.jhmdb import Jhmdb
from refine_motion.errors import BenchmarkError
from refine_motion.metrics.functional.keypoints import cells_to_pixels


def test_scores_equal_the_official_ones(reference: Path, made) -> None:
    z = np.load(reference / "pck_videowalk.npz")
    clips, found = [], {}
    for number in range(3):
        cells = torch.from_numpy(z[f"pred_cells_{number}"]).permute(2, 1, 0)
        target = torch.from_numpy(z[f"gt_{number}"]).permute(2, 1, 0)
        clip = KeypointClip(str(number), [Path(str(frame)) for frame in range(len(target))], target)
        clips.append(clip)
        found[clip.xy[0, 0, 0].item()] = cells_to_pixels(cells, (40, 40), tuple(z[f"size_hw_{number}"].tolist()))
    benchmark = made(*clips)
    benchmark.joints = Jhmdb.joints
    table = evaluate_keypoints(lambda first, frames: found[first[0, 0].item()], benchmark, progress=False)
    assert tuple(z["alphas"]) == ALPHAS
    assert [row.name for row in table.rows] == list(Jhmdb.joints)
    for alpha, joints, mean in zip(ALPHAS, z["pck_per_joint"], z["pck_mean"], strict=True):
        assert [row.scores[f"pck_{alpha:g}"] for row in table.rows] == pytest.approx(joints.tolist(), abs=1e-9)
        assert table.mean.scores[f"pck_{alpha:g}"] == pytest.approx(mean, abs=1e-9)
    missed = sum(int((xy[1:, :, 0] < 0).sum()) for xy in found.values())
    places = sum(xy[1:, :, 0].numel() for xy in found.values())
    assert missed > 0
    assert table.mean.scores["estimated"] == pytest.approx(1 - missed / places)


def test_rows_mean_and_standing_still(tmp_path: Path, made, clip, table) -> None:
    # The box has a diagonal of 100, so 0.1 allows 6 px: that of the first step, and not of the second.
    clips = [clip("walk/one"), clip("run/two", frames=2)]
    for each in clips:
        table(tmp_path / f"{each.name}.csv", each.xy)
    found = evaluate_keypoints(tmp_path, made(*clips), progress=False)
    assert [row.name for row in found.rows] == ["neck", "belly", "left hip"]
    assert [row.scores["pck_0.1"] for row in found.rows] == [100, 100, 100]
    # 6, 12 and 18 px off in one clip, 6 in the other.
    assert [row.still["pck_0.1"] for row in found.rows] == pytest.approx([50, 50, 50])
    assert found.mean.still["pck_0.2"] == pytest.approx(75)
    assert found.mean.scores["estimated"] == 1


def test_joints_without_an_estimate_take_no_part_and_are_told(tmp_path: Path, made, clip, table) -> None:
    walk = clip()
    xy = walk.xy.clone()
    xy[1:, 1] = -1
    xy[1, 0] += 30
    table(tmp_path / "walk/one.csv", xy)
    found = evaluate_keypoints(tmp_path, made(walk), progress=False)
    assert math.isnan(found.rows[1].scores["pck_0.1"])
    assert found.rows[0].scores["pck_0.1"] == pytest.approx(200 / 3)
    assert found.mean.scores["pck_0.1"] == pytest.approx((200 / 3 + 100) / 2)
    assert [row.scores["estimated"] for row in found.rows] == [1, 0, 1]


def test_what_is_skipped(tmp_path: Path, made, clip, table) -> None:
    table(tmp_path / "walk/one.csv", clip().xy)
    found = evaluate_keypoints(tmp_path, made(clip("walk/short", frames=1), clip()), progress=False)
    assert found.skipped == {"clips of one frame": 1}
    assert found.mean.scores["pck_0.5"] == 100
    for nothing in (made(), made(clip(frames=1))):
        with pytest.raises(BenchmarkError, match="here: no clip of 2 frames or more"):
            evaluate_keypoints(tmp_path, nothing, progress=False)
    with pytest.raises(BenchmarkError, match=r"walk/two\.csv: cannot be read"):
        evaluate_keypoints(tmp_path, made(clip("walk/two")), progress=False)
