from __future__ import annotations

import torch

from refine_motion.motion.boundary import motion_boundary, near_boundary
from refine_motion.motion.grid import pixel_grid


def two_motions(left: float, right: float) -> torch.Tensor:
    """Horizontal motion of a frame of 20x30 that changes between columns 14 and 15."""
    flow = torch.zeros(1, 2, 20, 30)
    flow[:, 0, :, :15], flow[:, 0, :, 15:] = left, right
    return flow


def test_a_boundary_lies_where_two_motions_meet_and_is_near_for_four_pixels() -> None:
    assert motion_boundary(two_motions(0, 1))[0].any(dim=0).nonzero().flatten().tolist() == [14, 15]
    for flow in (two_motions(0, 1), two_motions(0, 1).flip(1)):
        assert near_boundary(flow)[0].all(dim=0).nonzero().flatten().tolist() == list(range(10, 20))
    vertical = near_boundary(two_motions(0, 1).transpose(2, 3), reach=2)[0]
    assert vertical.all(dim=1).nonzero().flatten().tolist() == list(range(12, 18))
    assert vertical.any(dim=1).sum() == 6


def test_the_change_counts_against_the_speed() -> None:
    # Central differences see half the change, 0.6; the rule asks for 0.1 of the speed and a little.
    assert motion_boundary(two_motions(4, 5.2)).any()
    assert not motion_boundary(two_motions(9, 10.2)).any()
    assert not motion_boundary(two_motions(0, 0.08)).any()
    assert motion_boundary(two_motions(0, 0.1)).any()


def test_smooth_motion_of_a_camera_has_none() -> None:
    x, y = pixel_grid(60, 80)
    turn_and_zoom = torch.stack((0.02 * x - 0.02 * y, 0.02 * x + 0.02 * y))[None]
    assert not motion_boundary(turn_and_zoom + 3).any()
