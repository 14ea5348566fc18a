from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from lightning.fabric.utilities import move_data_to_device

from refine_motion.benchmarks.datamodule import FlowBenchmark, FlyingChairs, Kitti2015, Middlebury, Sintel, Spring


@pytest.fixture
def root(tmp_path: Path, picture, truth) -> Path:
    """A pair of each benchmark; their layouts do not get in one another's way."""
    frames = [
        *("other-data/Venus/frame10.png", "other-data/Venus/frame11.png"),
        *("training/image_2/000000_10.png", "training/image_2/000000_11.png"),
        *(f"training/{name}/alley_1/frame_000{i}.png" for name in ("clean", "final") for i in (1, 2)),
        *("data/00002_img1.ppm", "data/00002_img2.ppm"),
        *("train/0001/frame_left/frame_left_0001.png", "train/0001/frame_left/frame_left_0002.png"),
    ]
    for frame in frames:
        picture(tmp_path / frame)
    flows = ("other-gt-flow/Venus/flow10.flo", "training/flow_occ/000000_10.png", "data/00002_flow.flo")
    for flow in (*flows, "training/flow/alley_1/frame_0001.flo"):
        truth(tmp_path / flow)
    (tmp_path / "chairs_split.txt").write_text("1\n2\n")
    (tmp_path / "train/0001/flow_FW_left").mkdir()
    with h5py.File(tmp_path / "train/0001/flow_FW_left/flow_FW_left_0001.flo5", "w") as file:
        file["flow"] = np.zeros((32, 48, 2), np.float32)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "options", "names"),
    [
        (Sintel, {}, ["clean/alley_1/frame_0001", "final/alley_1/frame_0001"]),
        (Sintel, {"passes": "final"}, ["final/alley_1/frame_0001"]),
        (Kitti2015, {}, ["000000"]),
        (FlyingChairs, {}, ["FlyingChairs/00002"]),
        (Spring, {}, ["0001/FW_left/0001"]),
        (Middlebury, {}, ["Venus/flow10"]),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_pairs_one_at_a_time(data: type[FlowBenchmark], options: dict, names: list[str], workers: int, root: Path):
    module = data(str(root), num_workers=workers, **options)
    module.setup("test")
    batches = [move_data_to_device(batch, "cpu") for batch in module.test_dataloader()]
    assert [batch["name"] for batch in batches] == names
    assert batches[0]["image_a"].shape == (3, 16, 24)
    assert batches[0]["flow"].shape[-3:] == (2, 16, 24)
    assert batches[0]["valid"].shape == (16, 24)
    assert batches[0]["matched"] is None
