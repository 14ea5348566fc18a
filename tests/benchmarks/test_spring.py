from __future__ import annotations

import math
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from refine_motion.benchmarks.flow_pair import read_sample
from refine_motion.benchmarks.pairs import find_pairs
from refine_motion.benchmarks.scores import score_pair, tabulate
from refine_motion.benchmarks.spring import find_spring, read_flo5
from refine_motion.errors import BenchmarkError


def write_flo5(path: Path, flow: np.ndarray, key: str = "flow") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset(key, data=flow.astype(np.float32), compression="gzip")


def four_speeds(*speeds: float) -> np.ndarray:
    """Truth of twice 24 x 16 pixels: in every block of two by two upper left, upper right, lower left, lower right."""
    flow = np.zeros((32, 48, 2))
    for k, speed in enumerate(speeds):
        flow[k // 2 :: 2, k % 2 :: 2, 0] = speed
    return flow


@pytest.fixture
def root(tmp_path: Path, picture) -> Path:
    """Scene 0001 with three frames, both directions, the left camera; row 0 unmatched."""
    scene = tmp_path / "train/0001"
    for number in (1, 2, 3):
        picture(scene / f"frame_left/frame_left_{number:04d}.png", grey=number)
    for direction, numbers in (("FW", (1, 2)), ("BW", (2, 3))):
        for number in numbers:
            kind = f"flow_{direction}_left"
            write_flo5(scene / kind / f"{kind}_{number:04d}.flo5", four_speeds(0, 4, 9, 20))
            matchmap = np.zeros((16, 24, 3), np.uint8)
            matchmap[0, :12, 0], matchmap[0, 12:, 1], matchmap[1, :, 2] = 255, 255, 255
            path = scene / f"maps/matchmap_{kind}/matchmap_{kind}_{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(matchmap).save(path)
    return tmp_path


class TestFinding:
    def test_forward_is_to_the_next_frame_and_backward_to_the_previous(self, root: Path):
        found = [(p.name, p.image_a.stem[-1], p.image_b.stem[-1]) for p in find_spring(root)]
        assert found == [
            ("0001/FW_left/0001", "1", "2"),
            ("0001/FW_left/0002", "2", "3"),
            ("0001/BW_left/0002", "2", "1"),
            ("0001/BW_left/0003", "3", "2"),
        ]
        assert {pair.scene for pair in find_spring(root)} == {"0001"}
        assert len(find_spring(root, directions=["FW"], cameras=["left", "right"])) == 2
        assert find_pairs(root)[0].name == "0001/BW_left/0002"

    def test_folder_above(self, root: Path, tmp_path: Path):
        (tmp_path / "spring").mkdir()
        (root / "train").rename(tmp_path / "spring/train")
        assert len(find_spring(tmp_path)) == 4

    def test_incomplete_scenes_are_named(self, root: Path):
        (root / "train/0001/maps/matchmap_flow_FW_left/matchmap_flow_FW_left_0002.png").unlink()
        with pytest.raises(BenchmarkError, match=r"matchmap_flow_FW_left_0002\.png: missing"):
            find_spring(root)
        (root / "train/0001/frame_left/frame_left_0003.png").unlink()
        with pytest.raises(BenchmarkError, match="0001: 2 frames in frame_left and 2 files in flow_FW_left"):
            find_spring(root)


class TestValues:
    def test_a_pixel_has_the_four_vectors_of_its_block(self, root: Path):
        flow, valid = find_spring(root)[0].read_flow()
        assert flow.shape == (4, 2, 16, 24)
        assert flow[:, 0].flatten(1).unique(dim=1)[:, 0].tolist() == [0, 4, 9, 20]
        assert valid.all()

    def test_scores(self, root: Path, constant):
        sample = read_sample(find_spring(root)[0])
        assert sample["matched"].sum(dim=1).tolist() == [0] + [24] * 15  # the blue channel says something else
        table = tabulate([score_pair(sample, constant(14.0), None, 32)], 32)
        # 5 px from the nearest of 0, 4, 9, 20; the mean speed is 8.25.
        assert table.pooled.epe == table.pooled.epe_s0_10 == table.pooled.epe_unmatched == 5
        assert math.isnan(table.pooled.epe_s10_40)
        assert (table.pooled.fl_all, table.pooled.px5_acc) == (100, 0)
        assert table.pooled.wauc == pytest.approx(0.01 / 50.5 * 100)

    def test_nan_in_one_of_four_leaves_the_pixel_out(self, tmp_path: Path):
        values = four_speeds(1, 1, 1, 1)
        values[3, 5, 1] = np.nan
        write_flo5(tmp_path / "a.flo5", values)
        flow, valid = read_flo5(tmp_path / "a.flo5")
        assert valid.sum() == 16 * 24 - 1
        assert not valid[1, 2]
        assert flow.isfinite().all()

    def test_the_server_s_definitions_in_numpy(self, root: Path, constant):
        rng = np.random.default_rng(0)
        truth = rng.normal(0, 30, (32, 48, 2)).astype(np.float32)
        truth[7, 9] = np.nan
        pair = find_spring(root)[0]
        write_flo5(pair.flow, truth)
        row = tabulate([score_pair(read_sample(pair), constant(14.0), None, 32)], 32).pooled

        four = np.stack([truth[y::2, x::2] for y in (0, 1) for x in (0, 1)], axis=2).astype(np.float64)
        error = np.linalg.norm(four - np.array([14.0, 0.0]), axis=-1).min(axis=-1)
        speed = np.linalg.norm(four, axis=-1)
        count = (~np.isnan(error)).sum()
        assert row.pixels == count == 16 * 24 - 1
        assert row.epe == pytest.approx(np.nanmean(error), rel=1e-6)
        assert row.fl_all == pytest.approx(100 * ((error > 3) & (error > 0.05 * speed.max(-1))).sum() / count)
        middle = (speed.mean(-1) >= 10) & (speed.mean(-1) < 40)
        assert row.epe_s10_40 == pytest.approx(np.nanmean(error[middle]), rel=1e-6)
        assert row.epe_unmatched == pytest.approx(np.nanmean(error[0]), rel=1e-6)
        weights = [1 - (i - 1) / 100 for i in range(1, 101)]
        hits = [(error <= i / 20).sum() for i in range(1, 101)]
        assert row.wauc == pytest.approx(100 * np.dot(weights, hits) / (count * sum(weights)), rel=1e-6)


class TestFaults:
    def test_other_files(self, tmp_path: Path):
        (tmp_path / "a.flo5").write_bytes(b"no HDF5")
        with pytest.raises(BenchmarkError, match=r"a\.flo5: cannot be read as a \.flo5"):
            read_flo5(tmp_path / "a.flo5")
        write_flo5(tmp_path / "b.flo5", four_speeds(1, 1, 1, 1), key="disparity")
        with pytest.raises(BenchmarkError, match=r"b\.flo5: cannot be read as a \.flo5"):
            read_flo5(tmp_path / "b.flo5")
        write_flo5(tmp_path / "c.flo5", np.zeros((15, 24, 2)))
        with pytest.raises(BenchmarkError, match=r"c\.flo5: holds \(15, 24, 2\)"):
            read_flo5(tmp_path / "c.flo5")

    def test_what_to_install_is_said(self, root: Path, monkeypatch):
        monkeypatch.setitem(sys.modules, "h5py", None)
        with pytest.raises(BenchmarkError, match=r"needs h5py; install .*refine-motion\[benchmarks\]"):
            read_sample(find_spring(root)[0])
