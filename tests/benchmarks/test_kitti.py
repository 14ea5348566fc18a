from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.benchmarks.flow_pair import FlowSample, read_sample
from refine_motion.benchmarks.kitti import find_kitti
from refine_motion.benchmarks.scores import score_pair, tabulate
from refine_motion.errors import BenchmarkError


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    """Two pairs of different size: 4 px and 10 px of flow, known in 4 of 8 and in 8 of 10 rows, two rows occluded."""
    for number, size, speed, first in (("000000", (10, 8), 4.0, 4), ("000003", (20, 10), 10.0, 2)):
        for time in (10, 11):
            picture(tmp_path / f"training/image_2/{number}_{time}.png", size=size)
        truth(tmp_path / f"training/flow_occ/{number}_10.png", speed, first, size)
        truth(tmp_path / f"training/flow_noc/{number}_10.png", speed, first + 2, size)
    return tmp_path


def test_pairs_and_maps(root: Path):
    pairs = find_kitti(root)
    assert [pair.name for pair in pairs] == ["000000", "000003"]
    assert pairs == find_kitti(root / "training")
    sample = read_sample(pairs[0])
    assert sample["valid"].sum(dim=1).tolist() == [0] * 4 + [10] * 4
    assert sample["matched"].sum(dim=1).tolist() == [0] * 6 + [10] * 2
    assert sample["padding"] == "kitti"


def test_without_the_non_occluded_truth_nothing_is_said_of_it(root: Path):
    for path in (root / "training/flow_noc").iterdir():
        path.unlink()
    with pytest.raises(BenchmarkError, match=r"flow_noc/000000_10\.png: missing"):
        find_kitti(root)
    (root / "training/flow_noc").rmdir()
    assert find_kitti(root)[0].read_matched() is None


def test_epe_is_a_mean_over_images_and_fl_is_pooled(root: Path, constant):
    model = constant(2.0)
    table = tabulate([score_pair(read_sample(pair), model, None, 24) for pair in find_kitti(root)], 24)
    # 2 px off in 40 pixels, 8 px off in 160 pixels, which alone are outliers.
    assert table.pooled.pixels == 200
    assert table.mean.epe == table.pooled.epe_image == 5
    assert table.pooled.epe == pytest.approx((2 * 40 + 8 * 160) / 200)
    assert table.pooled.fl_all == pytest.approx(100 * 160 / 200)
    assert table.mean.fl_all == 50  # not KITTI's
    # Matched: 20 and 120 pixels; the rest of the known ones is occluded.
    assert table.pooled.epe_matched == pytest.approx((2 * 20 + 8 * 120) / 140)
    assert table.pooled.epe_unmatched == pytest.approx((2 * 20 + 8 * 40) / 60)
    assert model.iters == [24, 24]
    assert model.shapes == [(1, 3, 8, 16), (1, 3, 16, 24)]


def test_official_code_on_the_same_arrays(reference: Path):
    data = np.load(reference / "flow_metrics.npz")

    class Recorded:
        """Gives the recorded estimate, padded as the frames are."""

        def __init__(self, flow: torch.Tensor):
            self.given = flow

        def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
            assert a.shape == (1, 3, 40, 56)
            # 50 to 56 columns: 3 on either side; 37 to 40 rows: 3 below.
            return torch.nn.functional.pad(self.given[None], (3, 3, 0, 3), value=1e6)

    scores = []
    for i, (pred, target, valid) in enumerate(zip(data["flow_pred"], data["flow_gt"], data["valid"], strict=True)):
        frame = torch.zeros(3, 37, 50, dtype=torch.uint8)
        sample = FlowSample(
            name=str(i), sequence=str(i), scene=str(i), path="", padding="kitti", image_a=frame, image_b=frame,
            flow=torch.from_numpy(target), valid=torch.from_numpy(valid) >= 0.5, matched=None,
        )  # fmt: skip
        scores.append(score_pair(sample, Recorded(torch.from_numpy(pred)), None, 24))
    table = tabulate(scores, 24)
    assert table.mean.epe == pytest.approx(float(data["kitti_epe_mean_of_image_means"]), rel=1e-5)
    assert table.pooled.epe_image == pytest.approx(float(data["kitti_epe_mean_of_image_means"]), rel=1e-5)
    assert table.pooled.fl_all == pytest.approx(float(data["kitti_fl_all_percent"]), rel=1e-5)
