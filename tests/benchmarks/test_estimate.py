from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from refine_motion.benchmarks.estimate import estimate_flow
from refine_motion.benchmarks.pairs import find_pairs, read_pair
from refine_motion.models.load import load_model


class Columns:
    """Says of each pixel its value in the first frame, as x and y: what comes back must be the frame."""

    stride = 8

    def __init__(self) -> None:
        self.seen = torch.empty(0)

    def flow(self, a: torch.Tensor, b: torch.Tensor, iters: int = 12) -> torch.Tensor:
        self.seen = a
        return a[:, :2].float()


def frame(height: int, width: int) -> torch.Tensor:
    return torch.arange(3 * height * width).remainder(251).view(3, height, width).to(torch.uint8)


def test_padding_and_its_undoing_for_every_size():
    model = Columns()
    for height in range(1, 41):
        for width in range(1, 41):
            picture = frame(height, width)
            flow = estimate_flow(model, picture, picture, 1, "kitti")
            assert torch.equal(flow, picture[:2].float())
            assert model.seen.shape[-2] % 8 == model.seen.shape[-1] % 8 == 0


def test_amounts_are_those_of_the_official_padder(reference: Path):
    rows = np.load(reference / "file_formats.npz")["input_padder_h_w_mode_l_r_t_b"]
    model = Columns()
    for height, width, _, left, right, top, bottom in (row for row in rows.tolist() if row[2] == 1):
        picture = frame(height, width)
        estimate_flow(model, picture, picture, 1, "kitti")
        padded = torch.nn.functional.pad(picture[None].float(), (left, right, top, bottom), mode="replicate")
        assert torch.equal(model.seen, padded)


def test_without_padding_the_model_gets_the_frames_as_they_are():
    model = Columns()
    estimate_flow(model, frame(9, 11), frame(9, 11), 1)
    assert model.seen.dtype == torch.uint8
    assert model.seen.shape == (1, 3, 9, 11)


def test_sizes_that_need_no_padding_give_the_same_flow_either_way(untrained: Path):
    model = load_model("raft_small", untrained)
    a, b = frame(64, 72), frame(64, 72).roll(3, dims=2)
    assert torch.equal(estimate_flow(model, a, b, 2, "kitti"), estimate_flow(model, a, b, 2))
    # One row more, and the two modes put the missing seven elsewhere.
    a, b = frame(65, 72), frame(65, 72).roll(3, dims=2)
    kitti, even = estimate_flow(model, a, b, 2, "kitti"), estimate_flow(model, a, b, 2)
    assert kitti.shape == even.shape == (2, 65, 72)
    assert not torch.allclose(kitti, even)


@pytest.mark.parametrize("padding", ["even", "kitti"])
def test_real_pair(real_data: Path, padding):
    model = load_model("raft_small", real_data / "weights/raft-small.pth")
    a, b, target, valid = read_pair(find_pairs(real_data / "flow/rubberwhale")[0])
    flow = estimate_flow(model, a, b, 8, padding)
    assert (flow - target).norm(dim=0)[valid].mean().item() == pytest.approx(0.34, abs=0.03)
