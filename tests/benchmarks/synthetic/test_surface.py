from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from refine_motion.benchmarks.synthetic.draw import generator
from refine_motion.benchmarks.synthetic.surface import Surface, scale
from refine_motion.benchmarks.synthetic.trajectory import Trajectory, Wave
from refine_motion.benchmarks.synthetic.warps import random_ripples
from refine_motion.motion.grid import pixel_grid
from tests.benchmarks.synthetic.made import SIZE, disc, ground, instants, pose, worlds

EYE = torch.eye(3, dtype=torch.float64)


def test_trajectories_are_the_outermost_first() -> None:
    arm = Trajectory(Wave(10.0))
    turn = Trajectory(angle=Wave(math.pi / 2))
    assert disc(1, turn, arm).pose(EYE, 0)[:2, 2].tolist() == pytest.approx([0, 10])
    assert disc(1, arm, turn).pose(EYE, 0)[:2, 2].tolist() == pytest.approx([10, 0])


@settings(max_examples=12, deadline=None)
@given(worlds, instants, instants)
def test_own_and_place_undo_each_other_and_displacement_is_both(scene, i: int, j: int) -> None:
    here = pixel_grid(*SIZE)[:, ::8, ::8]
    for order, surface in enumerate(scene.surfaces[:6]):
        before, after = pose(scene, order, i), pose(scene, order, j)
        own = surface.own(before, i, here.double())
        assert (surface.place(before, i, own) - here).abs().max() < 1e-6
        expected = surface.place(after, j, own) - here
        found = surface.displacement(before, after, i, j, here)
        assert found.dtype == torch.float32
        assert torch.allclose(found.double(), expected, atol=1e-4, rtol=1e-6)


def test_small_motion_far_from_the_origin_keeps_its_digits() -> None:
    step = torch.eye(3, dtype=torch.float64)
    step[:2, 2] = torch.tensor([1e-4, -2e-5])
    far = torch.full((2, 1, 1), 3000.0)
    found = ground().displacement(EYE, step, 0, 1, far)
    assert found.flatten().tolist() == pytest.approx([1e-4, -2e-5], rel=1e-3)


@settings(max_examples=12, deadline=None)
@given(worlds, instants)
def test_nothing_of_it_is_beyond_its_reach(scene, t: int) -> None:
    x, y = grid = pixel_grid(120, 140, dtype=torch.float64) - 30
    for order, surface in enumerate(scene.surfaces[:8]):
        matrix = pose(scene, order, t)
        reach = surface.reach(matrix)
        if order == 0:
            assert math.isinf(reach)
            continue
        inside = surface.shape.distance(surface.own(matrix, t, grid)) > 0
        away = torch.hypot(x - matrix[0, 2], y - matrix[1, 2])
        assert (away[inside] <= reach).all()


def test_reach_and_scale_by_hand() -> None:
    matrix = Trajectory(stretch=Wave(math.log(1.5)), log_scale=Wave(math.log(2.0)), angle=Wave(0.7)).matrix(0)
    surface = disc(10)
    assert surface.reach(matrix) == pytest.approx(30)
    assert scale(matrix) == pytest.approx(2)
    warp = random_ripples(generator(1), 20.0, 5.0)
    assert replace(surface, warp=warp).reach(matrix) == pytest.approx(3 * (10 + warp.reach))


def test_background_is_endless_and_nobody_owns_it() -> None:
    surface = Surface(ground().texture)
    assert surface.owner == 0
    assert surface.depth == 1
    assert surface.displacement(EYE, EYE, 0, 1, pixel_grid(3, 4)).abs().max() == 0
