from __future__ import annotations

import pytest
import torch

from refine_motion.motion.grid import length, warp
from refine_motion.refine.made_motion import make_pair, speeds_for


def smooth_frame(height: int = 120, width: int = 160) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    waves = [torch.sin(x / 9 + n) * torch.cos(y / (7 + n)) for n in range(3)]
    return (127 + 100 * torch.stack(waves)).byte()


@pytest.mark.parametrize("speed", [4.0, 16.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_the_flow_is_exact_where_it_is_said_to_be_known(speed: float, seed: int) -> None:
    pair = make_pair(smooth_frame(), speed, seed)
    back = warp(pair.image_b.float(), pair.flow)
    error = (back - pair.image_a.float()).abs().amax(dim=1)
    # At the rim of the disc both sides mix in one pixel of either image.
    wrong = error[pair.known] > 2
    assert wrong.float().mean() < 0.03
    assert pair.known.float().mean() > 0.3
    unknown = warp(pair.image_b.float(), 0 * pair.flow)
    assert (unknown - pair.image_a.float()).abs()[pair.known[:, None].expand(-1, 3, -1, -1)].mean() > 5


@pytest.mark.parametrize("seed", range(4))
def test_camera_and_object_move_against_one_another_at_the_speed(seed: int) -> None:
    pair = make_pair(smooth_frame(), 16.0, seed)
    assert pair.object.any()
    moved = length(pair.flow)[pair.object]
    assert (moved - 16.0).abs().max() < 1e-4
    background = pair.flow[0, :, ~pair.object[0] & pair.known[0]].mean(dim=1)
    disc = pair.flow[0, :, pair.object[0]].mean(dim=1)
    assert (disc @ background) < 0
    assert abs(length(pair.flow)[pair.known & ~pair.object].mean() - 16.0) < 6


def test_seeds_differ_and_repeat() -> None:
    one, again, other = (make_pair(smooth_frame(), 8.0, seed) for seed in (1, 1, 2))
    assert torch.equal(one.image_a, again.image_a)
    assert not torch.equal(one.flow, other.flow)


def test_no_speed_moves_most_of_a_frame_out_of_sight() -> None:
    assert speeds_for((480, 640)) == [4.0, 16.0, 40.0]
    assert speeds_for((96, 128)) == [4.0, 16.0, 24.0]
    assert speeds_for((40, 64)) == [4.0, 10.0]
